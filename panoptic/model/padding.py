"""Layers that do not see the padding of a batch, so that an image's features do not depend on its neighbours' sizes.

Images of several sizes are padded at the right and the bottom. Convolutions alone would not mind, for they see zeros
beyond an image's border anyway; but norms turn the zeros into something else, and let padding into their statistics.
Inside of `padded`, the norms of this module compute over the cells that the images cover, and leave zeros elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from autopanoptic.nas import ElasticBatchNorm2d, ElasticGroupNorm, Size
from autopanoptic.panoptic.data.transfers import on_device
from autopanoptic.panoptic.model.shapes import Sizes
from autopanoptic.panoptic.model.sizes import largest

STRIDES = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class TrueCells:
    """The cells of a map that its images cover.

    Attributes:
        counts: Rows and columns of each image.
        mask: Where they are, bool (B, H, W).
    """

    counts: list[tuple[int, int]]
    mask: Tensor


@dataclass(frozen=True)
class _Padding:
    sizes: Sizes
    maps: dict[tuple[int, int], TrueCells]


_PADDING: ContextVar[_Padding | None] = ContextVar("padding", default=None)


@contextmanager
def padded(images: Tensor, sizes: Sizes) -> Iterator[None]:
    """Have the norms of this module ignore the padding of these images; without any nothing changes.

    Args:
        images: (B, C, H, W); maps inside have their size divided by one of `STRIDES`, rounded up.
        sizes: Height and width of each image without padding.
    """
    whole = tuple(images.shape[-2:])
    maps = {}
    if any(tuple(size) != whole for size in sizes):
        for stride in STRIDES:
            shape = -(-whole[0] // stride), -(-whole[1] // stride)
            counts = [(-(-height // stride), -(-width // stride)) for height, width in sizes]
            if any(count != shape for count in counts):
                maps[shape] = TrueCells(counts, _mask(counts, shape, images.device))
    token = _PADDING.set(_Padding(sizes, maps) if maps else None)
    try:
        yield
    finally:
        _PADDING.reset(token)


def _mask(counts: list[tuple[int, int]], shape: tuple[int, int], device: torch.device) -> Tensor:
    rows, columns = (torch.arange(side, device=device) for side in shape)
    heights, widths = on_device(counts, device).unbind(1)
    return (rows[None, :, None] < heights[:, None, None]) & (columns[None, None, :] < widths[:, None, None])


def true_cells(x: Tensor) -> TrueCells | None:
    """The cells that the images cover of a map (B, C, H, W); None where they cover it whole."""
    padding = _PADDING.get()
    return None if padding is None else padding.maps.get((x.shape[-2], x.shape[-1]))


def true_sizes() -> Sizes | None:
    """Height and width in pixels of each image without its padding; None without padding."""
    padding = _PADDING.get()
    return None if padding is None else padding.sizes


def blank(x: Tensor) -> Tensor:
    """The map (B, C, H, W) with zeros in the padding."""
    found = true_cells(x)
    return x if found is None else x * found.mask[:, None]


def extend(x: Tensor) -> Tensor:
    """The map (B, C, H, W) with its images' last rows and columns repeated over the padding.

    Interpolation beside an image's border then reads what it reads beside the border of a map.
    """
    found = true_cells(x)
    return x if found is None else _each(x, found, lambda image: image, mode="replicate")


class _OverTheBatch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        found = true_cells(x)
        if found is not None and self.training:
            return _together(x, found, super().forward)
        normed: Tensor = super().forward(x)
        return normed if found is None else blank(normed)


class _OverEachImage(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), or without padding any shape (B, C, ...), to the same shape."""
        found = true_cells(x) if x.dim() == 4 else None
        if found is not None:
            return _each(x, found, super().forward)
        normed: Tensor = super().forward(x)
        return normed


class BatchNorm2d(_OverTheBatch, nn.BatchNorm2d):
    """torch's batch norm, over true cells."""


class SyncBatchNorm2d(_OverTheBatch, nn.SyncBatchNorm):
    """The same over all processes, whose parts of a batch may have other numbers of true cells."""


class GroupNorm(_OverEachImage, nn.GroupNorm):
    """torch's group norm, over true cells."""


class _ElasticBatchNorm2d(_OverTheBatch, ElasticBatchNorm2d):
    """A batch norm of an elastic width, over true cells."""


class _ElasticGroupNorm(_OverEachImage, ElasticGroupNorm):
    """A group norm of an elastic width, over true cells."""


class FrozenBatchNorm2d(nn.Module):
    """A batch norm whose statistics, scales and shifts no training and no recalibration changes, over true cells.

    Args:
        channels: Of the map.
        eps: Is added to the variance.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((channels,), value))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return blank(
            functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        )


class Blank(nn.Module):
    """`blank` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return blank(x)


def batch_norm(channels: Size, momentum: float, eps: float = 1e-5) -> nn.Module:
    """A batch norm over true cells, of a fixed or an elastic number of channels."""
    if isinstance(channels, int):
        return BatchNorm2d(int(channels), momentum=momentum, eps=eps)
    return _ElasticBatchNorm2d(channels, momentum=momentum, eps=eps)


def group_norm(groups: int, channels: Size) -> nn.Module:
    """A group norm over true cells, of a fixed or an elastic number of channels.

    Args:
        groups: Of the largest number of channels; the groups of a smaller one are as large, and fewer.
        channels: Of the map.
    """
    if isinstance(channels, int):
        return GroupNorm(int(groups * channels // largest(channels)), int(channels))
    return _ElasticGroupNorm(groups, channels)


def require_statistics(network: nn.Module, sizes: Sizes) -> None:
    """Refuse a batch of one cell at the coarsest stride of a backbone whose batch norms would take its statistics.

    Args:
        network: With a stride of 32.
        sizes: Height and width of each image without padding.

    Raises:
        ValueError: If it is so.
    """
    if sum(-(-height // 32) * -(-width // 32) for height, width in sizes) > 1:
        return
    if any(isinstance(part, nn.modules.batchnorm._BatchNorm) and part.training for part in network.modules()):
        raise ValueError(
            f"one image of {sizes[0][0]}x{sizes[0][1]} pixels has one cell at a stride of 32, of which batch norms can "
            "take no statistics; train on more images at a time (batch_size), or on larger ones"
        )


def _together(x: Tensor, cells: TrueCells, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply a function to the cells (1, C, M, 1) of all images of a map without their padding."""
    if len(set(cells.counts)) == 1:
        return _each(x, cells, function)
    # Slices, because the derivative of boolean indexing takes several times as long.
    crops = [image[:, :h, :w].flatten(1) for image, (h, w) in zip(x.unbind(), cells.counts, strict=True)]
    whole = function(torch.cat(crops, dim=1)[None, :, :, None])[0, :, :, 0]
    parts = torch.split_with_sizes(whole, [h * w for h, w in cells.counts], dim=1)
    height, width = x.shape[-2:]
    each = zip(parts, cells.counts, strict=True)
    return torch.stack([functional.pad(part.reshape(-1, h, w), (0, width - w, 0, height - h)) for part, (h, w) in each])


def _each(x: Tensor, cells: TrueCells, function: Callable[[Tensor], Tensor], mode: str = "constant") -> Tensor:
    """Apply a function to each image of a map without its padding."""
    height, width = x.shape[-2:]
    if len(set(cells.counts)) == 1:
        images, counts = [x], cells.counts[:1]
    else:
        images, counts = list(x[:, None].unbind()), cells.counts
    parts = [
        functional.pad(function(image[:, :, :h, :w]), (0, width - w, 0, height - h), mode=mode)
        for image, (h, w) in zip(images, counts, strict=True)
    ]
    return torch.cat(parts) if len(parts) > 1 else parts[0]
