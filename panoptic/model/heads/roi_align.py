"""RoIAlign (He et al. 2017, section 3), quick on CPU and GPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import roi_align as torchvision_roi_align


def roi_align(x: Tensor, rois: Tensor, side: int, scale: float, sampling_ratio: int, aligned: bool) -> Tensor:
    """Average bilinear samples of a map in the cells of a grid over each box, in single precision at least.

    On a CPU this is a product of a sparse matrix, which holds each sample's four cells and their weights, with the
    map: as torchvision's operator, but over all channels of a cell at once, which is faster forth and most of all
    back. Elsewhere this is torchvision's. No gradient reaches the boxes.

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
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    if x.device.type != "cpu":
        pooled: Tensor = torchvision_roi_align(x, rois, side, scale, sampling_ratio, aligned)
        return pooled
    channels, height, width = x.shape[1:]
    if not len(rois):
        return x.new_zeros((0, channels, side, side))
    image, x1, y1, x2, y2 = rois.detach().to(x.dtype).unbind(1)
    rows, row_weights = _samples(y1 * scale, y2 * scale, side, height, sampling_ratio, aligned)
    columns, column_weights = _samples(x1 * scale, x2 * scale, side, width, sampling_ratio, aligned)
    rows = rows + (image.long() * height)[:, None, None]
    cells = rows[:, :, None, :, None] * width + columns[:, None, :, None, :]
    weights = row_weights[:, :, None, :, None] * column_weights[:, None, :, None, :]
    taps = (2 * sampling_ratio) ** 2
    table = x.permute(0, 2, 3, 1).reshape(-1, channels)
    means: Tensor = _WeightedRows.apply(table, cells.reshape(-1, taps), weights.reshape(-1, taps))
    return means.view(-1, side, side, channels).permute(0, 3, 1, 2)


def _samples(start: Tensor, end: Tensor, side: int, cells: int, samples: int, aligned: bool) -> tuple[Tensor, Tensor]:
    """The cells of a map's axis that each cell of the grids' axis reads, and their weights: twice (N, side, taps)."""
    offset = 0.5 if aligned else 0.0
    extent = end - start if aligned else (end - start).clamp(min=1.0)
    # In torchvision's order of operations, so that samples beside a border fall on the same side of it.
    step = (extent / side)[:, None]
    edges = (start - offset)[:, None] + torch.arange(side, dtype=start.dtype) * step
    inner = (torch.arange(samples, dtype=start.dtype) + 0.5) * step / samples
    place = (edges[:, :, None] + inner[:, None, :]).flatten(1)
    # Up to one cell beyond the map its border is read, and 0 from there on.
    inside = (place >= -1) & (place <= cells)
    place = place.clamp(0, cells - 1)
    low = place.floor()
    share = place - low
    read = torch.stack((low, (low + 1).clamp(max=cells - 1)), dim=-1).long()
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
        order = flat.argsort(stable=True)
        first = functional.pad(flat.bincount(minlength=ctx.rows).cumsum(0)[:-1], (1, 0))
        transposed = functional.embedding_bag(
            order // indices.shape[1], gradient.contiguous(), first, per_sample_weights=weights.flatten()[order],
            mode="sum",
        )  # fmt: skip
        return transposed, None, None
