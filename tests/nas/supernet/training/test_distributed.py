from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import torch

PROGRAM = """
import os, sys, warnings
warnings.filterwarnings("ignore")
import lightning, torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from autopanoptic.nas import (
    ComplexityRate, FairPaths, LayerChoice, ModelSpace, SandwichPaths, SoftLabels, Supernet, SupernetModule
)

class Net(ModelSpace):
    def __init__(self):
        super().__init__()
        self.a = LayerChoice({"x": nn.Linear(4, 8), "y": nn.Linear(4, 8)}, label="a")
        self.b = LayerChoice([nn.Linear(8, 2), nn.Linear(8, 2), nn.Linear(8, 2)], label="b")

    def forward(self, x):
        return self.b(self.a(x))

def loss(network, batch):
    return nn.functional.cross_entropy(network(batch[0]), (batch[0].sum(1) > 0).long())

def cost(path):
    return 1.0 + path["b"] + (path["a"] == "y")

def switches(way, space):
    if way in ("each", "cycle"):
        return FairPaths(space, seed=4), loss, {"accumulate": way == "cycle"}
    if way == "parts":
        return FairPaths(space, seed=4), half_loss, {"accumulate": True, "split": halves}
    ends = space.canonical({"a": "y", "b": 2}), space.canonical({"a": "x", "b": 0})
    soft = SoftLabels(lambda network, batch: (network(batch[0]), (batch[0].sum(1) > 0).long()))
    papers = {"distillation": True, "rate": ComplexityRate(cost, *ends, passes=90), "divide_rates": True}
    more = {"papers": papers, "shared": {"share_paths": True, "divide_rates": True}}.get(way, {})
    return SandwichPaths(space, *ends), soft, {"same_batch": True, "reduction": "sum", **more}

class Counting(SupernetModule):
    passes_back, reduced = 0, 0

    def manual_backward(self, loss):
        self.passes_back += 1
        self.reduced += getattr(self.trainer.strategy.model, "require_backward_grad_sync", False)
        super().manual_backward(loss)

def halves(network, batch):
    half = len(batch[0]) // 2
    return [(batch[0][:half],), (batch[0][half:],)]

def half_loss(network, batch):
    return loss(network, batch) / 2

def main(devices, way, folder):
    torch.manual_seed(0)
    supernet = Supernet(Net())
    paths, trained, options = switches(way, supernet.space)
    module = Counting(
        supernet, trained, lambda weights: torch.optim.SGD(weights, lr=0.1, momentum=0.9), paths, clip=0.5, **options
    )
    rank = int(os.environ.get("LOCAL_RANK", 0))
    batches = torch.randn(18, devices, 16 // devices, 4, generator=torch.Generator().manual_seed(3))
    whole = devices == 1 or way == "shared"
    own = TensorDataset((batches if whole else batches[:, rank]).reshape(-1, 4))
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", devices=devices, use_distributed_sampler=False, logger=False,
        strategy="ddp_find_unused_parameters_true" if devices > 1 else "auto", enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(own, batch_size=16 if whole else 16 // devices))
    losses = {name: float(value) for name, value in trainer.callback_metrics.items()}
    if rank == 0:
        print("losses", sorted(losses.items()))
        print("reduced", module.reduced, module.passes_back)
    torch.save(module.network.state_dict(), os.path.join(folder, f"{devices}-{rank}.pt"))

if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "reduced"),
    [
        ("each", "18 18"),
        ("cycle", "3 18"),
        ("parts", "3 36"),
        ("batch", "18 72"),
        ("papers", "18 72"),
        ("shared", "0 36"),
    ],
)
def test_two_processes_train_as_one(tmp_path: Path, way: str, reduced: str) -> None:
    """Each rank has half of every batch or of the paths on it; gradients are reduced once an update."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    printed = []
    for devices in (1, 2):
        command = [sys.executable, str(program), str(devices), way, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        printed.append([line for line in done.stdout.splitlines() if line.startswith("losses")])
    assert len(printed[0]) == len(printed[1]) == 1
    assert f"reduced {reduced}" in done.stdout.splitlines()
    one, first, second = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("1-0", "2-0", "2-1"))
    for name, value in one.items():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], value, rtol=1e-5, atol=1e-6)
    for alone, together in zip(*printed, strict=True):
        (expected, found) = (ast.literal_eval(line.removeprefix("losses ")) for line in (alone, together))
        assert [name for name, _ in found] == [name for name, _ in expected]
        assert [loss for _, loss in found] == pytest.approx([loss for _, loss in expected], rel=1e-5)
