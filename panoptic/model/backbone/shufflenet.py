"""The searched backbone, a stem and four stages of blocks (DetNAS, Chen et al. 2019), and a fixed one of such."""

from __future__ import annotations

from functools import partial

from torch import nn

from autopanoptic.nas import LayerChoice, Size
from autopanoptic.panoptic.model.backbone.backbone import Backbone
from autopanoptic.panoptic.model.backbone.blocks import InterleavedBlock, ShuffleBlock
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.config_checks import FOUND_BACKBONES
from autopanoptic.panoptic.model.operators.options import BLOCK_OPTIONS
from autopanoptic.panoptic.model.padding import batch_norm
from autopanoptic.panoptic.model.parts.imports import import_modules
from autopanoptic.panoptic.model.parts.kinds import BackboneBlock
from autopanoptic.panoptic.model.parts.registry import built, part_of
from autopanoptic.panoptic.model.shapes import FeatureShape
from autopanoptic.panoptic.model.sizes import stack, stage_depth, stage_width

_BLOCKS: dict[str, type[ShuffleBlock] | type[InterleavedBlock]] = dict(
    zip(FOUND_BACKBONES, (ShuffleBlock, InterleavedBlock), strict=True)
)


class SearchedBackbone(Backbone):
    """A stem and four stages of searched blocks, labelled ``backbone.0`` onwards over all stages.

    In the elastic space they are ``backbone.c2.0`` onwards in each stage, whose channels and blocks are the choices
    ``backbone.c2.width`` and ``backbone.c2.depth``.

    Args:
        config: Has the widths and depths, or the choices of them.
    """

    def __init__(self, config: PanopticConfig) -> None:
        stem = _stem(config.stem_width, config.batch_norm_momentum)
        stages: dict[str, nn.Module] = {}
        shape: dict[str, FeatureShape] = {}
        in_channels: Size = config.stem_width
        for stage in range(4):
            name, width = f"c{stage + 2}", stage_width(config, stage)
            blocks = partial(_block_choice, config, stage, in_channels, width)
            stages[name] = stack(blocks, stage_depth(config, stage), f"backbone.{name}.depth")
            shape[name] = FeatureShape(width, 4 * 2**stage)
            in_channels = width
        super().__init__(stem, stages, shape)


class FoundBackbone(Backbone):
    """The same of one architecture, without choices: the operators are the config's ``backbone_blocks``.

    Args:
        config: Has the widths and depths, in the elastic space too as ``stage_widths`` and ``stage_depths``.
    """

    def __init__(self, config: PanopticConfig) -> None:
        operators = iter(config.backbone_blocks)
        stem = _stem(config.stem_width, config.batch_norm_momentum)
        stages: dict[str, nn.Module] = {}
        shape: dict[str, FeatureShape] = {}
        entering = config.stem_width
        for stage, (width, depth) in enumerate(zip(config.stage_widths, config.stage_depths, strict=True)):
            blocks: list[nn.Module] = []
            for position in range(depth):
                ends = (width, width, 1) if position else (entering, width, 2)
                blocks.append(_block(config, next(operators), *ends))
            name = f"c{stage + 2}"
            stages[name], shape[name] = nn.Sequential(*blocks), FeatureShape(width, 4 * 2**stage)
            entering = width
        super().__init__(stem, stages, shape)


def _block(config: PanopticConfig, operator: str, entering: int, leaving: int, stride: int) -> nn.Module:
    """Build a block of fixed sizes, which those of one's own take in either space."""
    if operator in BLOCK_OPTIONS:
        block = _BLOCKS[config.backbone]
        return block(entering, leaving, stride, operator, config.batch_norm_momentum, config.backbone_init)
    import_modules(config.imports)
    return part_of(BackboneBlock, operator).build(entering, leaving, stride, config)


def _stem(width: int, momentum: float) -> nn.Sequential:
    convolution = nn.Conv2d(3, width, 3, stride=2, padding=1)
    nn.init.normal_(convolution.weight, std=0.01)
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    return nn.Sequential(convolution, batch_norm(width, momentum), nn.ReLU(inplace=True))


def _block_choice(config: PanopticConfig, stage: int, in_channels: Size, width: Size, position: int) -> nn.Module:
    entering, stride = (width, 1) if position else (in_channels, 2)
    elastic = config.elastic
    options = built(BackboneBlock, config.block_options, config, entering, width, stride, config)
    label = f"c{stage + 2}.{position}" if elastic else str(sum(config.stage_depths[:stage]) + position)
    choice: nn.Module = LayerChoice(options, label=f"backbone.{label}")
    return choice
