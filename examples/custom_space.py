"""Make a search space of your own, and search it in two ways: in a trained supernet, and by training every candidate.

    python examples/custom_space.py

The task is small: scikit-learn's handwritten digits, 8x8 pixels. The supernet is trained once; from then on a candidate
takes milliseconds, so a search can afford many. Training each candidate takes a second, but its accuracy is the real
one. Three strategies search in both ways among networks of at most 10,000 parameters.
"""

from __future__ import annotations

import logging
import warnings

import lightning
import torch
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from autopanoptic import nas


def conv(inputs: int, outputs: int, kernel: int, groups: int = 1) -> nn.Sequential:
    """Return a convolution that keeps the size, with batch norm and ReLU."""
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU())


class Layer(nn.Module):
    """A choice of four operators, added to their input."""

    def __init__(self, index: int, width: int) -> None:
        super().__init__()
        options = {
            "conv3": conv(width, width, 3),
            "conv5": conv(width, width, 5),
            "separable": nn.Sequential(conv(width, width, 3, groups=width), conv(width, width, 1)),
            "bottleneck": nn.Sequential(conv(width, width // 4, 1), conv(width // 4, width, 3)),
        }
        self.operator = nas.LayerChoice(options, label=f"operator{index}")

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape."""
        return x + self.operator(x)


class DigitNet(nas.ModelSpace):
    """The space: a stem, two to four layers, pooling and a classifier, in 1,344 architectures."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.stem = nas.LayerChoice({"conv3": conv(1, width, 3), "conv5": conv(1, width, 5)}, label="stem")
        self.body = nas.Repeat(lambda index: Layer(index, width), (2, 4), label="depth")
        self.pool = nas.LayerChoice({"max": nn.AdaptiveMaxPool2d(2), "mean": nn.AdaptiveAvgPool2d(2)}, label="pool")
        self.classify = nn.Linear(4 * width, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Return scores of the ten digits, (B, 10), of images (B, 1, 8, 8)."""
        return self.classify(self.pool(self.body(self.stem(images))).flatten(1))


def load() -> list[TensorDataset]:
    """Return 1,000 digits to train with, 400 to search with, and 397 to test with."""
    pixels, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    images, digits = torch.tensor(pixels, dtype=torch.float32)[order] / 8 - 1, torch.tensor(labels)[order]
    parts = zip(images.reshape(-1, 1, 8, 8).split([1000, 400, 397]), digits.split([1000, 400, 397]), strict=True)
    return [TensorDataset(*part) for part in parts]


def loss(network: nn.Module, batch: list[Tensor]) -> Tensor:
    """Return the loss of a batch of images and digits."""
    return cross_entropy(network(batch[0]), batch[1])


@torch.no_grad()
def accuracy(network: nn.Module, data: TensorDataset) -> float:
    """Return how many of 100 images are recognised."""
    images, digits = data.tensors
    return 100 * (network.eval()(images).argmax(1) == digits).float().mean().item()


def train_supernet(data: TensorDataset, epochs: int) -> nas.Supernet:
    """Return a supernet, trained so that every option of a choice takes its turn equally often."""
    supernet = nas.Supernet(DigitNet())
    paths = nas.FairPaths(supernet.space)
    module = nas.SupernetModule(supernet, loss, lambda weights: torch.optim.AdamW(weights, lr=0.005), paths)
    trainer = lightning.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False
    )
    trainer.fit(module, DataLoader(data, batch_size=50, shuffle=True))
    return supernet


def train_network(network: nn.Module, data: TensorDataset, epochs: int) -> None:
    """Train the network of one architecture."""
    optimizer = torch.optim.AdamW(network.train().parameters(), lr=0.005)
    for _ in range(epochs):
        for batch in DataLoader(data, batch_size=50, shuffle=True):
            optimizer.zero_grad()
            loss(network, batch).backward()
            optimizer.step()


def search(supernet: nas.Supernet, strategy: nas.Strategy, evaluator: nas.Evaluator, trials: int) -> nas.Trial:
    """Return the best trial of a search; give it a journal=... and it can be interrupted and resumed."""
    return (
        nas.Search(
            supernet.space,
            strategy,
            evaluator,
            objectives="accuracy",
            costs={"thousand_parameters": nas.ParameterCount(supernet, unit=1e3)},
            constraints={"thousand_parameters": (None, 10)},
        )
        .run(trials)
        .best
    )


def main(epochs: int = 24, paths: int = 60, networks: int = 6, epochs_alone: int = 4) -> dict[str, list[float]]:
    """Search by three strategies in both ways, and print their accuracies."""
    torch.set_num_threads(1)  # for such a small network more threads only wait for each other
    torch.manual_seed(0)
    training, validation, test = load()
    supernet = train_supernet(training, epochs)

    def train(network: nn.Module) -> dict[str, float]:
        train_network(network, training, epochs_alone)
        return {"accuracy": accuracy(network, validation), "test": accuracy(network, test)}

    def measure(path: nn.Module) -> dict[str, float]:
        return {"accuracy": accuracy(path, validation)}

    # Batch norm needs the statistics of the path that is measured.
    batches = training.tensors[0][:500].split(250)
    one_shot = nas.SupernetEvaluator(supernet, measure, recalibrate_with=batches)
    stand_alone = nas.TrainingEvaluator(supernet, train)
    found = {}
    for strategy in (nas.RandomSearch(), nas.RegularizedEvolution(3, 2), nas.Evolution(3, parents=2)):
        path = search(supernet, strategy, one_shot, paths)
        network = search(supernet, strategy, stand_alone, networks)
        path_trained = stand_alone.evaluate(path.architecture, lambda step, metrics: None)
        found[type(strategy).__name__] = [path.metrics["accuracy"], path_trained["test"], network.metrics["test"]]
    show(found, f"{supernet.space.size:,} architectures: best of {paths} paths, and of {networks} trained networks")
    return found


def show(found: dict[str, list[float]], title: str) -> None:
    """Print a row for each strategy: the best path's accuracy on validation images, the others' on test images."""
    table = Table("strategy", "path", "path, trained", "network", title=title)
    for name, percents in found.items():
        table.add_row(name, *(f"{percent:.1f} %" for percent in percents))
    Console().print(table)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    main()
