"""The three fusion units that Auto-Panoptic (NeurIPS 2020) published, and how they inherit from each other."""

from __future__ import annotations

from functools import partial

from autopanoptic.nas import Size
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.fusion.fusion import FusionUnit
from autopanoptic.panoptic.model.operators.options import FUSION_OPTIONS
from autopanoptic.panoptic.model.parts.kinds import FusionOperator
from autopanoptic.panoptic.model.parts.registry import register


def _build(in_channels: Size, out_channels: Size, config: PanopticConfig, place: int) -> FusionUnit:
    return FusionUnit(in_channels, out_channels, config.fusion_reductions[place])


def _inherit(target: FusionUnit, trained: FusionUnit) -> None:
    """Keep the hidden units with the largest outgoing weights; units in excess start without effect."""
    kept = min(trained.squeeze.out_features, target.squeeze.out_features)
    order = trained.excite.weight.norm(dim=0).argsort(descending=True)[:kept]
    target.squeeze.weight[:kept] = trained.squeeze.weight[order]
    target.squeeze.bias[:kept] = trained.squeeze.bias[order]
    target.excite.weight.zero_()
    target.excite.weight[:, :kept] = trained.excite.weight[:, order]
    target.excite.bias.copy_(trained.excite.bias)


for _place, _name in enumerate(FUSION_OPTIONS):
    register(FusionOperator(_name, partial(_build, place=_place), _inherit, elastic=True))
