"""The semantic head of Panoptic FPN (Kirillov et al. 2019, "Panoptic Feature Pyramid Networks", section 3)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

from autopanoptic.nas import ElasticConv2d, Size
from autopanoptic.panoptic.model.padding import blank, extend, group_norm
from autopanoptic.panoptic.model.shapes import Features, FeatureShape

WIDTH = 128
GROUPS = 32


class PlainSegmentation(nn.Module):
    """Each level goes up to P2's size in steps of 3x3 convolution, group norm, ReLU and doubling; the sum is scored.

    P2 has one such layer without doubling, P3 one with it, P4 two and P5 three.

    Args:
        input_shape: Channels and strides of the pyramid.
        num_classes: Of the score; for Panoptic FPN 1 + S, any thing first.
        channels: Of the layers' outputs, which the groups divide.
        groups: Of the norms.

    Attributes:
        output_shape: Of the sum, at P2.
    """

    def __init__(
        self, input_shape: Mapping[str, FeatureShape], num_classes: int, channels: Size = WIDTH, groups: int = GROUPS
    ) -> None:
        super().__init__()
        self.levels = [level for level in input_shape if level != "p6"]
        self.layers = nn.ModuleDict(
            {
                level: nn.ModuleList(
                    _layer(channels if step else input_shape[level].channels, channels, groups)
                    for step in range(max(1, doublings))
                )
                for doublings, level in enumerate(self.levels)
            }
        )
        self.output_shape = {"p2": FeatureShape(channels, input_shape["p2"].stride)}
        self.score = ElasticConv2d(channels, num_classes, 1)
        nn.init.kaiming_normal_(self.score.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.score.bias)  # type: ignore[arg-type]

    def forward(self, pyramid: Features) -> Features:
        """The sum over the levels, under the name of P2."""
        finest, *coarser = (self._to_the_finest(pyramid, level) for level in self.levels)
        return {"p2": sum(coarser, start=finest)}

    def classify(self, features: Features) -> Tensor:
        """Logits (B, K, H / 4, W / 4) of the (modulated) sum."""
        return extend(self.score(features["p2"]))

    def _to_the_finest(self, pyramid: Features, level: str) -> Tensor:
        x, place, layers = pyramid[level], self.levels.index(level), self.layers[level]
        assert isinstance(layers, nn.ModuleList)
        for step, layer in enumerate(layers):
            x = layer(x)
            if place:
                # A level may have half a cell too many, where a side is no multiple of its stride.
                size = pyramid[self.levels[place - step - 1]].shape[-2:]
                x = blank(functional.interpolate(extend(x), size=size, mode="bilinear", align_corners=False))
        return x


def _layer(in_channels: Size, out_channels: Size, groups: int) -> nn.Sequential:
    conv = ElasticConv2d(in_channels, out_channels, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, group_norm(groups, out_channels), nn.ReLU(inplace=True))
