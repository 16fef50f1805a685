"""The components of a network as its config names them: one of each, or in the space published choices of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from torch import nn

from autopanoptic.nas import LayerChoice, Size
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.designs.active import Absent, Traits
from autopanoptic.panoptic.model.designs.names import HEAD, MASK, label_of
from autopanoptic.panoptic.model.fusion.connections import Connections
from autopanoptic.panoptic.model.heads.box import BoxPredictor
from autopanoptic.panoptic.model.parts.fitting import PUBLISHED, partners
from autopanoptic.panoptic.model.parts.kinds import BranchFusion, MaskHead, PanopticHead, SemanticHead
from autopanoptic.panoptic.model.parts.registry import built, component, part_of
from autopanoptic.panoptic.model.shapes import FeatureShape

Shapes = Mapping[str, FeatureShape]
Options = Mapping[str, Mapping[str, nn.Module | None]]
"""What stands beside each semantic head for each option of another component; None for nothing."""


class Components(NamedTuple):
    """What is built of a network's components, each a module, a choice of modules, or None.

    Attributes:
        segmentation: The semantic head.
        foreground_to_background: See `Connections`.
        background_to_foreground: Likewise.
        graph: Likewise.
        panoptic: The panoptic head.
        predicted: Channels of a region's features for the box predictor, where they are not the box head's.
        predictor: Takes a network's box predictor, and returns it, or a choice of which it is an option.
    """

    segmentation: nn.Module | None = None
    foreground_to_background: nn.Module | None = None
    background_to_foreground: nn.Module | None = None
    graph: nn.Module | None = None
    panoptic: nn.Module | None = None
    predicted: int | None = None
    predictor: Callable[[nn.Module], nn.Module] = lambda usual: usual


def components_of(config: PanopticConfig, pyramid: Shapes) -> Components:
    """Build the semantic head, the fusion and the panoptic head.

    Args:
        config: Names them.
        pyramid: Shapes of P2..P6.
    """
    if config.space == PUBLISHED:
        return _choices(config, pyramid)
    segmentation, between = None, Connections()
    if config.num_stuff:
        segmentation = component("semantic_head", config, pyramid)
        if config.num_things:
            between = component("fusion", config, pyramid, segmentation.output_shape)
    predicted = None if between.graph is None else between.graph.out_channels
    return Components(segmentation, *between, component("panoptic_head", config), predicted)


def mask_head_of(config: PanopticConfig, in_channels: Size, channels: Size) -> nn.Module:
    """Build the layers of the mask head, as `MaskHead` says."""
    if config.space != PUBLISHED:
        found: nn.Module = component("mask_head", config, in_channels, channels)
        return found
    return LayerChoice(built(MaskHead, config.mask_heads, config, config, in_channels, channels), label=MASK)


def _choices(config: PanopticConfig, pyramid: Shapes) -> Components:
    """Build every option; what the semantic heads have beside them is theirs, so that it fits what they give."""
    heads: dict[str, Any] = built(SemanticHead, config.semantic_heads, config, config, pyramid)
    between: dict[str, dict[str, Connections]] = {
        head: built(BranchFusion, partners(config, "fusion", head), config, config, pyramid, module.output_shape)
        for head, module in heads.items()
    }
    panoptic = {head: built(PanopticHead, partners(config, "panoptic_head", head), config, config) for head in heads}
    for name, module in heads.items():
        module.traits = Traits(name, part_of(SemanticHead, name).losses)
    _note_traits(between, panoptic)
    slots = {name: _slot(between, name) for name in Connections._fields}
    return Components(
        segmentation=_choice(heads, HEAD),
        panoptic=_beside(panoptic, "panoptic_head"),
        predictor=partial(_predictors, config, slots["graph"]),
        **{name: _beside(slot, "fusion") for name, slot in slots.items()},  # type: ignore[arg-type]
    )


def _note_traits(between: Mapping[str, Mapping[str, Connections]], panoptic: Options) -> None:
    for fusions in between.values():
        for name, connections in fusions.items():
            for module in connections:
                if module is not None:
                    module.traits = Traits(name, part_of(BranchFusion, name).losses)  # type: ignore[assignment]
    for options in panoptic.values():
        for name, module in options.items():
            if module is not None:
                part = part_of(PanopticHead, name)
                module.traits = Traits(name, part.losses, part.rules)  # type: ignore[assignment]


def _slot(between: Mapping[str, Mapping[str, Connections]], name: str) -> Options:
    """Return one of the modules of all connections."""
    return {
        head: {fusion: getattr(connections, name) for fusion, connections in fusions.items()}
        for head, fusions in between.items()
    }


def _predictors(config: PanopticConfig, graphs: Options, usual: nn.Module) -> nn.Module:
    """Make the box predictor a choice, where a graph gives it other features; all other networks share theirs."""
    if not any(graph is not None for fusions in graphs.values() for graph in fusions.values()):
        return usual
    own = {
        head: {
            fusion: usual if graph is None else BoxPredictor(graph.out_channels, config.num_things + 1)  # type: ignore[arg-type]
            for fusion, graph in fusions.items()
        }
        for head, fusions in graphs.items()
    }
    return _beside(own, "fusion")


def _beside(options: Options, field: str) -> nn.Module:
    """Make a choice of a component of those that fit the semantic head that is chosen."""
    return _choice({head: _choice(found, label_of(field, head)) for head, found in options.items()}, HEAD)


def _choice(options: Mapping[str, nn.Module | None], label: str) -> nn.Module:
    found = {name: Absent() if module is None else module for name, module in options.items()}
    choice: nn.Module = LayerChoice(found, label=label, tied=True)
    return choice
