"""Losses of a part of a batch, such that those of all parts add up to the whole batch's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from autopanoptic.panoptic.model.heads.regions import Regions

OVER = {
    "objectness": "anchors",
    "rpn_box": "anchors",
    "classification": "rois",
    "box": "rois",
    "mask": "positives",
    "segmentation": "pixels",
    "roi_segmentation": "cells",
    "panoptic": "images",
    "relation": "images",
}
"""What each loss is a mean over; the soft ones are means over the same."""

Counts: TypeAlias = dict[str, Tensor]
"""How many sampled anchors, RoIs, positive RoIs, labelled pixels and so on there are, each a float32 scalar."""
Shares: TypeAlias = Callable[[Counts], Counts]
"""Takes a part's counts and returns by what to multiply the means over them."""


@dataclass(frozen=True)
class Drawn:
    """What `PanopticNetwork.draw` says of a part of a batch.

    Attributes:
        regions: Its RoIs; None without thing classes.
        counts: What its losses are means over.
    """

    regions: Regions | None
    counts: Counts


def shared(losses: Mapping[str, Tensor], factors: Counts) -> dict[str, Tensor]:
    """Return losses, soft ones among them, as shares of the whole batch's."""
    return {name: loss * factors[OVER[name.removeprefix("soft_")]] for name, loss in losses.items()}
