"""The instances that are painted, in their order."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.model.merge.rules import MergeRules


@dataclass(frozen=True)
class Instance:
    """An instance above the threshold: its mask's bounding box, and the mask within it."""

    category_id: int
    score: float
    box: tuple[slice, slice]
    crop: Tensor


def candidates(
    scores: Tensor, labels: Tensor, masks: Tensor, categories: Categories, rules: MergeRules
) -> list[Instance]:
    """The instances that are confident enough and not empty, in the order of painting."""
    # At once, so that the host waits once.
    fetched = torch.cat((scores.detach().double()[:, None], labels.double()[:, None], _spans(masks)), dim=1).tolist()
    _check_values([row[0] for row in fetched], [int(row[1]) for row in fetched], len(categories.things))
    boxes = [_box(*map(int, row[2:])) for row in fetched]
    found = [
        Instance(categories.things[int(label) - 1].id, score, box, mask[box])
        for (score, label, *_), box, mask in zip(fetched, boxes, masks, strict=True)
        if score >= rules.score_threshold and box is not None
    ]
    if rules.order == "score":
        return sorted(found, key=lambda one: -one.score)
    areas = _areas(found)
    keys = [
        (0, area) if one.score > rules.confident else (1, -one.score) for one, area in zip(found, areas, strict=True)
    ]
    return [found[i] for i in sorted(range(len(found)), key=keys.__getitem__)]


def _areas(instances: list[Instance]) -> list[int]:
    """Pixels of every mask, fetched from the device at once."""
    if not instances:
        return []
    areas: list[int] = torch.stack([torch.count_nonzero(one.crop) for one in instances]).tolist()
    return areas


def _spans(masks: Tensor) -> Tensor:
    """The first row and column of every mask and those behind its last ones: (N, 4), alike where a mask is empty."""
    # As bytes, because reducing bool tensors is ten times slower on a CPU.
    pixels = masks.view(torch.uint8)
    firsts, ends = [], []
    for taken in (pixels.amax(2), pixels.amax(1)):
        length = taken.shape[1]
        firsts.append(taken.argmax(1))
        ends.append(torch.where(taken.amax(1) > 0, length - taken.flip(1).argmax(1), firsts[-1]))
    return torch.stack((*firsts, *ends), dim=1)


def _box(top: int, left: int, bottom: int, right: int) -> tuple[slice, slice] | None:
    return (slice(top, bottom), slice(left, right)) if bottom > top else None


def _check_values(scores: list[float], labels: list[int], things: int) -> None:
    for score in scores:
        if not 0 <= score <= 1:
            raise ValueError(f"score {score} is not from 0 to 1; pass probabilities, not logits")
    for label in labels:
        if not 1 <= label <= things:
            raise ValueError(f"thing label {label} is not in 1..{things}; 0, the background, is no label")
