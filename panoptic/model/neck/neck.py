"""The feature pyramid over C2..C5, or the choice among all; each gives P2..P6."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from autopanoptic.nas import LayerChoice
from autopanoptic.panoptic.model.config import PYRAMID_STRIDES, PanopticConfig
from autopanoptic.panoptic.model.neck.bifpn import BiFPN
from autopanoptic.panoptic.model.neck.fpn import FPN
from autopanoptic.panoptic.model.neck.levels import LEVELS
from autopanoptic.panoptic.model.neck.panet import PANet
from autopanoptic.panoptic.model.shapes import Features, FeatureShape


class Neck(nn.Module):
    """The config's neck, or the choice ``neck`` among all three.

    Attributes:
        output_shape: Channels and strides of P2..P6.
    """

    def __init__(self, config: PanopticConfig, input_shape: Mapping[str, FeatureShape]) -> None:
        super().__init__()
        kinds = {"fpn": FPN, "panet": PANet, "bifpn": BiFPN}
        in_channels = [shape.channels for shape in input_shape.values()]
        wanted = kinds if config.neck == "search" else {config.neck: kinds[config.neck]}
        built = {name: kind(in_channels, config.pyramid_channels, config.norm_groups) for name, kind in wanted.items()}
        self.pyramid = LayerChoice(built, label="neck") if config.neck == "search" else built[config.neck]
        self.output_shape = {
            name: FeatureShape(config.pyramid_channels, stride)
            for name, stride in zip(LEVELS, PYRAMID_STRIDES, strict=True)
        }

    def forward(self, features: Features) -> Features:
        """C2..C5 to P2..P6."""
        pyramid: Features = self.pyramid(features)
        return pyramid
