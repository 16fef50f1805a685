"""The feature pyramid over C2..C5, or the choice among several; each gives P2..P6."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import nn

from autopanoptic.nas import LayerChoice, Size
from autopanoptic.panoptic.model.config import PYRAMID_STRIDES, PanopticConfig
from autopanoptic.panoptic.model.neck.levels import LEVELS
from autopanoptic.panoptic.model.neck.refinement import Refinement
from autopanoptic.panoptic.model.parts.kinds import SEARCH, PyramidNeck
from autopanoptic.panoptic.model.parts.registry import built
from autopanoptic.panoptic.model.shapes import Features, FeatureShape
from autopanoptic.panoptic.model.sizes import pyramid_width, stack


class Neck(nn.Module):
    """The config's neck, or the choice ``neck`` among its ``necks``.

    In the elastic space its channels are the choice ``pyramid.width``, and it is refined ``pyramid.depth`` times.

    Attributes:
        output_shape: Channels and strides of P2..P6.
    """

    def __init__(self, config: PanopticConfig, input_shape: Mapping[str, FeatureShape]) -> None:
        super().__init__()
        in_channels = [shape.channels for shape in input_shape.values()]
        channels = pyramid_width(config)
        options = built(PyramidNeck, config.neck_options, config, in_channels, channels, config)
        self.pyramid = LayerChoice(options, label="neck") if config.neck == SEARCH else options[config.neck]
        self.refinement: nn.Module | None = None
        if config.elastic and config.pyramid_depths[1]:
            layers = partial(_refinement, channels, config.norm_groups)
            self.refinement = stack(layers, config.pyramid_depths, "pyramid.depth")
        self.output_shape = {
            name: FeatureShape(channels, stride) for name, stride in zip(LEVELS, PYRAMID_STRIDES, strict=True)
        }

    def forward(self, features: Features) -> Features:
        """C2..C5 to P2..P6."""
        pyramid: Features = self.pyramid(features)
        return pyramid if self.refinement is None else self.refinement(pyramid)


def _refinement(channels: Size, groups: int, _: int) -> Refinement:
    return Refinement(channels, groups)
