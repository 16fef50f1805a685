"""Fusion between the foreground and the background branch: searched channel attention (Auto-Panoptic, NeurIPS 2020).

A unit looks at the pooled features of one branch and gives a factor for each channel of the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from autopanoptic.nas import Concat, ElasticLinear, LayerChoice, Size
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.parts.fitting import PUBLISHED
from autopanoptic.panoptic.model.parts.kinds import FusionOperator
from autopanoptic.panoptic.model.parts.registry import built
from autopanoptic.panoptic.model.shapes import Features, FeatureShape, Sizes


class FusionUnit(nn.Module):
    """Negative attention: 1 - sigmoid(FC(ReLU(FC(x))))."""

    def __init__(self, in_channels: Size, out_channels: Size, reduction: int) -> None:
        super().__init__()
        self.squeeze = ElasticLinear(in_channels, out_channels // reduction)
        self.excite = ElasticLinear(out_channels // reduction, out_channels)

    def forward(self, pooled: Tensor) -> Tensor:
        """Pooled features (B, C_in) to the attention of each output channel (B, C_out), 0 to 1."""
        logits: Tensor = self.excite(self.squeeze(pooled).relu())
        return 1 - logits.sigmoid()


class Fusion(nn.Module):
    """One searched unit for each level of the other branch, labelled ``<name>.<level>``.

    Args:
        name: ``"f2b"`` (foreground to background) or ``"b2f"``.
        sources: Levels that are pooled, of the branch that speaks, with their shapes.
        targets: Levels of the branch that listens.
        config: Names the options of a unit.
    """

    def __init__(
        self,
        name: str,
        sources: Mapping[str, FeatureShape],
        targets: Mapping[str, FeatureShape],
        config: PanopticConfig,
    ) -> None:
        super().__init__()
        self.sources = {level: shape.stride for level, shape in sources.items()}
        in_channels = Concat(*(shape.channels for shape in sources.values()))
        self.units = nn.ModuleDict(
            {
                level: _unit_choice(in_channels, shape.channels, config, f"{name}.{level}")
                for level, shape in targets.items()
            }
        )

    def forward(self, features: Features, sizes: Sizes) -> Features:
        """Attention of each target level.

        Args:
            features: Feature maps that hold at least the source levels.
            sizes: Height and width in pixels of each image without its padding.

        Returns:
            (B, C, 1, 1) for each target level.
        """
        pooled = [pool_true_pixels(features[level], sizes, stride) for level, stride in self.sources.items()]
        context = torch.cat(pooled, dim=1)
        return {level: unit(context)[:, :, None, None] for level, unit in self.units.items()}


def modulate(features: Features, attention: Features) -> Features:
    """``x + a x`` for every level that has an attention; the others are left out."""
    return {level: torch.addcmul(features[level], features[level], a) for level, a in attention.items()}


def pool_true_pixels(x: Tensor, sizes: Sizes, stride: int) -> Tensor:
    """Mean of each channel over the cells that an image covers, not its padding: (B, C, H, W) to (B, C).

    The paper's code pools levels upsampled to the finest one; pooling first gives the same mean up to the weights
    at the border, without the large map.
    """
    cells = [(-(-height // stride), -(-width // stride)) for height, width in sizes]
    if all(cell == tuple(x.shape[-2:]) for cell in cells):
        return x.mean(dim=(2, 3))
    if len(set(cells)) == 1:
        return x[:, :, : cells[0][0], : cells[0][1]].mean(dim=(2, 3))
    means: Iterable[Tensor] = (
        image[:, :height, :width].mean(dim=(1, 2)) for image, (height, width) in zip(x, cells, strict=True)
    )
    return torch.stack(list(means))


def _unit_choice(in_channels: Size, out_channels: Size, config: PanopticConfig, label: str) -> nn.Module:
    options = built(FusionOperator, config.fusion_units, config, in_channels, out_channels, config)
    # Where components are choices, a unit stands beside each semantic head that it fits.
    choice: nn.Module = LayerChoice(options, label=label, tied=config.space == PUBLISHED)
    return choice
