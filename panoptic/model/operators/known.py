"""The operators by their names: the six published ones (Auto-Panoptic, NeurIPS 2020) and those that a program adds."""

from __future__ import annotations

from torch import nn

from autopanoptic.nas import LayerChoice, Size
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.operators.atrous import atrous
from autopanoptic.panoptic.model.operators.deformable import deformable
from autopanoptic.panoptic.model.operators.operator import HeadOperator
from autopanoptic.panoptic.model.operators.separable import separable
from autopanoptic.panoptic.model.padding import group_norm

_PUBLISHED = (
    separable("dw3", 3), separable("dw5", 5), deformable("df3", 3), deformable("df5", 5), atrous("at3", 3),
    atrous("at5", 5),
)  # fmt: skip
_KNOWN = {operator.name: operator for operator in _PUBLISHED}


def add_operator(operator: HeadOperator) -> None:
    """Make an operator known, so that `PanopticConfig.head_operators` may name it.

    Saved networks and other processes know operators by their names too, so this belongs into a module that they
    import.

    Raises:
        ValueError: If another operator has the name.
    """
    if _KNOWN.setdefault(operator.name, operator) != operator:
        raise ValueError(f"there is another operator named {operator.name!r}")


def operator_of(name: str) -> HeadOperator:
    """Return the operator with a name.

    Raises:
        ValueError: If there is none; names those that there are.
    """
    if name not in _KNOWN:
        raise ValueError(f"there is no operator {name!r}, only {', '.join(_KNOWN)}; add_operator makes others known")
    return _KNOWN[name]


def head_layer(in_channels: Size, out_channels: Size, config: PanopticConfig, label: str) -> nn.Sequential:
    """A searched layer of a head: one of the config's operators, group norm, ReLU.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output, which the config's ``norm_groups`` divide.
        config: Names the operators, and has the groups of the norm, which all share.
        label: The choice's label.
    """
    options = {name: operator_of(name).build(in_channels, out_channels) for name in config.head_operators}
    norm = group_norm(config.norm_groups, out_channels)
    return nn.Sequential(LayerChoice(options, label=label), norm, nn.ReLU(inplace=True))
