"""The widths and depths of a network's parts: numbers, or choices of the elastic space."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from torch import Tensor, nn

from autopanoptic.nas import ElasticLayer, PerDepth, Repeat, Size, Width
from autopanoptic.nas.supernet.elastic.chosen import Chosen
from autopanoptic.nas.supernet.elastic.sizes import ElasticSize
from autopanoptic.panoptic.model.config import PanopticConfig

Depth: TypeAlias = int | tuple[int, int]
"""A number of layers, or the fewest and the most."""


def stage_width(config: PanopticConfig, stage: int) -> Size:
    """Channels of C2..C5, for stage 0..3."""
    if not config.elastic:
        return config.stage_widths[stage]
    options = (config.c2_widths, config.c3_widths, config.c4_widths, config.c5_widths)[stage]
    # Blocks split the channels in pairs, so that their order matters.
    return Width(f"backbone.c{stage + 2}.width", options, ordered=True)


def stage_depth(config: PanopticConfig, stage: int) -> Depth:
    """Blocks of C2..C5, for stage 0..3."""
    if not config.elastic:
        return config.stage_depths[stage]
    return (config.c2_depths, config.c3_depths, config.c4_depths, config.c5_depths)[stage]


def pyramid_width(config: PanopticConfig) -> Size:
    """Channels of P2..P6."""
    if not config.elastic:
        return config.pyramid_channels
    return Width("pyramid.width", config.pyramid_widths)


def segmentation_width(config: PanopticConfig) -> Size:
    """Channels inside the segmentation branch."""
    if not config.elastic:
        return config.segmentation_channels
    return Width("segmentation.width", config.segmentation_widths)


def segmentation_depth(config: PanopticConfig) -> Depth:
    """Layers of the segmentation branch."""
    return config.segmentation_depths if config.elastic else config.segmentation_layers


def mask_width(config: PanopticConfig) -> Size:
    """Channels inside the mask head."""
    if not config.elastic:
        return config.pyramid_channels
    return Width("mask.width", config.mask_widths)


def mask_depth(config: PanopticConfig) -> Depth:
    """Layers of the mask head."""
    return config.mask_depths if config.elastic else config.mask_layers


def stack(layer: Callable[[int], nn.Module], depth: Depth, label: str, *, tied: bool = False) -> nn.Module:
    """Layers one after the other, by their index; with a choice of how many, the label is the choice's.

    It is tied where a `per_depth` follows.
    """
    fewest, most = (depth, depth) if isinstance(depth, int) else depth
    if fewest == most:
        return nn.Sequential(*(layer(index) for index in range(most)))
    repeated: nn.Module = Repeat(layer, (fewest, most), label=label, tied=tied)
    return repeated


def per_depth(build: Callable[[], nn.Module], depth: Depth, label: str) -> nn.Module:
    """A module behind a stack, of its own for each depth where there is a choice, whose label is the stack's."""
    fewest, most = (depth, depth) if isinstance(depth, int) else depth
    return build() if fewest == most else PerDepth(lambda _: build(), (fewest, most), label=label)


def of_depth(module: nn.Module) -> nn.Module:
    """The module of the active depth among those that `per_depth` has made."""
    return module.active if isinstance(module, PerDepth) else module


def largest(size: Size) -> int:
    """The number of channels in the largest network."""
    return size.largest if isinstance(size, (Chosen, ElasticSize)) else size


def active(layer: nn.Module, name: str) -> Tensor:
    """A parameter of a layer, of an elastic one its active part."""
    found: Any = layer.active_tensor(name) if isinstance(layer, ElasticLayer) else getattr(layer, name)
    assert isinstance(found, Tensor)
    return found
