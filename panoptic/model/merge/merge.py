"""Merging instances and semantics into one panoptic map, where no pixel has two segments.

The procedure is that of "Panoptic Segmentation" (Kirillov et al. 2019, section 7): instances are
painted one after the other, each onto the pixels that are still free, and stuff fills the rest.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.segments import PanopticMap, Segment
from autopanoptic.panoptic.data.transfers import count_values, on_device
from autopanoptic.panoptic.model.merge.instances import Instance, candidates
from autopanoptic.panoptic.model.merge.rules import MergeRules

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
    the host waits for it twice (with the order "reference" three times), however many instances there are.

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
    found = candidates(scores, labels, masks, categories, rules)
    painted = _paint(found, semantic, rules.overlap_threshold)
    stuff = torch.where(semantic > 0, semantic + len(found), 0).to(torch.int32)
    combined = torch.where(painted > 0, painted, stuff)
    owners = [_Owner(one.category_id, one.score, 1) for one in found]
    owners += [_Owner(category.id, None, max(1, rules.stuff_area)) for category in categories.stuff]
    return _compact(combined, owners, _areas(combined, len(owners), semantic, categories))


class _Owner(NamedTuple):
    """What a number in the map before renumbering stands for, and the pixels that it needs to stay."""

    category_id: int
    score: float | None
    least: int


def _paint(instances: list[Instance], semantic: Tensor, overlap_threshold: float) -> Tensor:
    """Paints the instances in turn, 1, 2, ... by their rank, without waiting for the device."""
    painted = torch.zeros(semantic.shape, dtype=torch.int32, device=semantic.device)
    for rank, one in enumerate(instances, start=1):
        target = painted[one.box]
        free = one.crop & (target == 0)
        area = torch.count_nonzero(one.crop).double()
        taken = area - torch.count_nonzero(free)
        target.masked_fill_(free & (taken / area <= overlap_threshold), rank)
    return painted


def _areas(combined: Tensor, numbers: int, semantic: Tensor, categories: Categories) -> list[int]:
    """The pixels of every number from 0 on; with them come the ends of the labels' range, which is checked."""
    fetched: list[int] = torch.cat((torch.stack(torch.aminmax(semantic)), count_values(combined, numbers + 1))).tolist()
    lowest, highest, *areas = fetched
    if lowest < 0 or highest > len(categories.stuff):
        wrong = lowest if lowest < 0 else highest
        raise ValueError(
            f"semantic label {wrong} is not in 0..{len(categories.stuff)}: 0 is any thing, "
            "then one label per stuff category"
        )
    return areas


def _compact(combined: Tensor, owners: list[_Owner], areas: list[int]) -> PanopticMap:
    """Renumbers 1..K what has enough pixels; owners[i - 1] is what number i stands for."""
    table = [0] * (len(owners) + 1)
    segments: list[Segment] = []
    for number, (category_id, score, least) in enumerate(owners, start=1):
        if areas[number] >= least:
            table[number] = len(segments) + 1
            segments.append(Segment(table[number], category_id, areas[number], score=score))
    lookup = on_device(table, combined.device, torch.int32)
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
