"""A searched layer of a head."""

from __future__ import annotations

from torch import nn

from autopanoptic.nas import LayerChoice, Size
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.padding import group_norm
from autopanoptic.panoptic.model.parts.kinds import HeadOperator
from autopanoptic.panoptic.model.parts.registry import built


def head_layer(in_channels: Size, out_channels: Size, config: PanopticConfig, label: str) -> nn.Sequential:
    """A searched layer of a head: one of the config's operators, group norm, ReLU.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output, which the config's ``norm_groups`` divide.
        config: Names the operators, and has the groups of the norm, which all share.
        label: The choice's label.
    """
    options = built(HeadOperator, config.head_operators, config, in_channels, out_channels)
    norm = group_norm(config.norm_groups, out_channels)
    return nn.Sequential(LayerChoice(options, label=label), norm, nn.ReLU(inplace=True))
