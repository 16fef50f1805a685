"""The instances that are painted, in their order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
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
    confidences: list[float] = scores.detach().double().tolist()
    names: list[int] = labels.tolist()
    _check_values(confidences, names, len(categories.things))
    found = [
        Instance(categories.things[label - 1].id, score, box, mask[box])
        for score, label, box, mask in zip(confidences, names, _boxes(masks), masks, strict=True)
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


def _boxes(masks: Tensor) -> list[tuple[slice, slice] | None]:
    """The bounding box of every mask, None for an empty one."""
    # As bytes, because reducing bool tensors is ten times slower on a CPU.
    pixels = masks.view(torch.uint8)
    rows: NDArray[np.uint8] = pixels.amax(2).cpu().numpy()
    columns: NDArray[np.uint8] = pixels.amax(1).cpu().numpy()
    return [(_span(row), _span(column)) if row.any() else None for row, column in zip(rows, columns, strict=True)]


def _span(taken: NDArray[np.uint8]) -> slice:
    where = np.flatnonzero(taken)
    return slice(int(where[0]), int(where[-1]) + 1)


def _check_values(scores: list[float], labels: list[int], things: int) -> None:
    for score in scores:
        if not 0 <= score <= 1:
            raise ValueError(f"score {score} is not from 0 to 1; pass probabilities, not logits")
    for label in labels:
        if not 1 <= label <= things:
            raise ValueError(f"thing label {label} is not in 1..{things}; 0, the background, is no label")
