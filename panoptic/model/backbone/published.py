"""The four blocks of DetNAS' search space (Chen et al. 2019), from which Auto-Panoptic searches."""

from __future__ import annotations

from functools import partial

from autopanoptic.nas import Size
from autopanoptic.panoptic.model.backbone.blocks import InterleavedBlock, ShuffleBlock, ShuffleNetBlock
from autopanoptic.panoptic.model.backbone.inheritance import fill_larger, fill_xception
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.operators.options import BLOCK_OPTIONS
from autopanoptic.panoptic.model.parts.kinds import BackboneBlock
from autopanoptic.panoptic.model.parts.registry import register


def _build(in_channels: Size, out_channels: Size, stride: int, config: PanopticConfig, option: str) -> ShuffleNetBlock:
    drawn = option, config.batch_norm_momentum, config.backbone_init
    if config.elastic:
        return InterleavedBlock(in_channels, out_channels, stride, *drawn)
    assert isinstance(in_channels, int)
    assert isinstance(out_channels, int)
    return ShuffleBlock(in_channels, out_channels, stride, *drawn)


for _name in BLOCK_OPTIONS:
    _inherit = fill_xception if _name.startswith("xception") else fill_larger
    register(BackboneBlock(_name, partial(_build, option=_name), _inherit, elastic=True))
