"""Whether the anchors fit the things of a data set."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import itemgetter

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou

from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.data.loading.placement import Size
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.data.problems import DatasetWarning
from autopanoptic.panoptic.model.config import PYRAMID_STRIDES, PanopticConfig
from autopanoptic.panoptic.model.heads.rpn import FixedStrideAnchors

LOOKED_AT = 100
"""Images whose boxes are compared with the anchors."""
ENOUGH = 0.5
QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Of the things' sizes, at each of which a suggested row of anchors may begin."""
RATIOS = (1.3, 1.5, 1.7, 2.0)
FITTED = 30
"""Images on which rows of anchors are tried."""
_Row = tuple[int, int, int, int, int]


def check_anchors(dataset: CocoPanoptic, transform: Transform, config: PanopticConfig, *, seed: int = 0) -> None:
    """Compare a sample of a data set's boxes, as the network sees them, with the anchors.

    Boxes without an anchor that overlaps them enough to be positive are learned from their best anchor alone, and
    badly proposed.

    Args:
        dataset: The training images.
        transform: What is done to them.
        config: Has the anchors, and the overlap from which they are positive.
        seed: Decides the sample.

    Warns:
        DatasetWarning: Fewer than half of the boxes have a positive anchor; the message has the share, the quantiles of
            the boxes' sizes, and anchor sizes that fit them.
    """
    if not config.num_things:
        return
    found = list(_boxes(dataset, transform, seed))
    share = coverage(found, config)
    if share >= ENOUGH:
        return
    boxes = torch.cat([boxes for boxes, _ in found])
    sides = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).sqrt().quantile(torch.tensor(QUANTILES)).tolist()
    named = ", ".join(f"{side:.0f} pixels at {part:.0%}" for side, part in zip(sides, QUANTILES, strict=True))
    better, reached = _suggestion(found[:FITTED], sides, config)
    advice = "no row of sizes fits them better"
    if reached > share:
        advice = f"try anchor_sizes {list(better)}, which overlap {reached:.0%}"
    remark = (
        f"anchors of {', '.join(map(str, config.anchor_sizes))} pixels overlap {share:.0%} of {len(boxes)} boxes by "
        f"an IoU of at least {config.rpn_foreground_iou:g}, so that most things are badly proposed. The boxes' sizes "
        f"(roots of their areas) are {named}: {advice}"
    )
    warnings.warn(DatasetWarning(dataset.source, [remark]), stacklevel=2)


def coverage(images: Sequence[tuple[Tensor, Size]], config: PanopticConfig) -> float:
    """Share of the boxes (N, 4) of images of some sizes that have a positive anchor; 1 without any box."""
    overlaps = torch.cat([torch.zeros(0), *(best_overlaps(boxes, size, config) for boxes, size in images)])
    return float((overlaps >= config.rpn_foreground_iou).float().mean()) if len(overlaps) else 1.0


def _suggestion(
    images: Sequence[tuple[Tensor, Size]], sides: Sequence[float], config: PanopticConfig
) -> tuple[_Row, float]:
    """The geometric row of anchor sizes with the largest coverage, and that."""
    rows = sorted({_row(side, ratio) for side in sides for ratio in RATIOS})
    return max(((row, coverage(images, replace(config, anchor_sizes=row))) for row in rows), key=itemgetter(1))


def _row(smallest: float, ratio: float) -> _Row:
    first, second, third, fourth, fifth = (max(1, round(smallest * ratio**level)) for level in range(5))
    return first, second, third, fourth, fifth


def best_overlaps(boxes: Tensor, size: Size, config: PanopticConfig) -> Tensor:
    """IoU (N,) of boxes (N, 4) with the best of all anchors of an image of some height and width."""
    anchors = FixedStrideAnchors(config.anchor_sizes, config.anchor_ratios, PYRAMID_STRIDES)
    anchors.set_cell_anchors(torch.float32, torch.device("cpu"))
    cells = [[-(-side // stride) for side in size] for stride in PYRAMID_STRIDES]
    overlaps = [box_iou(boxes, level).amax(dim=1) for level in anchors.grid_anchors(cells, anchors.strides)]
    return torch.stack(overlaps).amax(dim=0)


def _boxes(dataset: CocoPanoptic, transform: Transform, seed: int) -> Iterator[tuple[Tensor, Size]]:
    count = min(LOOKED_AT, len(dataset))
    for index in np.random.default_rng(seed).choice(len(dataset), size=count, replace=False).tolist():
        example = transform(dataset[index])
        yield example.truth.boxes, example.size
