"""From a network or a candidate to panoptic quality, in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import cast

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from autopanoptic.nas import Supernet, SupernetEvaluator
from autopanoptic.nas.evaluation.evaluator import Metrics, Report
from autopanoptic.nas.supernet.batch_norm import running_norms
from autopanoptic.nas.supernet.state import evaluating
from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.data.coco.truths import Truths
from autopanoptic.panoptic.data.loading.batch import Batch
from autopanoptic.panoptic.data.segments import PanopticMap
from autopanoptic.panoptic.model.designs.active import rules_of
from autopanoptic.panoptic.model.merge.predicted import map_of
from autopanoptic.panoptic.model.merge.rules import MergeRules
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.precision import computing
from autopanoptic.panoptic.model.prediction import Prediction
from autopanoptic.panoptic.quality.bootstrap import bootstrap
from autopanoptic.panoptic.quality.metric import PanopticQuality
from autopanoptic.panoptic.quality.summary import QualityReport


class Validation:
    """Measures networks on one set of images.

    The truth is decoded once, when it is first needed, and kept for the next network.

    Args:
        dataset: Where the truth comes from.
        batches: Its images, all of them in the data set's order; gone through once per network.
        rules: How instances and stuff are merged, where the network's panoptic head has no rules of its own.
        report_every: Publishes the metrics so far after every so many batches; None for never.
        precision: In which networks compute, one of `PRECISIONS`.
        error_of: One of `METRICS`, whose standard error over the images is measured as well.
        truths: Those of the data set, where other networks are measured by them too.
    """

    def __init__(
        self,
        dataset: CocoPanoptic,
        batches: Iterable[Batch],
        rules: MergeRules | None = None,
        report_every: int | None = None,
        precision: str = "32-true",
        error_of: str = "pq",
        truths: Truths | None = None,
    ) -> None:
        self.dataset = dataset
        self.batches = batches
        self.rules = rules or MergeRules()
        self.report_every = report_every
        self.precision = precision
        self.error_of = error_of
        self._truths = Truths(dataset) if truths is None else truths

    def __call__(self, network: nn.Module, report: Report | None = None) -> Metrics:
        """Return pq, sq, rq, pq_things, ..., and the standard error of one under `error_name`, in percent."""
        quality = self.quality(network, report)
        error = bootstrap(quality.images, self.error_of).standard_error
        return {**quality.metrics(), **({error_name(self.error_of): error} if math.isfinite(error) else {})}

    def quality(
        self,
        network: nn.Module,
        report: Report | None = None,
        keep: Callable[[int, PanopticMap], None] | None = None,
        observe: Callable[[int, PanopticMap, Prediction], None] | None = None,
    ) -> QualityReport:
        """Return the panoptic quality of a network, category by category.

        Args:
            network: A `PanopticNetwork`, on the device where it shall run; its modes are put back afterwards.
            report: Where metrics are published on the way.
            keep: Takes the index of each image and its predicted map.
            observe: Takes the index of each image, its truth and what the network found there before it was merged,
                things of any score among it; without it those that no rule of merging takes are left out.

        Raises:
            ValueError: If the batches are not the images of the data set, all of them and in its order, or
                `PanopticQuality.update` refuses one, which is named.
        """
        quality, found_by = PanopticQuality(self.dataset.categories), cast("PanopticNetwork", network)
        rules = rules_of(found_by, self.rules)
        least_score = rules.score_threshold if observe is None else 0.0
        index = 0
        with evaluating(network), torch.no_grad():
            for number, batch in enumerate(self.batches, 1):
                self._require_images(number, batch, index)
                for found in predict_each(found_by, batch, self.precision, least_score):
                    panoptic = map_of(found, self.dataset.categories, rules)
                    truth = self._truths[index]
                    self._update(quality, index, truth, panoptic)
                    if observe is not None:
                        observe(index, truth, found)
                    if keep is not None:
                        keep(index, panoptic)
                    index += 1
                if report is not None and self.report_every and number % self.report_every == 0:
                    report(number, quality.compute().metrics())
        if index != len(self.dataset):
            raise ValueError(
                f"the batches end after {index} of the {len(self.dataset)} images of {self.dataset.source}"
            )
        return quality.compute()

    def _update(self, quality: PanopticQuality, index: int, truth: PanopticMap, panoptic: PanopticMap) -> None:
        try:
            quality.update(truth, panoptic)
        except ValueError as error:
            image_id = self.dataset.image_ids[index].item()
            raise ValueError(f"{self.dataset.source}: image {image_id!r}: {error}") from error

    def _require_images(self, number: int, batch: Batch, index: int) -> None:
        expected = self.dataset.image_ids[index : index + len(batch)].tolist()
        if batch.image_ids != expected:
            raise ValueError(
                f"batch {number} holds the images {batch.image_ids}, but from index {index} on the data set "
                f"{self.dataset.source} has {expected}; give its batches without shuffling, as evaluation_batches does"
            )


def error_name(metric: str) -> str:
    """Return the name under which a metric's standard error over images stands among the metrics."""
    return f"{metric}_standard_error"


def predict(
    network: PanopticNetwork, batch: Batch, precision: str = "32-true", least_score: float = 0.0
) -> list[Prediction]:
    """Return what a network in eval mode says about a batch, on the network's device and in a precision.

    Things of a score below `least_score` are left out.
    """
    return list(predict_each(network, batch, precision, least_score))


def predict_each(
    network: PanopticNetwork, batch: Batch, precision: str = "32-true", least_score: float = 0.0
) -> Iterator[Prediction]:
    """Yield what `predict` returns, one image at a time, whose masks need not be kept beside the others'."""
    device = next(network.parameters()).device
    batch = batch.to(device)
    found = network.predict_each(batch.images, batch.sizes, batch.original_sizes, least_score=least_score)
    while True:
        with computing(precision, device):  # not while the caller has the image's prediction
            one = next(found, None)
        if one is None:
            return
        yield one


class PanopticEvaluator(SupernetEvaluator):
    """One-shot evaluation of candidates: activate, recalibrate batch norm, predict, merge, PQ.

    Recalibration runs the backbone alone, on images without targets, where all batch norms are in it, as in the
    published network; else the whole network, as for a prediction.

    Args:
        supernet: Of a `PanopticNetwork`, with trained weights.
        validation: The images to measure on.
        recalibrate_with: Batches for the path's batch-norm statistics, gone through once for each candidate: a list, or
            a loader where they are too many to keep. None keeps the supernet's own statistics, as does a supernet
            without batch norms to recalibrate, whose backbone is frozen.
    """

    def __init__(
        self, supernet: Supernet, validation: Validation, recalibrate_with: Iterable[Batch] | None = None
    ) -> None:
        super().__init__(
            supernet,
            validation,
            recalibrate_with=recalibrate_with if running_norms(supernet.module.modules()) else None,
            forward=partial(run_norms, precision=validation.precision),
        )


def run_norms(network: nn.Module, batch: Batch, precision: str = "32-true") -> None:
    """Run at least the part of a `PanopticNetwork` in eval mode that has batch norms."""
    found = cast("PanopticNetwork", network)
    if _norms(found) != _norms(found.backbone):
        predict(found, batch, precision)
        return
    device = next(network.parameters()).device
    with computing(precision, device):
        found.backbone(batch.to(device).images)


def _norms(module: nn.Module) -> int:
    return sum(isinstance(part, _BatchNorm) for part in module.modules())
