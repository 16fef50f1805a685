"""Panoptic quality during a training, and the best weights by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import lightning
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.model.merge.rules import MergeRules
from autopanoptic.panoptic.model.weights import read_tensors, write_tensors
from autopanoptic.panoptic.training.average import AveragedWeights
from autopanoptic.panoptic.training.module import PanopticModule

BEST = "best.pt"
"""File with the weights of the best panoptic quality so far, in a training's folder."""


class Measure(Protocol):
    """What measures a network on a data set, such as a `Validation`."""

    dataset: CocoPanoptic
    rules: MergeRules

    def __call__(self, network: nn.Module) -> Mapping[str, float]:
        """Return metrics in percent, among them ``pq``."""


@dataclass(frozen=True)
class Best:
    """The best weights of a training so far.

    Attributes:
        passes: After how many passes they were measured.
        pq: Their panoptic quality, in percent.
        weights: The network's state dict.
    """

    passes: int
    pq: float
    weights: dict[str, Tensor]


def best_of(folder: Path) -> Best | None:
    """Return the best weights that a training has kept; None where it has measured none yet.

    Raises:
        ValueError: If the file is damaged.
    """
    path = folder / BEST
    if not path.exists():
        return None
    found: Any = read_tensors(path)
    if not isinstance(found, dict) or set(found) != {"passes", "pq", "weights"}:
        raise ValueError(f"{path} does not hold the best weights of a training")
    return Best(int(found["passes"]), float(found["pq"]), found["weights"])


class ValidateEvery(Callback):
    """Measures the network, or its average, after every so many passes and after the last, and keeps the best.

    The best weights lie in a file of their own, with their panoptic quality. It is what a training that goes on
    compares with, so that nothing is lost which an interrupted call has found.

    Args:
        folder: Of the training.
        measure: What measures, in the first of several processes.
        every: Passes between two measurements.
        last: The last pass.
        average: Of the weights, which is measured then.
        afterwards: Called after each measurement.
        beforehand: Called with the module before each, in every process.
    """

    def __init__(
        self,
        folder: Path,
        measure: Measure,
        every: int,
        last: int,
        average: AveragedWeights | None,
        afterwards: Callable[[], None],
        beforehand: Callable[[nn.Module], None] | None = None,
    ) -> None:
        self.folder, self.measure, self.every, self.last = folder, measure, every, last
        self.average, self.afterwards, self.beforehand = average, afterwards, beforehand
        self._best_pq = -1.0
        self._seen = 0

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Find how far the training is, and the best so far."""
        self._seen = cast("PanopticModule", pl_module).passes
        if trainer.is_global_zero:
            best = _best_so_far(self.folder)
            self._best_pq = -1.0 if best is None else best.pq

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any) -> None:
        """Measure, where it is time."""
        module = cast("PanopticModule", pl_module)
        passes, seen = module.passes, self._seen
        self._seen = passes
        # A cycle of paths on one batch is several passes.
        if passes // self.every == seen // self.every and passes != self.last:
            return
        if self.beforehand is not None:
            self.beforehand(module)
        if trainer.is_global_zero:
            with nullcontext() if self.average is None else self.average.in_place(module):
                self._measure(trainer, module, passes)
        trainer.strategy.barrier("validation")
        self.afterwards()

    def _measure(self, trainer: lightning.Trainer, module: PanopticModule, passes: int) -> None:
        metrics = self.measure(module.network)
        shown = {f"val_{name}": value for name, value in metrics.items() if name.startswith("pq")}
        # The module's own log would give them again with every later batch of the chunk.
        for logger in trainer.loggers:
            logger.log_metrics(shown, trainer.fit_loop.total_batch_idx)
        if metrics["pq"] > self._best_pq:
            self._best_pq = metrics["pq"]
            weights = {name: value.cpu() for name, value in module.network.state_dict().items()}
            _write(self.folder / BEST, Best(passes, metrics["pq"], weights))


def _best_so_far(folder: Path) -> Best | None:
    try:
        return best_of(folder)
    except ValueError as error:
        raise ValueError(
            f"{error}. Delete the folder to train anew, or {BEST} alone to keep the best of what follows"
        ) from error


def _write(path: Path, best: Best) -> None:
    write_tensors({"passes": best.passes, "pq": best.pq, "weights": best.weights}, path)
