"""Train one network whose kernels, widths and depths are choices, and take a network for each budget from it.

    python examples/elastic_space.py

Prints the front of test accuracy against FLOPs from one supernet, without further training, beside the same networks
trained alone with as many updates as the supernet. It takes about a minute.
"""

import logging
import warnings

import lightning
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR
from torch.utils.data import DataLoader, TensorDataset

from autopanoptic import nas

RATE, BATCH = 0.01, 50


class Block(nn.Module):
    """A convolution of an elastic kernel, added to its input."""

    def __init__(self, label: str, width: nas.Width | int) -> None:
        super().__init__()
        kernel = nas.Kernel(label, [3, 5])
        self.conv = nas.ElasticConv2d(width, width, kernel, padding=kernel // 2, bias=False)
        self.norm = nas.ElasticBatchNorm2d(width)

    def forward(self, images: Tensor) -> Tensor:
        """Keep the shape, (B, width, H, W)."""
        found: Tensor = self.norm(self.conv(images))
        return images + found.relu()


class DigitNet(nas.ModelSpace):
    """Two stages of one to three blocks, at 8x8 and 4x4 pixels, each of its own width."""

    def __init__(self) -> None:
        super().__init__()
        first, second = nas.Width("width1", [4, 8, 12]), nas.Width("width2", [8, 16, 32])
        self.stem = nas.ElasticConv2d(1, first, 3, padding=1)
        self.stage1 = nas.Repeat(lambda index: Block(f"kernel1.{index}", first), (1, 3), label="depth1")
        self.down = nas.ElasticConv2d(first, second, 2, stride=2)
        self.stage2 = nas.Repeat(lambda index: Block(f"kernel2.{index}", second), (1, 3), label="depth2")
        self.classify = nas.ElasticLinear(second, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Return scores of the ten digits, (B, 10), of images (B, 1, 8, 8)."""
        features = self.stage2(self.down(self.stage1(self.stem(images).relu())))
        scores: Tensor = self.classify(features.amax((2, 3)))
        return scores


def load(seed: int) -> list[TensorDataset]:
    """Return 900 digits to train with, 400 to search with, and 497 to test with."""
    pixels, labels = (torch.tensor(values) for values in load_digits(return_X_y=True))
    order = torch.split(torch.randperm(1797, generator=torch.Generator().manual_seed(seed)), [900, 400, 497])
    return [TensorDataset(pixels[part].float().reshape(-1, 1, 8, 8) / 8 - 1, labels[part]) for part in order]


@torch.no_grad()
def accuracy(network: nn.Module, data: TensorDataset) -> float:
    """Return how many of 100 images are recognised."""
    images, digits = data.tensors
    return 100 * float((network.eval()(images).argmax(1) == digits).float().mean())


def schedule(optimizer: torch.optim.Optimizer, updates: int) -> LRScheduler:
    """Return a learning rate that rises and falls once."""
    return OneCycleLR(optimizer, RATE, total_steps=updates)


def train(supernet: nas.Supernet, ends: nas.Extremes, data: TensorDataset, epochs: int) -> None:
    """Train a supernet: the largest path, the smallest and two others on each batch, taught by the largest."""
    updates = epochs * len(data) // BATCH
    module = nas.SupernetModule(
        supernet,
        nas.SoftLabels(),
        lambda parameters: torch.optim.AdamW(parameters, RATE),
        nas.SandwichPaths(supernet.space, *ends, random=2),
        scheduler=lambda optimizer: schedule(optimizer, updates),
        same_batch=True,
        distillation=True,
    )
    trainer = lightning.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False,
        enable_progress_bar=False,
    )  # fmt: skip
    trainer.fit(module, DataLoader(data, batch_size=BATCH, shuffle=True))


def train_alone(network: nn.Module, data: TensorDataset, epochs: int) -> None:
    """Train one network: the same optimizer, schedule, batches and number of updates, by the true labels."""
    optimizer = torch.optim.AdamW(network.train().parameters(), RATE)
    rates = schedule(optimizer, epochs * len(data) // BATCH)
    batches = DataLoader(data, batch_size=BATCH, shuffle=True)
    for images, digits in (batch for _ in range(epochs) for batch in batches):
        optimizer.zero_grad()
        torch.autograd.backward(cross_entropy(network(images), digits))
        optimizer.step()
        rates.step()


def main(seed: int = 0, epochs: int = 40, trials: int = 80, budgets: int = 5) -> list[tuple[float, float, float]]:
    """Print (MFLOPs, test accuracy from the supernet, test accuracy alone) of the best network within each budget."""
    torch.set_num_threads(1)  # for such a small network more threads only wait for each other
    torch.manual_seed(seed)
    training, validation, test = load(seed)
    supernet = nas.Supernet(DigitNet())
    flops = nas.FlopCount(supernet, training.tensors[0][:1], unit=1e6)
    ends = nas.extremes(supernet.space, flops)
    train(supernet, ends, training, epochs)
    batches = torch.split(training.tensors[0][:500], 250)  # for batch-norm statistics of each path
    evaluator = nas.SupernetEvaluator(
        supernet, lambda path: {"accuracy": accuracy(path, validation)}, recalibrate_with=batches
    )
    result = nas.Search(
        supernet.space, nas.NSGA2(population=20), evaluator, objectives={"accuracy": "max", "mflops": "min"},
        costs={"mflops": flops}, initial=ends, seed=seed,
    ).run(trials)  # fmt: skip
    print(f"{supernet.space.size:,} networks; the best of {trials} within each budget, on the test digits")
    print(f"{'budget':>14}{'':14}{'from the supernet':>20}{'alone':>10}")
    rows = []
    for budget in np.geomspace(flops(ends.smallest), flops(ends.largest), budgets):
        within = (None, budget * (1 + 1e-9))
        best = result.best_within({"mflops": within})
        shared = supernet.specialized(result, mflops=within, recalibrate_with=batches)
        alone = supernet.subnet(best.architecture, inherit=False)
        train_alone(alone, training, epochs)
        rows.append((best.metrics["mflops"], accuracy(shared, test), accuracy(alone, test)))
        print("{:7.2f} MFLOPs: {:5.2f} MFLOPs {:16.1f} % {:7.1f} %".format(budget, *rows[-1]))
    return rows


if __name__ == "__main__":
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", ".*(does not have many workers|available but not used|LeafSpec)")
    main()
