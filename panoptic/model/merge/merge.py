"""Merging instances and semantics into one panoptic map, where no pixel has two segments.

The procedure is that of "Panoptic Segmentation" (Kirillov et al. 2019, section 7): instances are
painted one after the other, each onto the pixels that are still free, and stuff fills the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.segments import PanopticMap, Segment

Order: TypeAlias = Literal["score", "reference"]


@dataclass(frozen=True)
class MergeRules:
    """How instances and stuff share the pixels.

    Attributes:
        order: Which instance is painted first. "score": the most confident one, as panopticapi and
            detectron2 do. "reference": the smallest of those whose score exceeds `confident`, then
            the others by score, as the reference code of Auto-Panoptic does.
        score_threshold: Instances of a lower score are dropped, 0 to 1.
        overlap_threshold: An instance is dropped when a larger share of its mask is taken, 0 to 1.
        stuff_area: A stuff class with fewer free pixels, at the true image size, stays void.
        confident: The score that separates the two groups of "reference", 0 to 1.

    Raises:
        ValueError: When a value is out of its range.
    """

    order: Order = "score"
    score_threshold: float = 0.5
    overlap_threshold: float = 0.5
    stuff_area: int = 64 * 64
    confident: float = 0.725

    def __post_init__(self) -> None:
        if self.order not in get_args(Order):
            raise ValueError(f"order must be one of {get_args(Order)}, not {self.order!r}")
        for name in ("score_threshold", "overlap_threshold", "confident"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be from 0 to 1, not {value}")
        if self.stuff_area < 0:
            raise ValueError(f"stuff_area must be at least 0 pixels, not {self.stuff_area}")


_DEFAULT_RULES = MergeRules()


def merge(
    scores: Tensor,
    labels: Tensor,
    masks: Tensor,
    semantic: Tensor,
    categories: Categories,
    rules: MergeRules = _DEFAULT_RULES,
) -> PanopticMap:
    """Merges one image's instances and semantic labels into a panoptic map.

    Ties in the order are broken by the position of the input. The work stays on the tensors' device;
    the host waits for it a few times per image, however many instances there are.

    Args:
        scores: (N,) confidences of the instances, 0 to 1.
        labels: (N,) thing labels, 1 to the number of thing categories.
        masks: (N, H, W) bool, at the true image size.
        semantic: (H, W) int64 labels: 0 where any thing is expected, else the stuff label,
            1 to the number of stuff categories. What is 0 and not painted by an instance stays void.
        categories: What the labels stand for.
        rules: Thresholds and the order of painting.

    Returns:
        A map of int32 ids 1..K on the same device, instances first, in the order of painting, then
        stuff by label. Every segment's area is the number of its pixels, and is not 0.

    Raises:
        ValueError: When shapes or types do not fit, a score is not from 0 to 1 (or is NaN), or a
            label stands for no category.
    """
    _check_tensors(scores, labels, masks, semantic)
    found = _candidates(scores, labels, masks, categories, rules)
    painted = _paint(found, semantic, rules.overlap_threshold)
    combined = torch.where(painted > 0, painted, _stuff(semantic, categories, first=len(found) + 1))
    owners = [_Owner(one.category_id, one.score, 1) for one in found]
    owners += [_Owner(category.id, None, max(1, rules.stuff_area)) for category in categories.stuff]
    return _compact(combined, owners)


class _Owner(NamedTuple):
    """What a number in the map before renumbering stands for, and the pixels that it needs to stay."""

    category_id: int
    score: float | None
    least: int


@dataclass(frozen=True)
class _Instance:
    """An instance above the threshold: its mask's bounding box, and the mask within it."""

    category_id: int
    score: float
    box: tuple[slice, slice]
    crop: Tensor


def _candidates(
    scores: Tensor, labels: Tensor, masks: Tensor, categories: Categories, rules: MergeRules
) -> list[_Instance]:
    """The instances that are confident enough and not empty, in the order of painting."""
    confidences: list[float] = scores.detach().double().tolist()
    names: list[int] = labels.tolist()
    _check_values(confidences, names, len(categories.things))
    found = [
        _Instance(categories.things[label - 1].id, score, box, mask[box])
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


def _areas(instances: list[_Instance]) -> list[int]:
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


def _paint(instances: list[_Instance], semantic: Tensor, overlap_threshold: float) -> Tensor:
    """Paints the instances in turn, 1, 2, ... by their rank, without waiting for the device."""
    painted = torch.zeros(semantic.shape, dtype=torch.int32, device=semantic.device)
    for rank, one in enumerate(instances, start=1):
        target = painted[one.box]
        free = one.crop & (target == 0)
        area = torch.count_nonzero(one.crop).double()
        taken = area - torch.count_nonzero(free)
        target.masked_fill_(free & (taken / area <= overlap_threshold), rank)
    return painted


def _stuff(semantic: Tensor, categories: Categories, first: int) -> Tensor:
    """Numbers the stuff labels first, first + 1, ...; 0 stays 0."""
    lowest, highest = (int(value) for value in torch.aminmax(semantic))
    if lowest < 0 or highest > len(categories.stuff):
        wrong = lowest if lowest < 0 else highest
        raise ValueError(
            f"semantic label {wrong} is not in 0..{len(categories.stuff)}: 0 is any thing, "
            "then one label per stuff category"
        )
    return torch.where(semantic > 0, semantic + (first - 1), 0).to(torch.int32)


def _compact(combined: Tensor, owners: list[_Owner]) -> PanopticMap:
    """Renumbers 1..K what has enough pixels; owners[i - 1] is what number i stands for."""
    areas: list[int] = torch.bincount(combined.flatten(), minlength=len(owners) + 1).tolist()
    table = [0] * (len(owners) + 1)
    segments: list[Segment] = []
    for number, (category_id, score, least) in enumerate(owners, start=1):
        if areas[number] >= least:
            table[number] = len(segments) + 1
            segments.append(Segment(table[number], category_id, areas[number], score=score))
    lookup = torch.tensor(table, dtype=torch.int32, device=combined.device)
    return PanopticMap(lookup[combined.long()], tuple(segments))


def _check_tensors(scores: Tensor, labels: Tensor, masks: Tensor, semantic: Tensor) -> None:
    if masks.ndim != 3 or masks.dtype != torch.bool:
        raise ValueError(f"masks must be (N, H, W) of bool, not {tuple(masks.shape)} of {masks.dtype}")
    count = len(masks)
    if scores.shape != (count,) or labels.shape != (count,):
        raise ValueError(
            f"{count} masks need {count} scores and labels, not {tuple(scores.shape)} and {tuple(labels.shape)}"
        )
    if labels.dtype != torch.int64 or semantic.dtype != torch.int64:
        raise ValueError(f"labels must be int64, not {labels.dtype} of things and {semantic.dtype} of stuff")
    if semantic.shape != masks.shape[1:] or semantic.numel() == 0:
        raise ValueError(
            f"the semantic map is {tuple(semantic.shape)}, the masks are {tuple(masks.shape[1:])}; "
            "both must have the image's size"
        )


def _check_values(scores: list[float], labels: list[int], things: int) -> None:
    for score in scores:
        if not 0 <= score <= 1:
            raise ValueError(f"score {score} is not from 0 to 1; pass probabilities, not logits")
    for label in labels:
        if not 1 <= label <= things:
            raise ValueError(f"thing label {label} is not in 1..{things}; 0, the background, is no label")
