"""From panoptic logits to a map, as UPSNet does it (Xiong et al. 2019, section 3.3).

In this order: `selection` chooses the instances, `panoptic_logits` gives each a channel, `label_cells` says which
channel each pixel has, of the panoptic and of the semantic scores, and `panoptic_map` makes the map.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.segments import PanopticMap, Segment
from autopanoptic.panoptic.data.transfers import count_values, on_device
from autopanoptic.panoptic.model.panoptic_head.pruning import STRIDE
from autopanoptic.panoptic.model.panoptic_head.rules import DEFAULT_RULES, HeadRules

CHANNELS = 8
"""Channels that are enlarged to the image's size at once."""


def label_cells(logits: Tensor, size: tuple[int, int], original_size: tuple[int, int]) -> Tensor:
    """The channel of each pixel: the best one at the input's size, then read at the nearest pixel of the original.

    A few channels at a time, as all of them at the input's size may take gigabytes. Of equal ones the first wins.

    Args:
        logits: Of one image, panoptic or semantic, (K, H / 4, W / 4), padding included.
        size: Height and width of the input without padding.
        original_size: Height and width of the wanted map.

    Returns:
        int64 (original height, original width), 0..K - 1.
    """
    height, width = size
    best = torch.full(size, -torch.inf, device=logits.device)
    label = torch.zeros(size, dtype=torch.int64, device=logits.device)
    for start in range(0, len(logits), CHANNELS):
        part = logits[start : start + CHANNELS].float()[None]
        enlarged = functional.interpolate(part, scale_factor=STRIDE, mode="bilinear", align_corners=False)
        value, channel = enlarged[0, :, :height, :width].max(dim=0)
        label = torch.where(value > best, channel + start, label)
        best = torch.maximum(best, value)
    rows, columns = (_nearest(*pair, logits.device) for pair in zip(size, original_size, strict=True))
    return label[rows[:, None], columns]


def panoptic_map(
    channels: Tensor,
    semantic: Tensor,
    scores: Tensor,
    labels: Tensor,
    categories: Categories,
    rules: HeadRules = DEFAULT_RULES,
) -> PanopticMap:
    """Make the map of the channels that the pixels have; what `merge` makes of masks.

    The work stays on the tensors' device, for which the host waits once.

    Args:
        channels: int64 (H, W) at the true image size: stuff label s is s - 1, instance i is S + i; what is S + n, the
            unknown, is void.
        semantic: int64 (H, W), the best class of the semantic scores: stuff label s is s - 1, thing label l is
            S + l - 1.
        scores: Of the instances (n,), 0 to 1.
        labels: (n,), 1..T.
        categories: What the labels stand for.
        rules: When an instance becomes stuff, and which stuff is void.

    Returns:
        A map of int32 ids 1..K on the same device, instances first, in their order, then stuff by label. Every
        segment's area is the number of its pixels, and is not 0.

    Raises:
        ValueError: When shapes or types do not fit, a score is not from 0 to 1, or a label or a channel stands for
            nothing.
    """
    _check(channels, semantic, scores, labels)
    stuff, classes, count = len(categories.stuff), len(categories), len(labels)
    # What is negative is refused when it is known.
    joint = (channels * classes + semantic).flatten().clamp(min=0)
    pairs = count_values(joint, (stuff + count + 1) * classes)
    ends = torch.stack((*torch.aminmax(channels), *torch.aminmax(semantic))).double()
    fetched = torch.cat((ends, scores.double(), labels.double(), pairs.double())).tolist()
    found = fetched[4 : 4 + count], [int(label) for label in fetched[4 + count : 4 + 2 * count]]
    _check_values([int(end) for end in fetched[:4]], *found, categories)
    numbers = [int(number) for number in fetched[4 + 2 * count :]]
    rows = [numbers[start : start + classes] for start in range(0, len(numbers), classes)]
    table, segments = _segments(rows, *found, categories, rules)
    return PanopticMap(on_device(table, channels.device, torch.int32)[channels], segments)


def _segments(
    rows: Sequence[Sequence[int]],
    scores: Sequence[float],
    labels: Sequence[int],
    categories: Categories,
    rules: HeadRules,
) -> tuple[list[int], tuple[Segment, ...]]:
    """The id of every channel, and the segments.

    Args:
        rows: How many pixels of each channel have each class of the semantic map.
        scores: Of the instances.
        labels: Of the instances.
        categories: What the labels stand for.
        rules: See `panoptic_map`.
    """
    stuff, table, segments = len(categories.stuff), [0] * len(rows), list[Segment]()
    areas = [sum(row) for row in rows]
    # Which stuff each channel is, if any.
    owner: dict[int, int] = {channel: channel for channel in range(stuff)}
    for index, (score, label) in enumerate(zip(scores, labels, strict=True), start=stuff):
        if not areas[index]:
            continue
        most = max(range(stuff), key=rows[index].__getitem__, default=None)
        if most is not None and rows[index][most] >= rules.majority * areas[index]:
            owner[index] = most
        else:
            table[index] = len(segments) + 1
            segments.append(Segment(table[index], categories.things[label - 1].id, areas[index], score=score))
    for place, category in enumerate(categories.stuff):
        parts = [channel for channel, own in owner.items() if own == place]
        area = sum(areas[channel] for channel in parts)
        if area >= max(1, rules.stuff_area):
            segments.append(Segment(len(segments) + 1, category.id, area))
            for channel in parts:
                table[channel] = len(segments)
    return table, tuple(segments)


def _nearest(pixels: int, original: int, device: torch.device) -> Tensor:
    """The pixel of an axis whose centre is nearest to that of each of the original's."""
    return ((torch.arange(original, device=device) + 0.5) * pixels / original).long().clamp(max=pixels - 1)


def _check(channels: Tensor, semantic: Tensor, scores: Tensor, labels: Tensor) -> None:
    if channels.ndim != 2 or channels.numel() == 0 or channels.shape != semantic.shape:
        raise ValueError(
            f"channels and semantic labels must be maps of the image's size, not {tuple(channels.shape)} and "
            f"{tuple(semantic.shape)}"
        )
    if any(one.dtype != torch.int64 for one in (channels, semantic, labels)):
        raise ValueError(
            f"channels, classes and labels must be int64, not {channels.dtype}, {semantic.dtype} and {labels.dtype}"
        )
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise ValueError(f"as many scores as labels are needed, not {tuple(scores.shape)} and {tuple(labels.shape)}")


def _check_values(ends: Sequence[int], scores: Sequence[float], labels: Sequence[int], categories: Categories) -> None:
    stuff, things = len(categories.stuff), len(categories.things)
    limits = (("channel", stuff + len(labels)), ("semantic class", stuff + things - 1))
    for (name, last), (lowest, highest) in zip(limits, (ends[:2], ends[2:]), strict=True):
        if lowest < 0 or highest > last:
            raise ValueError(f"{name} {lowest if lowest < 0 else highest} is not in 0..{last}")
    for score in scores:
        if not 0 <= score <= 1:
            raise ValueError(f"score {score} is not from 0 to 1; pass probabilities, not logits")
    for label in labels:
        if not 1 <= label <= things:
            raise ValueError(f"thing label {label} is not in 1..{things}")
