"""The batches on which a run measures networks."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.data.coco.truths import Truths
from autopanoptic.panoptic.data.loading.batch import Batch, kept
from autopanoptic.panoptic.data.loading.batches import evaluation_batches, training_batches
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.search.evaluator import Validation
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.machine import device_of
from autopanoptic.panoptic.training.recipe import Recipe


def batches_of(
    settings: Settings, dataset: CocoPanoptic, divisor: int
) -> list[Batch] | torch.utils.data.DataLoader[Batch]:
    """Return a split's batches for evaluation, decoded once where they are few."""
    transform = settings.transform()
    loader = evaluation_batches(
        dataset,
        transform,
        batch_size=settings.machine.evaluation_batch,
        divisor=divisor,
        workers=settings.machine.loaders,
        pin_memory=device_of(settings).type == "cuda",
    )
    return kept(loader) if decoded_bytes(dataset, transform) <= settings.machine.memory else loader


LOOKS = 5, 25
"""A candidate is looked at more than so many times and at most so many times on its way through nas_val."""


def validation_of(settings: Settings, dataset: CocoPanoptic, divisor: int, *, reports: bool = False) -> Validation:
    """Return what measures networks on a split, in the run's precision and by its rules of merging.

    Args:
        settings: Of the run.
        dataset: The split.
        divisor: See `batches_of`.
        reports: Whether metrics are published on the way, after each of the chunks of `chunks_of`.
    """
    return Validation(
        dataset,
        batches_of(settings, dataset, divisor),
        settings.merge,
        report_every=chunks_of(settings, dataset)[1] if reports else None,
        precision=settings.machine.precision,
        error_of=settings.search.objective,
        truths=Truths(dataset, settings.machine.memory),
    )


def chunks_of(settings: Settings, dataset: CocoPanoptic) -> tuple[int, int | None]:
    """Return a split's number of batches, and how many of them make one of the equal chunks that are reported.

    The second is None where there are too few batches for several looks.
    """
    batches = -(-len(dataset) // settings.machine.evaluation_batch)
    least, most = LOOKS
    if batches <= least:
        return batches, None
    sizes = (size for size in range(1, batches) if batches % size == 0 and least < batches // size <= most)
    return batches, next(sizes, 1)


def training_validation(settings: Settings, recipe: Recipe, dataset: CocoPanoptic, divisor: int) -> Validation | None:
    """Return what measures a training on its way, on nas_val; None where that is not asked for."""
    return validation_of(settings, dataset, divisor) if recipe.validate_every else None


def recalibration_batches(settings: Settings, dataset: CocoPanoptic, divisor: int) -> Iterable[Batch] | None:
    """Return the training batches that a candidate's batch norm sees; the same ones for every candidate."""
    if not settings.search.recalibration_batches:
        return None
    transform = settings.transform()
    images = settings.search.recalibration_batches * settings.supernet.batch_size
    loader = training_batches(
        dataset, transform, batch_size=settings.supernet.batch_size, divisor=divisor,
        seed=settings.seed + 1, stop=settings.search.recalibration_batches, workers=settings.machine.loaders,
        pin_memory=device_of(settings).type == "cuda", labelled=False,
    )  # fmt: skip
    return (
        kept(loader) if decoded_bytes(dataset, transform) * images <= settings.machine.memory * len(dataset) else loader
    )


def decoded_bytes(dataset: CocoPanoptic, transform: Transform) -> int:
    """Return about how much memory the images of a data set take in batches."""
    return sum(3 * math.prod(transform.size(height, width)) for height, width in dataset.sizes.tolist())
