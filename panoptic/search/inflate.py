"""Warm start of a supernet: what one trained path has learned, copied into the other options.

Larger kernels are the trained ones padded with zeros, a depthwise and a pointwise kernel multiply to a dense one, and
layers that an option has in excess start as identities. So most options start out as the same function as the
trained one; where no exact copy exists (dilated kernels, the Xception block with stride 2) a kernel is taken that
agrees on features which change linearly over the pixels. How an option does it is its own affair (`Part.inherit`); one
that says nothing of it stays as it was drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import torch
from torch import nn

from autopanoptic.nas import LayerChoice, Option, PerDepth
from autopanoptic.panoptic.model.backbone.inheritance import TrainedBlock, norm_at
from autopanoptic.panoptic.model.backbone.moments import rectified
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.designs.names import is_component
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.operators.separable import DepthwiseSeparable
from autopanoptic.panoptic.model.parts.kinds import AnyPart, BackboneBlock, FusionOperator, HeadOperator, PyramidNeck
from autopanoptic.panoptic.model.parts.registry import part_of
from autopanoptic.panoptic.search.scaling import kind_of, plain_of

SOURCES: Mapping[type[AnyPart], tuple[str, ...]] = {
    BackboneBlock: ("shuffle3",),
    HeadOperator: ("dw3",),
    PyramidNeck: ("fpn",),
    FusionOperator: FusionOperator.shipped,
}
"""The options of each kind from which the others can be made."""


@torch.no_grad()
def inflate(network: PanopticNetwork, source: Mapping[str, Option]) -> None:
    """Copy the trained weights of one path into the other options of every choice of operators on it, in place.

    Widths and depths need no copies: a wider layer holds the narrower one's weights. Channels and layers that the path
    does not reach stay as they were drawn. What is made for each depth by itself is copied from the path's depth: a
    score that has been learned behind the third layer is learned sooner behind the first than one that is drawn.

    Args:
        network: The supernet of which only the path ``source`` has been trained.
        source: The trained path, or of several with other components all the operators: where there is a choice
            ``shuffle3`` in every block, ``dw3`` in every head layer and the neck ``fpn``, and one of the shipped fusion
            units.

    Raises:
        ValueError: The path holds an option from which the others cannot be made.
    """
    choices = [choice for choice in network.modules() if isinstance(choice, LayerChoice) and len(choice.names) > 1]
    if network.config.space != "auto-panoptic":
        choices = [choice for choice in choices if choice.label in source and not is_component(choice.label)]
    _check(source, choices)
    blocks = [choice for choice in choices if kind_of(choice.label) is BackboneBlock]
    if blocks:
        _fill_backbone(network.backbone.stem, blocks)
    for choice in choices:
        if choice not in blocks:
            name = source[choice.label]
            trained = choice[name]
            _fill(choice, trained.learned() if isinstance(trained, DepthwiseSeparable) else trained, name)
    for module in network.modules():
        if isinstance(module, PerDepth) and module.label in source:
            _fill_depths(module, source[module.label])


def require_source(config: PanopticConfig, first: str) -> None:
    """Refuse a supernet of which one path is to be trained first, and the other options could not be made of it.

    Args:
        config: Of the supernet.
        first: The section of that training.

    Raises:
        ValueError: Begins with the config's field.
    """
    for kind, names in config.parts():
        source, needed = plain_of(kind, names), SOURCES[kind]
        if len(names) > 1 and source not in needed:
            raise ValueError(
                f"{config.field_of(kind)} {list(names)}: one path is trained before the others join, as {first} says, "
                f"and these begin with its weights, but none of them is {' or '.join(needed)}, from which they can. "
                f"Name it too, or set {first} to null"
            )


def _check(source: Mapping[str, object], choices: Iterable[LayerChoice]) -> None:
    for label in (choice.label for choice in choices):
        needed = SOURCES[kind_of(label)]
        if source.get(label) not in needed:
            raise ValueError(
                f"cannot inflate from {label} = {source.get(label)!r}: the trained path must hold "
                f"{' or '.join(needed)} there, whose kernel fits into the others'"
            )


def _fill(choice: LayerChoice, learned: Any, source: object) -> None:
    for name in choice.names:
        inherit = part_of(kind_of(choice.label), name).inherit
        if name != source and inherit is not None:
            inherit(choice[name], learned)


def _fill_depths(modules: PerDepth, depth: Option) -> None:
    learned = modules.of(int(depth)).state_dict()
    for module in modules.blocks:
        module.load_state_dict(learned)


def _fill_backbone(stem: nn.Module, blocks: Iterable[LayerChoice]) -> None:
    """Fill the options of blocks, following the channels' moments from the stem on."""
    moments = rectified(norm_at(cast("nn.Sequential", stem), 1))
    for choice in blocks:
        trained = TrainedBlock(choice["shuffle3"], moments)
        _fill(choice, trained, "shuffle3")
        moments = trained.leaving()
