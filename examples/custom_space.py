"""Make a search space, and search it by three strategies: in a trained supernet, and by training every candidate.

    python examples/custom_space.py

A candidate takes milliseconds in the supernet and a second by itself, but then its accuracy is the real one.
"""

from collections.abc import Callable

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from autopanoptic import nas


def conv(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """Return a convolution that keeps the size, with batch norm and ReLU."""
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU())


def layer(index: int) -> nas.LayerChoice:
    """Return a choice of four convolutions."""
    return nas.LayerChoice({f"conv{kernel}": conv(16, 16, kernel) for kernel in (1, 3, 5, 7)}, label=f"layer{index}")


class DigitNet(nas.ModelSpace):
    """A stem, two to four layers, pooling and a classifier, in 1,344 architectures."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nas.LayerChoice({"conv3": conv(1, 16, 3), "conv5": conv(1, 16, 5)}, label="stem")
        self.body = nas.Repeat(layer, (2, 4), label="depth")
        self.pool = nas.LayerChoice({"max": nn.AdaptiveMaxPool2d(2), "mean": nn.AdaptiveAvgPool2d(2)}, label="pool")
        self.classify = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Return scores of the ten digits, (B, 10), of images (B, 1, 8, 8)."""
        scores: Tensor = self.classify(self.pool(self.body(self.stem(images))).flatten(1))
        return scores


def load() -> list[TensorDataset]:
    """Return 1,000 digits to train with, 400 to search with, and 397 to test with."""
    pixels, labels = (torch.tensor(values) for values in load_digits(return_X_y=True))
    order = torch.split(torch.randperm(1797, generator=torch.Generator().manual_seed(0)), [1000, 400, 397])
    return [TensorDataset(pixels[part].float().reshape(-1, 1, 8, 8) / 8 - 1, labels[part]) for part in order]


def train(network: nn.Module, data: TensorDataset, epochs: int, begin: Callable[[int], object]) -> None:
    """Train a network; ``begin`` is called before each step, to activate a supernet's path."""
    optimizer = torch.optim.AdamW(network.train().parameters(), lr=0.005)
    batches = DataLoader(data, batch_size=50, shuffle=True)
    for step, (images, digits) in enumerate(batch for _ in range(epochs) for batch in batches):
        begin(step)
        optimizer.zero_grad()
        torch.autograd.backward(cross_entropy(network(images), digits))
        optimizer.step()


@torch.no_grad()
def accuracy(network: nn.Module, data: TensorDataset) -> float:
    """Return how many of 100 images are recognised."""
    images, digits = data.tensors
    return 100 * float((network.eval()(images).argmax(1) == digits).float().mean())


def main(epochs: int = 24, paths: int = 60, networks: int = 6, epochs_alone: int = 4) -> dict[str, list[float]]:
    """Print the validation accuracy of the best paths, then the test accuracy of these and of the best networks."""
    torch.set_num_threads(1)  # for such a small network more threads only wait for each other
    torch.manual_seed(0)
    training, validation, test = load()
    supernet = nas.Supernet(DigitNet())
    fair = nas.FairPaths(supernet.space)  # every option of a choice takes its turn equally often
    train(supernet.module, training, epochs, lambda step: supernet.activate(fair.path(step)))

    def train_alone(network: nn.Module) -> dict[str, float]:
        train(network, training, epochs_alone, lambda step: None)
        return {"accuracy": accuracy(network, validation), "test": accuracy(network, test)}

    batches = torch.split(training.tensors[0][:500], 250)  # for the batch-norm statistics of each path
    one_shot = nas.SupernetEvaluator(
        supernet, lambda path: {"accuracy": accuracy(path, validation)}, recalibrate_with=batches
    )
    alone = nas.TrainingEvaluator(supernet, train_alone)
    print(f"{supernet.space.size:,} architectures: best of {paths} paths, and of {networks} trained networks")
    print(f"{'strategy':24}{'path':>8}{'path, trained':>16}{'network':>10}")
    found = {}
    for strategy in (nas.RandomSearch(), nas.RegularizedEvolution(3, 2), nas.Evolution(3, parents=2)):
        name = type(strategy).__name__
        path = nas.Search(supernet.space, strategy, one_shot, objectives="accuracy").run(paths).best
        network = nas.Search(supernet.space, strategy, alone, objectives="accuracy").run(networks).best
        path_alone = alone.evaluate(path.architecture, nas.Unheard())
        found[name] = [path.metrics["accuracy"], path_alone["test"], network.metrics["test"]]
        print("{:24}{:6.1f} %{:14.1f} %{:8.1f} %".format(name, *found[name]))
    return found


if __name__ == "__main__":
    main()
