"""Warm start of a supernet: what one trained path has learned, copied into the other options.

Larger kernels are the trained ones padded with zeros, a depthwise and a pointwise kernel multiply to a dense one, and
layers that an option has in excess start as identities. So most options start out as the same function as the
trained one; where no exact copy exists (dilated kernels, the Xception block with stride 2) a kernel is taken that
agrees on features which change linearly over the pixels.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from autopanoptic.nas import Architecture, LayerChoice
from autopanoptic.panoptic.model.backbone.blocks import ShuffleNetBlock
from autopanoptic.panoptic.model.fusion.fusion import FusionUnit
from autopanoptic.panoptic.model.neck.bifpn import BiFPN
from autopanoptic.panoptic.model.neck.fpn import FPN
from autopanoptic.panoptic.model.neck.panet import PANet
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.operators.known import operator_of
from autopanoptic.panoptic.model.operators.separable import DepthwiseSeparable
from autopanoptic.panoptic.search.inflate_backbone import inflate_backbone

_SOURCES = {"backbone": "shuffle3", "mask": "dw3", "segmentation": "dw3", "neck": "fpn"}


@torch.no_grad()
def inflate(network: PanopticNetwork, source: Architecture) -> None:
    """Copy the trained weights of one path into the other options of every choice on it, in place.

    Widths and depths need no copies: a wider layer holds the narrower one's weights. Channels and layers that the path
    does not reach stay as they were drawn.

    Args:
        network: The supernet of which only the path ``source`` has been trained.
        source: The trained path: ``shuffle3`` in every block, ``dw3`` in every head layer, the neck ``fpn`` where the
            neck is a choice; fusion units at will.

    Raises:
        ValueError: The path holds an option from which the others cannot be made.
    """
    choices = {module.label: module for module in network.modules() if isinstance(module, LayerChoice)}
    if network.config.space == "elastic":
        choices = {label: choice for label, choice in choices.items() if label in source}
    _check(source, choices)
    if any(label.startswith("backbone.") for label in choices):  # else it is a fixed one
        inflate_backbone(network.backbone, choices)
    for label, choice in choices.items():
        trained = choice[source[label]]
        if not isinstance(trained, ShuffleNetBlock):
            for name in choice.names:
                if name != source[label]:
                    _fill(name, trained, choice[name])


def _check(source: Mapping[str, object], choices: Mapping[str, nn.Module]) -> None:
    for label in choices:
        needed = _SOURCES.get(label.split(".")[0])
        if label not in source or (needed is not None and source[label] != needed):
            raise ValueError(
                f"cannot inflate from {label} = {source.get(label)!r}: the trained path must hold "
                f"{needed or 'an option'} there, whose kernel fits into the others'"
            )


def _fill(name: str, trained: nn.Module, target: nn.Module) -> None:
    if isinstance(trained, DepthwiseSeparable):
        operator_of(name).inherit(target, trained.learned())
    elif isinstance(trained, FusionUnit) and isinstance(target, FusionUnit):
        _fill_fusion(trained, target)
    elif isinstance(trained, FPN):
        _fill_neck(trained, target)
    else:
        raise TypeError(f"no rule copies {type(trained).__name__} into {type(target).__name__}")


def _fill_fusion(trained: FusionUnit, target: FusionUnit) -> None:
    """Keep the hidden units with the largest outgoing weights; units in excess start without effect."""
    kept = min(trained.squeeze.out_features, target.squeeze.out_features)
    order = trained.excite.weight.norm(dim=0).argsort(descending=True)[:kept]
    target.squeeze.weight[:kept] = trained.squeeze.weight[order]
    target.squeeze.bias[:kept] = trained.squeeze.bias[order]
    target.excite.weight.zero_()
    target.excite.weight[:, :kept] = trained.excite.weight[:, order]
    target.excite.bias.copy_(trained.excite.bias)


def _fill_neck(trained: FPN, target: nn.Module) -> None:
    if isinstance(target, PANet):
        target.fpn.load_state_dict(trained.fpn.state_dict())
    elif isinstance(target, BiFPN):
        target.lateral.load_state_dict(trained.fpn.inner_blocks.state_dict())
