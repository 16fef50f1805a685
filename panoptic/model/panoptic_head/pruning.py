"""What a training asks of panoptic logits (Xiong et al. 2019, section 3.3): pruned instances, targets and loss."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from autopanoptic.panoptic.data.categories import THING, VOID
from autopanoptic.panoptic.data.loading.masks import ThingMasks
from autopanoptic.panoptic.data.transfers import send

IGNORED = -1
"""A cell that no loss counts. Not 255, which is an instance's channel where there are many."""
STRIDE = 4
"""Pixels of the image per cell of the logits."""


def kept_instances(count: int, generator: torch.Generator | None, share: float = 0.7) -> Tensor:
    """Draw the instances that a training keeps, so that the others teach it the unknown.

    Args:
        count: Instances of the image.
        generator: Draws them; None for torch's default one.
        share: Of the instances, rounded down to a whole number, but at least one, above 0 and at most 1.

    Returns:
        Places, int64 (K,), ascending, on the generator's device.

    Raises:
        ValueError: If the share is out of range.
    """
    if not 0 < share <= 1:
        raise ValueError(f"the share of kept instances must be above 0 and at most 1, not {share}")
    device = None if generator is None else generator.device
    order = torch.randperm(count, generator=generator, device=device)
    # 0.7 * 30 is 21, but other products lie just below their whole number.
    return order[: max(1, math.floor(share * count + 1e-9))].sort().values


def instance_numbers(masks: ThingMasks) -> Tensor:
    """Which of an image's things each pixel belongs to, int64 (h, w): 1..N, 0 for none of them.

    One map, so that no two of its masks overlap; the same cell of a quartered map is never given to two instances.
    """
    found = torch.zeros(masks.numbers.shape, dtype=torch.int64, device=masks.numbers.device)
    for index, number in enumerate(masks.things.to(masks.numbers.dtype).unbind(), start=1):
        found.masked_fill_(masks.numbers == number, index)
    return found


def quartered(labels: Tensor) -> Tensor:
    """Labels (..., H, W) of pixels as labels of cells of 4 x 4 pixels, each that of the pixel below right its centre.

    The same pixels as of ``functional.interpolate`` with ``"nearest-exact"``. H and W must be multiples of 4, as
    padded images' are.
    """
    return labels[..., STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]


def panoptic_target(
    semantic: Tensor, instances: Tensor, kept: Tensor, count: int, num_stuff: int, *, unknown: bool = True
) -> Tensor:
    """The channel of `panoptic_logits` that each cell should have.

    Args:
        semantic: Labels (H, W), 0 for things, 1..S for stuff, 255 for void, integers.
        instances: (H, W), the thing of each cell, 1..N, 0 for none; see `instance_numbers`.
        kept: Places of the instances that have a channel, ascending (K,); see `kept_instances`.
        count: N.
        num_stuff: S.
        unknown: Whether there is a channel for the unknown, which the other instances become; else `IGNORED`.

    Returns:
        int64 (H, W): stuff label s has channel s - 1, the k-th kept instance S + k, the unknown S + K. Void, and things
        that are no instance (crowds), are `IGNORED`.

    Raises:
        ValueError: When the maps' sizes differ.
    """
    if semantic.shape != instances.shape or semantic.ndim != 2:
        raise ValueError(
            f"labels {tuple(semantic.shape)} and instances {tuple(instances.shape)} must be maps of one size (H, W)"
        )
    device = semantic.device
    channels = torch.full((count + 1,), num_stuff + len(kept) if unknown else IGNORED, device=device)
    channels[send(kept, device) + 1] = torch.arange(len(kept), device=device) + num_stuff
    channels[:1].fill_(IGNORED)
    labels = semantic.long()
    stuff = torch.where((labels == VOID) | (labels == THING), IGNORED, labels - 1)
    return torch.where(labels == THING, channels[instances.long()], stuff)


def panoptic_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy over the cells of one image that have a label; 0 when none has.

    Args:
        logits: (K, H, W).
        target: Channels 0..K - 1 (H, W), `IGNORED` where there is none.
    """
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    total = functional.cross_entropy(wide[None], target[None], ignore_index=IGNORED, reduction="sum")
    return total / (target != IGNORED).sum().clamp(min=1)
