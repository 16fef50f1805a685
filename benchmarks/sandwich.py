"""What a sandwich step costs: four paths on one batch and one update, beside the same paths one update each.

Run as ``python benchmarks/sandwich.py [--json FILE]``. An elastic network of 40 layers trains by ``SupernetModule`` on
the CPU, its Lightning loop included: with ``same_batch`` and without, and with distillation. The figure is the median
processor time of a step of the largest path, the smallest and two random ones, in units of the mean step of one of
these paths. Both ways take turns, so that a busy machine slows down both.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from autopanoptic.nas import (
    ElasticBatchNorm2d,
    ElasticConv2d,
    ElasticLinear,
    Kernel,
    ModelSpace,
    SandwichPaths,
    SoftLabels,
    Supernet,
    SupernetModule,
    Width,
)

PATHS = 4
WAYS: dict[str, dict[str, Any]] = {
    "one path an update": {},
    "sandwich step": {"same_batch": True},
    "sandwich step, distillation": {"same_batch": True, "distillation": True},
}


class Net(ModelSpace):
    """Twenty convolutions with batch norm, in stages of four that share a width."""

    def __init__(self) -> None:
        super().__init__()
        widths = [Width(f"width{stage}", [16, 24, 32]) for stage in range(5)]
        layers: list[nn.Module] = []
        inputs: Any = 3
        for number in range(20):
            kernel, width = Kernel(f"kernel{number}", [1, 3]), widths[number // 4]
            layers += [ElasticConv2d(inputs, width, kernel, padding=kernel // 2), ElasticBatchNorm2d(width), nn.ReLU()]
            inputs = width
        self.body = nn.Sequential(*layers)
        self.classify = ElasticLinear(inputs, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Return scores, (B, 10), of images (B, 3, H, W)."""
        scores: Tensor = self.classify(self.body(images).mean((2, 3)))
        return scores


class Clock(Callback):
    """Notes the processor time of each training step, in ms."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self._start = 0.0

    def on_train_batch_start(self, *_: Any) -> None:
        """Note the start."""
        self._start = time.process_time()

    def on_train_batch_end(self, *_: Any) -> None:
        """Note the duration."""
        self.steps.append((time.process_time() - self._start) * 1e3)


def steps(way: dict[str, Any], count: int) -> list[float]:
    """Return how long each of so many steps takes."""
    torch.manual_seed(0)
    supernet = Supernet(Net())
    largest, smallest = ({one.label: one.options[place] for one in supernet.space.choices} for place in (-1, 0))
    module = SupernetModule(
        supernet,
        SoftLabels(),
        lambda weights: torch.optim.AdamW(weights),
        SandwichPaths(supernet.space, largest, smallest),
        **way,
    )
    data = TensorDataset(torch.randn(count * 16, 3, 16, 16), torch.zeros(count * 16, dtype=torch.int64))
    clock = Clock()
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[clock],
    )  # fmt: skip
    trainer.fit(module, DataLoader(data, batch_size=16))
    return clock.steps


def compare(rounds: int, cycles: int) -> dict[str, Any]:
    """Return the median time of a cycle of four paths, by the way it trains, and what it is in steps of one path."""
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, way in WAYS.items():
            size = 1 if way else PATHS  # how many steps a cycle is
            times = steps(way, cycles * size)
            found[name] += [sum(times[start : start + size]) for start in range(size, len(times), size)]  # warm
    medians = {name: statistics.median(times) for name, times in found.items()}
    one = medians["one path an update"] / PATHS
    return {
        "cycle_ms": medians,
        "in_steps_of_one_path": {name: value / one for name, value in medians.items()},
        "cycles": rounds * cycles,
        "torch": torch.__version__,
        "machine": platform.machine(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cycles", type=int, default=20, help="cycles of four paths a round")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", ".*does not have many workers")
    figures = compare(arguments.rounds, arguments.cycles)
    table = Table(title=f"{PATHS} paths of an elastic network of 40 layers, {figures['cycles']} times")
    for column in ("", "ms", "steps of one path"):
        table.add_column(column, justify="right" if column else "left")
    for name, value in figures["cycle_ms"].items():
        table.add_row(name, f"{value:.1f}", f"{figures['in_steps_of_one_path'][name]:.2f}")
    Console().print(table)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
