"""The searched backbone: a stem and four stages of blocks (DetNAS, Chen et al. 2019)."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from autopanoptic.nas import LayerChoice, Size
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.padding import batch_norm
from autopanoptic.panoptic.model.parts.kinds import BackboneBlock
from autopanoptic.panoptic.model.parts.registry import built
from autopanoptic.panoptic.model.shapes import Features, FeatureShape
from autopanoptic.panoptic.model.sizes import stack, stage_depth, stage_width


class Backbone(nn.Module):
    """A stem and four stages of searched blocks, labelled ``backbone.0`` onwards over all stages.

    In the elastic space they are ``backbone.c2.0`` onwards in each stage, whose channels and blocks are the choices
    ``backbone.c2.width`` and ``backbone.c2.depth``.

    Attributes:
        output_shape: Channels and strides of C2..C5.
    """

    def __init__(self, config: PanopticConfig) -> None:
        super().__init__()
        self.stem = _stem(config.stem_width, config.batch_norm_momentum)
        self.stages = nn.ModuleDict()
        self.output_shape: dict[str, FeatureShape] = {}
        in_channels: Size = config.stem_width
        for stage in range(4):
            name, width = f"c{stage + 2}", stage_width(config, stage)
            blocks = partial(_block_choice, config, stage, in_channels, width)
            self.stages[name] = stack(blocks, stage_depth(config, stage), f"backbone.{name}.depth")
            self.output_shape[name] = FeatureShape(width, 4 * 2**stage)
            in_channels = width

    def forward(self, images: Tensor) -> Features:
        """Images (B, 3, H, W), H and W multiples of 32, to C2..C5."""
        x = self.stem(images)
        features = {}
        for name, stage in self.stages.items():
            x = stage(x)
            features[name] = x
        return features


def _stem(width: int, momentum: float) -> nn.Sequential:
    convolution = nn.Conv2d(3, width, 3, stride=2, padding=1)
    nn.init.normal_(convolution.weight, std=0.01)
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    return nn.Sequential(convolution, batch_norm(width, momentum), nn.ReLU(inplace=True))


def _block_choice(config: PanopticConfig, stage: int, in_channels: Size, width: Size, position: int) -> nn.Module:
    entering, stride = (width, 1) if position else (in_channels, 2)
    elastic = config.space == "elastic"
    options = built(BackboneBlock, config.block_options, config, entering, width, stride, config)
    label = f"c{stage + 2}.{position}" if elastic else str(sum(config.stage_depths[:stage]) + position)
    choice: nn.Module = LayerChoice(options, label=f"backbone.{label}")
    return choice
