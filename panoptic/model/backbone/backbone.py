"""The searched backbone: a stem and four stages of blocks (DetNAS, Chen et al. 2019)."""

from __future__ import annotations

from torch import Tensor, nn

from autopanoptic.nas import LayerChoice
from autopanoptic.panoptic.model.backbone.blocks import ShuffleBlock
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.operators.options import BLOCK_OPTIONS
from autopanoptic.panoptic.model.padding import BatchNorm2d
from autopanoptic.panoptic.model.shapes import Features, FeatureShape


class Backbone(nn.Module):
    """A stem and four stages of searched blocks, labelled ``backbone.0`` onwards over all stages.

    Attributes:
        output_shape: Channels and strides of C2..C5.
    """

    def __init__(self, config: PanopticConfig) -> None:
        super().__init__()
        self.stem = _stem(config.stem_width, config.batch_norm_momentum)
        self.stages = nn.ModuleDict()
        self.output_shape: dict[str, FeatureShape] = {}
        in_channels, index = config.stem_width, 0
        for stage, (width, depth) in enumerate(zip(config.stage_widths, config.stage_depths, strict=True)):
            blocks = []
            for position in range(depth):
                stride = 2 if position == 0 else 1
                blocks.append(_block_choice(in_channels, width, stride, index, config))
                in_channels, index = width, index + 1
            self.stages[f"c{stage + 2}"] = nn.Sequential(*blocks)
            self.output_shape[f"c{stage + 2}"] = FeatureShape(width, 4 * 2**stage)

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
    return nn.Sequential(convolution, BatchNorm2d(width, momentum=momentum), nn.ReLU(inplace=True))


def _block_choice(in_channels: int, width: int, stride: int, index: int, config: PanopticConfig) -> nn.Module:
    momentum, init = config.batch_norm_momentum, config.backbone_init
    options = {name: ShuffleBlock(in_channels, width, stride, name, momentum, init) for name in BLOCK_OPTIONS}
    choice: nn.Module = LayerChoice(options, label=f"backbone.{index}")
    return choice
