"""From segmentation logits at stride 4 to their loss, and to labels at an image's original size."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from autopanoptic.panoptic.data.categories import VOID
from autopanoptic.panoptic.data.transfers import send

MANY = 16
"""Classes that fill a vector of a CPU: from there on it is faster where those of a pixel lie side by side."""


def to_pixels(logits: Tensor) -> Tensor:
    """Logits at stride 4 to logits at every pixel: (B, K, H / 4, W / 4) to (B, K, H, W)."""
    return functional.interpolate(logits, scale_factor=4, mode="bilinear", align_corners=False)


class _Pixels(torch.autograd.Function):
    """`to_pixels`, back by two matrix products; torch's derivative adds pixel by pixel where channels are few."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> Tensor:
        ctx.size, ctx.dtype = logits.shape[-2:], logits.dtype
        return to_pixels(logits)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        rows, columns = (_upsampling(side).to(ctx.dtype) for side in ctx.size)
        # Image by image, whose pixels the processor's cache holds.
        return torch.stack([rows @ image @ columns.T for image in gradient])


def _upsampling(cells: int) -> Tensor:
    """How much each cell of an axis counts in each of its pixels, (cells, 4 cells)."""
    return functional.interpolate(torch.eye(cells)[None], scale_factor=4.0, mode="linear", align_corners=False)[0]


def segmentation_loss(logits: Tensor, semantic: Tensor) -> Tensor:
    """Cross-entropy per labelled pixel; zero when no pixel is labelled.

    Args:
        logits: (B, 1 + S, H / 4, W / 4).
        semantic: Labels 0..S (B, H, W), 255 where there is none (void and padding).
    """
    target = semantic.long()
    on_cpu, many = logits.device.type == "cpu", logits.shape[1] >= MANY
    if on_cpu and many:
        logits = logits.contiguous(memory_format=torch.channels_last)  # while they are few
    pixels: Tensor = (_Pixels.apply(logits) if on_cpu and not many else to_pixels(logits)).float()
    if on_cpu and many:
        pixels, target = pixels.movedim(1, -1).flatten(0, 2), target.flatten()
    total = functional.cross_entropy(pixels, target, ignore_index=VOID, reduction="sum")
    return total / (target != VOID).sum().clamp(min=1)


def label_pixels(logits: Tensor, size: tuple[int, int], original_size: tuple[int, int]) -> Tensor:
    """Semantic labels of one image at its original size.

    Args:
        logits: One image's logits (1 + S, H / 4, W / 4), padding included.
        size: The image's height and width without padding.
        original_size: Height and width of the wanted map.

    Returns:
        int64 labels 0..S, (original height, original width).
    """
    rows, row_weights = _cells_of_pixels(logits.shape[1], size[0], original_size[0])
    columns, column_weights = _cells_of_pixels(logits.shape[2], size[1], original_size[1])
    cells = logits.permute(1, 2, 0)
    wide = _weighted(cells, rows, row_weights).transpose(0, 1)
    return _weighted(wide, columns, column_weights).argmax(dim=2).T


def stuff_labels(classes: Tensor, num_stuff: int) -> Tensor:
    """Classes among all, stuff 0..S - 1 and then things, to semantic labels: 0 for any thing, 1..S for stuff."""
    return torch.where(classes < num_stuff, classes + 1, 0)


def _cells_of_pixels(cells: int, pixels: int, original: int) -> tuple[Tensor, Tensor]:
    """Which cells count how much in each pixel of an axis: twice (original, at most 3).

    Both resizings are linear, so that one step does what the two do; a pixel has two neighbours, and they three cells.
    """
    true = _upsampling(cells)[None, :, :pixels]
    if pixels != original:
        true = functional.interpolate(true, size=original, mode="linear", align_corners=False)
    weights, read = true[0].T.topk(min(3, cells), dim=1)
    return read, weights


def _weighted(rows: Tensor, read: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of a map's rows: (H, W, K) and twice (N, taps) to (N, W, K)."""
    flat = rows.reshape(len(rows), -1)
    read, weights = send(read, flat.device), send(weights.to(flat.dtype), flat.device)
    sums = functional.embedding_bag(read, flat, per_sample_weights=weights, mode="sum")
    return sums.view(-1, *rows.shape[1:])
