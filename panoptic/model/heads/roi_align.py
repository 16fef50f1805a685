"""RoIAlign (He et al. 2017, section 3), quick on CPU and GPU."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import roi_align as torchvision_roi_align


def roi_align(x: Tensor, rois: Tensor, side: int, scale: float, sampling_ratio: int, aligned: bool) -> Tensor:
    """Average bilinear samples of a map in the cells of a grid over each box, in single precision at least.

    On a CPU this is `pyramid_roi_align`, elsewhere torchvision's operator. No gradient reaches the boxes.

    Args:
        x: Features, (B, C, H, W).
        rois: (N, 5): the image's index, then x1, y1, x2, y2 in pixels.
        side: Cells of the grid along each axis.
        scale: Cells of the map per pixel.
        sampling_ratio: Samples per cell and axis, at least 1.
        aligned: Whether a cell's centre lies half a cell from its edge; else it lies on it, and boxes are at least
            one cell wide and high.

    Returns:
        (N, C, side, side).
    """
    if x.device.type == "cpu":
        levels = torch.zeros(len(rois), dtype=torch.int64)
        return pyramid_roi_align([x], rois, levels, side, [scale], sampling_ratio, aligned)
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    pooled: Tensor = torchvision_roi_align(wide, rois, side, scale, sampling_ratio, aligned)
    return pooled


def pyramid_roi_align(
    maps: Sequence[Tensor], rois: Tensor, levels: Tensor, side: int, scales: Sequence[float], sampling_ratio: int,
    aligned: bool,
) -> Tensor:  # fmt: skip
    """RoIAlign of boxes from a map each, at once.

    A product of a sparse matrix, which holds each sample's four cells and their weights, with the maps: as
    torchvision's operator, but over all channels of a cell at once, which on a CPU is faster forth and most of all
    back, and without putting what each level gives in the boxes' order.

    Args:
        maps: Features, (B, C, H, W) each.
        rois: As of `roi_align`.
        levels: The map of each box, (N,).
        side: As of `roi_align`.
        scales: Cells of each map per pixel.
        sampling_ratio: As of `roi_align`.
        aligned: As of `roi_align`.

    Returns:
        (N, C, side, side), the channels of a cell side by side in memory.
    """
    dtype, channels = torch.promote_types(maps[0].dtype, torch.float32), maps[0].shape[1]
    if not len(rois):
        return maps[0].new_zeros((0, channels, side, side), dtype=dtype)
    image, x1, y1, x2, y2 = (rois.detach().to(dtype) * _factors(scales, levels, dtype)).unbind(1)
    heights, widths = (torch.tensor([x.shape[axis] for x in maps])[levels] for axis in (-2, -1))
    rows, row_weights = _samples(y1, y2, side, heights, sampling_ratio, aligned)
    columns, column_weights = _samples(x1, x2, side, widths, sampling_ratio, aligned)
    starts = torch.tensor([0, *accumulate(x[:, 0].numel() for x in maps)])[levels]
    firsts = starts + image.long() * heights * widths
    cells = firsts[:, None, None] + rows * widths[:, None, None]
    cells = cells[:, :, None, :, None] + columns[:, None, :, None, :]
    weights = row_weights[:, :, None, :, None] * column_weights[:, None, :, None, :]
    taps = (2 * sampling_ratio) ** 2
    table = torch.cat([x.to(dtype).permute(0, 2, 3, 1).reshape(-1, channels) for x in maps])
    means: Tensor = _WeightedRows.apply(table, cells.reshape(-1, taps), weights.reshape(-1, taps))
    return means.view(-1, side, side, channels).permute(0, 3, 1, 2)


def _factors(scales: Sequence[float], levels: Tensor, dtype: torch.dtype) -> Tensor:
    """What takes each box to the cells of its map, (N, 5): the image's index stays."""
    chosen = torch.tensor(scales, dtype=dtype)[levels][:, None].expand(-1, 4)
    return torch.cat((torch.ones_like(chosen[:, :1]), chosen), dim=1)


def _samples(
    start: Tensor, end: Tensor, side: int, cells: Tensor, samples: int, aligned: bool
) -> tuple[Tensor, Tensor]:
    """The cells of a map's axis that each cell of the grids' axis reads, and their weights: twice (N, side, taps).

    Args:
        start: Of each box, in cells (N,).
        end: Likewise.
        side: Cells of the grid's axis.
        cells: Of the axis of each box's map, (N,).
        samples: In a cell of the grid.
        aligned: As of `roi_align`.
    """
    offset = 0.5 if aligned else 0.0
    extent = end - start if aligned else (end - start).clamp(min=1.0)
    # In torchvision's order of operations, so that samples beside a border fall on the same side of it.
    step = (extent / side)[:, None]
    edges = (start - offset)[:, None] + torch.arange(side, dtype=start.dtype) * step
    inner = (torch.arange(samples, dtype=start.dtype) + 0.5) * step / samples
    place = (edges[:, :, None] + inner[:, None, :]).flatten(1)
    # Up to one cell beyond the map its border is read, and 0 from there on.
    inside = (place >= -1) & (place <= cells[:, None])
    last = (cells - 1)[:, None]
    place = place.clamp(min=0).minimum(last.to(place.dtype))
    low = place.floor()
    share = place - low
    read = torch.stack((low.long(), (low.long() + 1).minimum(last)), dim=-1)
    weights = torch.stack((1 - share, share), dim=-1) * inside[:, :, None] / samples
    return read.view(-1, side, 2 * samples), weights.view(-1, side, 2 * samples)


class _WeightedRows(torch.autograd.Function):
    """Weighted sums of a table's rows: (M, C), indices (N, T) and weights (N, T) to (N, C).

    torch's own derivative of `embedding_bag` adds row by row.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, indices: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(indices, weights)
        ctx.rows = len(table)
        return functional.embedding_bag(indices, table, per_sample_weights=weights, mode="sum")

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        indices, weights = ctx.saved_tensors
        flat = indices.flatten()
        # Sorting half as many bytes takes half the time.
        order = flat.to(torch.int32 if ctx.rows < 2**31 else torch.int64).argsort(stable=True)
        first = functional.pad(flat.bincount(minlength=ctx.rows).cumsum(0)[:-1], (1, 0))
        transposed = functional.embedding_bag(
            order // indices.shape[1], gradient.contiguous(), first, per_sample_weights=weights.flatten()[order],
            mode="sum",
        )  # fmt: skip
        return transposed, None, None
