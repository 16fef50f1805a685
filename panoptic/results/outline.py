"""What stands in a stand-alone network, part by part, with the widths that its layers really have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.parts.kinds import CLASS_SCORES, SemanticHead
from autopanoptic.panoptic.model.parts.registry import part_of


@dataclass(frozen=True)
class Layer:
    """A block of the backbone or a layer of a head.

    Attributes:
        operator: The option that was chosen for it; where there was no choice what it calls itself, or its class.
        width: Channels of its output.
    """

    operator: str
    width: int


@dataclass(frozen=True)
class Outline:
    """A network's parts.

    Attributes:
        stem: Channels of the stem.
        stages: The blocks of C2..C5 by the stage's name in capitals.
        neck: Kind of the pyramid.
        pyramid: Channels of P2..P6 by the level's name in capitals.
        segmentation: Layers of the segmentation branch; empty without stuff.
        reading: Which levels they read, in words; empty where that is not known of a head of one's own.
        in_turn: Whether each of them reads what the one before gives, and not a level of its own.
        scored: What classes the branch scores, in words.
        mask: Layers of the mask head; empty without things.
        box: Widths of the box head's hidden layers; empty without things.
        to_background: Reduction of the fusion unit of each level of the segmentation branch.
        to_foreground: Reduction of the fusion unit of each level of the pyramid.
        components: Names of the fusion and the panoptic head, where they are none of Auto-Panoptic's.
        things: Number of thing classes.
        stuff: Number of stuff classes.
        roi_sizes: Sides of the box head's and the mask head's RoIAlign.
    """

    stem: int
    stages: Mapping[str, tuple[Layer, ...]]
    neck: str
    pyramid: Mapping[str, int]
    segmentation: tuple[Layer, ...]
    reading: str
    in_turn: bool
    scored: str
    mask: tuple[Layer, ...]
    box: tuple[int, ...]
    to_background: Mapping[str, str]
    to_foreground: Mapping[str, str]
    components: Mapping[str, str]
    things: int
    stuff: int
    roi_sizes: tuple[int, int]

    @classmethod
    def of(cls, network: PanopticNetwork, architecture: Architecture) -> Outline:
        """Read the parts of an architecture's network, which is not changed."""
        network = deepcopy(network).to("meta").eval()
        with _widths(network) as width, torch.no_grad():
            side = 2 * network.config.image_divisor
            network(torch.zeros(1, 3, side, side, device="meta"))
        backbone, roi = network.backbone, network.roi_heads
        blocks = [block for stage in backbone.stages.values() for block in stage.children()]
        names = iter(_names(architecture, "backbone", blocks))
        stages = {
            name.upper(): tuple(Layer(next(names), width[id(block)]) for block in stage.children())
            for name, stage in backbone.stages.items()
        }
        segmentation = [] if network.segmentation is None else list(network.segmentation.layers.children())
        by_level = network.segmentation is not None and isinstance(network.segmentation.layers, nn.ModuleDict)
        mask = [] if roi is None else list(roi.mask_head.children())
        return cls(
            stem=width[id(backbone.stem)],
            stages=stages,
            neck=str(architecture.get("neck", network.config.neck)),
            pyramid={f"P{level}": width[id(network.neck), level] for level in range(2, 7)},
            segmentation=_layers(architecture, "segmentation", segmentation, width),
            reading=_reading(network.config, by_level=by_level),
            in_turn=not by_level,
            scored=_scored(network.config),
            mask=_layers(architecture, "mask", mask, width),
            box=() if roi is None else _hidden(roi.box_head),
            to_background=_units(architecture, "f2b"),
            to_foreground=_units(architecture, "b2f"),
            components=_components(network.config),
            things=network.config.num_things,
            stuff=network.config.num_stuff,
            roi_sizes=(network.config.box_roi_size, network.config.mask_roi_size),
        )


def _hidden(head: nn.Module) -> tuple[int, ...]:
    return tuple(layer.out_features for layer in head.modules() if isinstance(layer, nn.Linear))


def _reading(config: PanopticConfig, *, by_level: bool) -> str:
    if config.semantic_head not in SemanticHead.shipped:
        return ""
    return "one stack for each of P2 to P5, added" if by_level else "shared by P2 to P5"


def _scored(config: PanopticConfig) -> str:
    if CLASS_SCORES in part_of(SemanticHead, config.semantic_head).gives:
        return f"{config.num_stuff} stuff and {config.num_things} thing classes"
    return f"{config.num_stuff} stuff classes"


def _components(config: PanopticConfig) -> dict[str, str]:
    found = {"fusion": (config.fusion, ("attention", "none")), "panoptic head": (config.panoptic_head, ("merge",))}
    return {what: name for what, (name, usual) in found.items() if name not in usual}


@contextmanager
def _widths(network: nn.Module) -> Iterator[dict[Any, int]]:
    """Yield the channels that each module gives in a forward pass, by its id; those of P2..P6 with the level."""
    found: dict[Any, int] = {}

    def note(module: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.dim() > 1:
            found[id(module)] = output.shape[1]
        elif isinstance(output, dict):
            found.update({(id(module), int(name[1:])): part.shape[1] for name, part in output.items()})

    hooks = [module.register_forward_hook(note) for module in network.modules()]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _layers(
    architecture: Architecture, part: str, layers: list[nn.Module], width: Mapping[Any, int]
) -> tuple[Layer, ...]:
    names = _names(architecture, part, layers)
    return tuple(Layer(name, width[id(layer)]) for name, layer in zip(names, layers, strict=True))


def _names(architecture: Architecture, part: str, layers: Iterable[nn.Module]) -> list[str]:
    """Return the operators of a part's layers in their order; the other choices of a part are numbers."""
    labels = [
        label for label, option in architecture.items() if label.startswith(f"{part}.") and isinstance(option, str)
    ]
    chosen = [str(architecture[label]) for label in sorted(labels, key=_in_order)]
    classes = [str(getattr(layer, "operator", type(layer).__name__)) for layer in layers]
    return chosen if len(chosen) == len(classes) else classes


def _in_order(label: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", label)]


def _units(architecture: Architecture, part: str) -> dict[str, str]:
    return {
        label.split(".")[1].upper(): str(option)
        for label, option in architecture.items()
        if label.startswith(f"{part}.")
    }
