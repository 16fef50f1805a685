"""What panoptic quality counts, image by image, so that images can be drawn again (bootstrap)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.data.segments import PanopticMap
from autopanoptic.panoptic.quality.metric import PanopticQuality
from autopanoptic.panoptic.search.evaluator import Validation

Counts = NDArray[np.float32]
"""(images, categories, 4): of each image and category the sum of the matches' IoU, and TP, FP and FN."""


def counts_of(network: nn.Module, validation: Validation, dataset: CocoPanoptic) -> Counts:
    """Measure a network on every image of a split."""
    found = np.zeros((len(dataset), len(dataset.categories), 4), np.float32)

    def keep(index: int, panoptic: PanopticMap) -> None:
        quality = PanopticQuality(dataset.categories)
        quality.update(dataset.truth(index), panoptic)
        for row, one in zip(found[index], quality.compute().per_category.values(), strict=True):
            row[:] = one.iou, one.tp, one.fp, one.fn

    with torch.no_grad():
        validation.quality(network, keep=keep)
    return found


def by_category(counts: NDArray[np.float64] | Counts) -> NDArray[np.float64]:
    """Return each category's PQ in percent, of counts summed over images; nan where none is seen.

    Args:
        counts: (..., categories, 4).
    """
    iou, tp, fp, fn = np.moveaxis(np.asarray(counts, np.float64), -1, 0)
    segments = tp + (fp + fn) / 2
    with np.errstate(invalid="ignore"):
        return 100 * np.where(segments > 0, iou / segments, np.nan)


def pq(counts: NDArray[np.float64] | Counts) -> NDArray[np.float64]:
    """Return PQ in percent of counts summed over images: the mean over the categories seen.

    Args:
        counts: (..., categories, 4).
    """
    mean: NDArray[np.float64] = np.nanmean(by_category(counts), axis=-1)
    return mean


def pq_of(counts: Counts) -> float:
    """Return the PQ in percent on all images of some counts."""
    return float(pq(counts.sum(axis=0, dtype=np.float64)))


def resampled(counts: Counts, draws: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the PQ in percent, (B,), of B sets of images drawn with replacement, as how often each image is drawn.

    Args:
        counts: Of a network.
        draws: (B, images).
    """
    images = counts.reshape(len(counts), -1).astype(np.float64)
    return pq((draws @ images).reshape(len(draws), *counts.shape[1:]))
