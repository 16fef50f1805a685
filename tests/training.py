"""A small supernet, its data and its training, for the tests of trainings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from autopanoptic.nas import Architecture, LayerChoice, ModelSpace, SandwichPaths, Supernet

LARGEST, SMALLEST = {"a": "y", "b": 1}, {"a": "x", "b": 0}


class Two(ModelSpace):
    """Six networks; parameters of either option of ``a`` and of three of ``b``."""

    def __init__(self) -> None:
        super().__init__()
        self.a = LayerChoice({"x": nn.Linear(4, 8), "y": nn.Linear(4, 8)}, label="a")
        self.b = LayerChoice([nn.Linear(8, 2), nn.Sequential(nn.ReLU(), nn.Linear(8, 2)), nn.Linear(8, 2)], label="b")

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.b(self.a(x))
        return scores


def new_supernet() -> Supernet:
    """Return the same untrained supernet at each call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Supernet(Two())


def sandwich(supernet: Supernet, random: int = 2) -> SandwichPaths:
    return SandwichPaths(supernet.space, LARGEST, SMALLEST, random=random, seed=7)


def cost(path: Architecture) -> float:
    """Return the size of a path, 1 to 6."""
    return 1.0 + 3 * (path["a"] == "y") + {0: 0, 2: 1, 1: 2}[int(path["b"])]


def new_batches(count: int = 24) -> list[Tensor]:
    return list(torch.randn(count, 16, 4, generator=torch.Generator().manual_seed(3)))


def pair(network: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
    """Return the logits of a batch and its labels."""
    (x,) = batch
    return network(x), (x.sum(1) > 0).long()


def loss(network: nn.Module, batch: Any) -> Tensor:
    return nn.functional.cross_entropy(*pair(network, batch))


def sgd(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-3)


def plain(parameters: Any) -> torch.optim.Optimizer:
    """Gradient descent without momentum or decay, whose step shows the gradient."""
    return torch.optim.SGD(parameters, lr=0.1)


def fit(
    training: lightning.LightningModule,
    batches: list[Tensor],
    folder: Path,
    resume: Path | None = None,
    **options: Any,
) -> lightning.Trainer:
    loader = DataLoader(TensorDataset(torch.cat(batches)), batch_size=16)
    settings: dict[str, Any] = {
        "max_epochs": 1,
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": folder,
        **options,
    }
    trainer = lightning.Trainer(**settings)
    trainer.fit(training, loader, ckpt_path=resume, weights_only=True if resume else None)
    return trainer


def assert_same(first: nn.Module, second: nn.Module, *, exactly: bool = False) -> None:
    for (name, a), b in zip(first.state_dict().items(), second.state_dict().values(), strict=True):
        if exactly:
            assert torch.equal(a, b), name
        else:
            torch.testing.assert_close(a, b, msg=name)
