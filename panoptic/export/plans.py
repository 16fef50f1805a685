"""What is exported of a network: its graphs, with inputs to trace, check and time them, and the axes that may vary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from autopanoptic.panoptic.data.loading.normalization import Normalization
from autopanoptic.panoptic.export.graphs import POOLED, BoxGraph, DenseGraph, MaskGraph
from autopanoptic.panoptic.model.config import PYRAMID_STRIDES
from autopanoptic.panoptic.model.heads.roi import PanopticRoIHeads
from autopanoptic.panoptic.model.network import PanopticNetwork

Inputs = dict[str, Tensor]
Size = tuple[int, int]
"""Height and width in pixels."""
GRAPHS = DENSE, BOXES, MASKS = ("dense", "boxes", "masks")
"""Names of the graphs."""
LEAST_BOX = 8.0
"""Pixels of the smallest side of the boxes that a graph is checked with."""


@dataclass(frozen=True)
class Plan:
    """A graph to be exported.

    Attributes:
        name: Of the graph and of its file.
        module: What it computes, in eval mode.
        one: Inputs of one image, with which it is timed.
        two: Inputs of two images, of another size where sizes vary, with which it is traced; it is checked with both.
        varying: The axes of each input that may have other lengths, for torch.export.
    """

    name: str
    module: nn.Module
    one: Inputs
    two: Inputs
    varying: Mapping[str, Mapping[int, Any]]

    @property
    def axes(self) -> dict[str, dict[int, str]]:
        """Names of the varying axes of each input."""
        # The name of a multiple is the multiple's own.
        return {
            name: {axis: str(dim.__name__).rpartition("*")[2] for axis, dim in axes.items()}
            for name, axes in self.varying.items()
        }


def plans_of(network: PanopticNetwork, normalization: Normalization, size: Size, *, fixed: bool) -> list[Plan]:
    """Return the graphs of a network: ``dense``, and with thing classes ``boxes`` and ``masks``.

    Args:
        network: On the CPU and in eval mode.
        normalization: Of its images.
        size: Height and width of images.
        fixed: Whether all images have it; else it is the size with which the graphs are checked and timed.

    Raises:
        ValueError: If sizes vary and this one is too small, or no multiple of the network's divisor.
    """
    divisor = network.config.image_divisor
    if not fixed:
        _check(size, divisor)
    sizes = size, size if fixed else (size[1] + divisor, size[0])
    sides = {} if fixed else {2: _side("height", divisor), 3: _side("width", divisor)}
    module = DenseGraph(network, normalization, size if fixed else None).eval()
    one, two = (_images(shape, images) for images, shape in enumerate(sizes, start=1))
    dense = Plan(DENSE, module, one, two, {"images": {0: Dim("images"), **sides}})
    return [dense] if network.roi_heads is None else [dense, *_region_plans(network, network.roi_heads, dense, sizes)]


def _region_plans(
    network: PanopticNetwork, heads: PanopticRoIHeads, dense: Plan, sizes: tuple[Size, Size]
) -> Iterator[Plan]:
    """The graphs of regions, with maps of the dense one."""
    config = network.config
    with torch.inference_mode():
        found = [dense.module(**inputs) for inputs in (dense.one, dense.two)]
    maps = [{level: of_all[level].clone() for level in POOLED} for of_all in found]
    fixed = len(dense.varying["images"]) == 1
    images, regions = Dim("images"), Dim("regions")
    varying = {level: {0: images, **_map_sides(level, fixed=fixed)} for level in POOLED}
    for name, module, count, things in (
        (BOXES, BoxGraph(heads), config.rpn_post_nms_test, 0),
        (MASKS, MaskGraph(heads), config.detections_per_image, config.num_things),
    ):
        drawn = [_regions(shape, number, count, things) for number, shape in enumerate(sizes, start=1)]
        one, two = (level | of_regions for level, of_regions in zip(maps, drawn, strict=True))
        yield Plan(name, module.eval(), one, two, varying | {key: {0: regions} for key in drawn[0]})


def least_side(divisor: int) -> int:
    """Return the shortest side in pixels of images of varying sizes, which gives two cells of P6."""
    return -(-(PYRAMID_STRIDES[-1] + 1) // divisor) * divisor


def _check(size: Size, divisor: int) -> None:
    least = least_side(divisor)
    if any(side % divisor or side < least for side in size):
        raise ValueError(
            f"{size[0]} x {size[1]} pixels: where the size of images varies their sides must be multiples of {divisor} "
            f"of at least {least}; resize them, or give a fixed size, to whose multiples the graph pads them itself"
        )


def _side(name: str, divisor: int) -> Any:
    return divisor * Dim(name, min=least_side(divisor) // divisor)


def _map_sides(level: str, *, fixed: bool) -> dict[int, Any]:
    return {} if fixed else {2: Dim(f"{level}_height"), 3: Dim(f"{level}_width")}


def _images(size: Size, count: int) -> Inputs:
    generator = torch.Generator().manual_seed(0)
    return {"images": torch.rand((count, 3, *size), generator=generator) * 255}


def _regions(size: Size, count: int, regions: int, things: int) -> Inputs:
    """Boxes of all sizes in images of a size, so many in all, and a class for each where there are classes."""
    generator = torch.Generator().manual_seed(1)
    draws = torch.rand((5, regions), generator=generator)
    # Uniform in the logarithm, for the level of a box goes by the logarithm of its size.
    height, width = (
        min(LEAST_BOX, side) * max(side / LEAST_BOX, 1.0) ** draw for side, draw in zip(size, draws, strict=False)
    )
    y, x = draws[2] * (size[0] - height), draws[3] * (size[1] - width)
    rois = torch.stack(((draws[4] * count).floor(), x, y, x + width, y + height), dim=1)
    labels = torch.randint(1, things + 1, (regions,), generator=generator) if things else None
    return {"rois": rois} if labels is None else {"rois": rois, "labels": labels}
