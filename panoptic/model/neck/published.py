"""The three necks that ship, and how the others begin with what a trained FPN has learned."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import nn

from autopanoptic.nas import Size
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.neck.bifpn import BiFPN
from autopanoptic.panoptic.model.neck.fpn import FPN
from autopanoptic.panoptic.model.neck.panet import PANet
from autopanoptic.panoptic.model.parts.kinds import PyramidNeck
from autopanoptic.panoptic.model.parts.registry import register


def _build(
    in_channels: Sequence[Size], channels: Size, config: PanopticConfig, neck: type[FPN | PANet | BiFPN]
) -> nn.Module:
    return neck(list(in_channels), channels, config.norm_groups)


def _top_down(target: PANet, trained: FPN) -> None:
    target.fpn.load_state_dict(trained.fpn.state_dict())


def _laterals(target: BiFPN, trained: FPN) -> None:
    target.lateral.load_state_dict(trained.fpn.inner_blocks.state_dict())


register(PyramidNeck("fpn", partial(_build, neck=FPN), elastic=True))
register(PyramidNeck("panet", partial(_build, neck=PANet), _top_down, elastic=True))
register(PyramidNeck("bifpn", partial(_build, neck=BiFPN), _laterals, elastic=True))
