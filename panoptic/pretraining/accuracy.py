"""Accuracy on val: of a classifier, or of some fixed paths of a supernet, during its training and at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn

from autopanoptic.nas import Architecture, Supernet, recalibrated
from autopanoptic.nas.supernet.state import evaluating
from autopanoptic.panoptic.data.loading.normalization import IMAGENET, Normalization
from autopanoptic.panoptic.model.precision import computing
from autopanoptic.panoptic.pretraining.classifier import Classifier
from autopanoptic.panoptic.pretraining.images import ImageClasses
from autopanoptic.panoptic.pretraining.loading import ImageBatch, ordered_batches, random_batches
from autopanoptic.panoptic.pretraining.module import PretrainingModule
from autopanoptic.panoptic.pretraining.recipe import PretrainingRecipe
from autopanoptic.panoptic.training.parallel.synced import alone


@dataclass(frozen=True)
class Accuracy:
    """How many images of val are told right, in percent.

    Attributes:
        top1: Those whose class has the highest logit.
        top5: Those whose class is among the five highest; with five classes or fewer all of them.
        architecture: Of the path; None for a classifier without choices.
    """

    top1: float
    top5: float
    architecture: Architecture | None = None

    def to_json(self) -> dict[str, Any]:
        """The figures as a JSON object."""
        path = None if self.architecture is None else self.architecture.to_json()
        return {"top1": self.top1, "top5": self.top5, "architecture": path}


def accuracy(network: nn.Module, batches: Iterable[ImageBatch], precision: str = "32-true") -> Accuracy:
    """Measure a classifier, in evaluation mode, where its weights are and in one of `PRECISIONS`.

    Raises:
        ValueError: If there are no images.
    """
    device = next(network.parameters()).device
    right, seen = torch.zeros(2, dtype=torch.int64), 0
    with evaluating(network), torch.no_grad(), computing(precision, device):
        for batch in batches:
            logits = network(batch.to(device).images).float().cpu()
            best = logits.topk(min(5, logits.shape[1]), dim=1).indices == batch.labels[:, None]
            right += torch.stack((best[:, 0].sum(), best.any(dim=1).sum()))
            seen += len(batch)
    if not seen:
        raise ValueError("there are no images to measure a classifier on")
    top1, top5 = (100 * right / seen).tolist()
    return Accuracy(top1, top5)


@dataclass(frozen=True)
class Measure:
    """Measures a classifier on val.

    Attributes:
        images: Whose val it is, and whose train gives batch-norm statistics to paths.
        recipe: Size of the images and the batches.
        seed: Decides the batches for the statistics.
        paths: Of a supernet; empty for a classifier without choices.
        workers: Processes that load images.
        precision: In which classifiers compute, also for their statistics.
        normalization: Of the images.
    """

    images: ImageClasses
    recipe: PretrainingRecipe
    seed: int
    paths: Sequence[Architecture] = ()
    workers: int = 0
    precision: str = "32-true"
    normalization: Normalization = IMAGENET

    def __call__(self, classifier: Classifier) -> list[Accuracy]:
        """Return the accuracy of each path, with batch-norm statistics of its own, or of the classifier itself."""
        if not self.paths:
            return [accuracy(classifier, self._val(), self.precision)]
        return [self._of_path(Supernet(classifier), path) for path in self.paths]

    def _of_path(self, supernet: Supernet, path: Architecture) -> Accuracy:
        active = supernet.active
        device = next(supernet.module.parameters()).device
        count = self.recipe.recalibration_batches
        batches = random_batches(
            self.images.train, self.recipe, self.seed, 0, count, workers=self.workers, normalization=self.normalization
        )  # fmt: skip
        try:
            supernet.activate(path)
            with recalibrated(supernet, batches, partial(self._run, device)):
                found = accuracy(supernet.module, self._val(), self.precision)
        finally:
            supernet.activate(active)
        return Accuracy(found.top1, found.top5, path)

    def _run(self, device: torch.device, network: nn.Module, batch: ImageBatch) -> None:
        with computing(self.precision, device):
            network(batch.to(device).images)

    def _val(self) -> Iterable[ImageBatch]:
        return ordered_batches(self.images.val, self.recipe, self.workers, self.normalization)


class MeasureEvery(Callback):
    """Logs the mean accuracy on val after every so many passes, in the first of several processes.

    Args:
        measure: What measures.
        every: Passes between two measurements.
        afterwards: Called after each measurement.
        beforehand: Called with the module before each, in every process.
    """

    def __init__(
        self,
        measure: Measure,
        every: int,
        afterwards: Callable[[], None],
        beforehand: Callable[[nn.Module], None] | None = None,
    ) -> None:
        self.measure, self.every = measure, every
        self.afterwards, self.beforehand = afterwards, beforehand

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any) -> None:
        """Measure, where it is time."""
        module = cast("PretrainingModule", pl_module)
        if module.passes % self.every:
            return
        if self.beforehand is not None:
            self.beforehand(module)
        if trainer.is_global_zero:
            with alone(module.network):  # where paths get statistics of their own, the others wait
                found = self.measure(cast("Classifier", module.network))
            shown = {
                "val_top1": sum(one.top1 for one in found) / len(found),
                "val_top5": sum(one.top5 for one in found) / len(found),
            }
            for logger in trainer.loggers:
                logger.log_metrics(shown, trainer.fit_loop.total_batch_idx)
        trainer.strategy.barrier("accuracy")
        self.afterwards()
