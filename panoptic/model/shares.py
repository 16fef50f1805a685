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
    "first_segmentation": "pixels",
    "first_roi_segmentation": "cells",
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
    """Return losses, soft ones among them, as shares of the whole batch's.

    A loss that is not in `OVER` is a component's own, and a mean over what its ``counts`` gives under the same name.

    Raises:
        ValueError: If nothing says what a loss is a mean over.
    """
    return {name: loss * factors[_over(name.removeprefix("soft_"), factors)] for name, loss in losses.items()}


def _over(name: str, factors: Counts) -> str:
    found = OVER.get(name, name.removeprefix("first_"))
    if found not in factors:
        raise ValueError(
            f"nothing says what the loss {name!r} is a mean over, by which it is put together from the parts of a "
            f"batch; have counts(truth) of its component give that number as {found!r}"
        )
    return found
