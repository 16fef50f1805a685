from __future__ import annotations

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
    ElasticConv2d, ElasticGroupNorm, ElasticLinear, Kernel, ModelSpace, Repeat, Supernet, SupernetModule, UniformPaths,
    Width,
)

class Net(ModelSpace):
    def __init__(self):
        super().__init__()
        width, kernel = Width("w", [4, 8]), Kernel("k", [1, 3])
        self.stem = ElasticConv2d(1, width, kernel, padding=kernel // 2, kernel_transform=True)
        self.blocks = Repeat(lambda i: nn.Sequential(ElasticConv2d(width, width, 1), nn.ReLU()), (0, 2), label="d")
        self.norm = ElasticGroupNorm(2, width)
        self.head = ElasticLinear(width * 16, 2)

    def forward(self, x):
        return self.head(self.norm(self.blocks(self.stem(x))).flatten(1))

def loss(network, batch):
    return nn.functional.cross_entropy(network(batch[0]), (batch[0].sum((1, 2, 3)) > 0).long())

def main(devices, folder):
    torch.manual_seed(0)
    supernet = Supernet(Net(), inputs=[torch.zeros(1, 1, 4, 4)])
    module = SupernetModule(
        supernet, loss, lambda weights: torch.optim.SGD(weights, lr=0.1, momentum=0.9),
        UniformPaths(supernet.space, seed=4), clip=0.5,
    )
    rank = int(os.environ.get("LOCAL_RANK", 0))
    batches = torch.randn(18, devices, 16 // devices, 1, 4, 4, generator=torch.Generator().manual_seed(3))
    own = TensorDataset(batches[:, rank].reshape(-1, 1, 4, 4))
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", devices=devices, use_distributed_sampler=False, logger=False,
        strategy="ddp_find_unused_parameters_true" if devices > 1 else "auto", enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(own, batch_size=16 // devices))
    torch.save(module.network.state_dict(), os.path.join(folder, f"{devices}-{rank}.pt"))

if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
"""


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """Each rank sees half of every batch, both take the same slices, and nothing is broadcast but gradients."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    for devices in (1, 2):
        command = [sys.executable, str(program), str(devices), str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
    one, first, second = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("1-0", "2-0", "2-1"))
    for name, value in one.items():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], value, rtol=1e-5, atol=1e-5)
