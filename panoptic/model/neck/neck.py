"""Feature pyramids over C2..C5: FPN, PANet's bottom-up path, and BiFPN-style weighted fusion; all give P2..P6."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import FeaturePyramidNetwork

from autopanoptic.nas import LayerChoice
from autopanoptic.panoptic.model.config import PYRAMID_STRIDES, PanopticConfig
from autopanoptic.panoptic.model.shapes import Features, FeatureShape

LEVELS = ("p2", "p3", "p4", "p5", "p6")


class FPN(nn.Module):
    """Feature pyramid network (Lin et al. 2017) with group norm after each convolution; P6 subsamples P5.

    Args:
        in_channels: Channels of C2..C5.
        channels: Channels of every level of the pyramid.
        groups: Groups of the norms.
    """

    def __init__(self, in_channels: list[int], channels: int, groups: int) -> None:
        super().__init__()
        self.fpn = FeaturePyramidNetwork(in_channels, channels, norm_layer=partial(nn.GroupNorm, groups))

    def forward(self, features: Features) -> Features:
        """C2..C5 to P2..P6."""
        return _with_p6(list(self.fpn(features).values()))


class PANet(nn.Module):
    """FPN followed by a bottom-up path (Liu et al. 2018, "Path aggregation network", section 3.1).

    N2 = P2, and N(l+1) = conv(P(l+1) + ReLU(strided conv(N(l)))).
    """

    def __init__(self, in_channels: list[int], channels: int, groups: int) -> None:
        super().__init__()
        self.fpn = FeaturePyramidNetwork(in_channels, channels, norm_layer=partial(nn.GroupNorm, groups))
        rising = in_channels[1:]
        self.down = nn.ModuleList(_convolution(channels, channels, groups, stride=2) for _ in rising)
        self.out = nn.ModuleList(_convolution(channels, channels, groups) for _ in rising)

    def forward(self, features: Features) -> Features:
        """C2..C5 to P2..P6."""
        top_down = list(self.fpn(features).values())
        levels = [top_down[0]]
        for level, down, out in zip(top_down[1:], self.down, self.out, strict=True):
            levels.append(out(level + functional.relu(down(levels[-1]))))
        return _with_p6(levels)


class WeightedSum(nn.Module):
    """Fast normalised fusion of n tensors (Tan et al. 2020, "EfficientDet", equation 3), then a separable conv."""

    def __init__(self, inputs: int, channels: int, groups: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(inputs))
        self.mix = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            _convolution(channels, channels, groups, kernel=1),
        )

    def forward(self, *inputs: Tensor) -> Tensor:
        """Tensors of one shape (B, C, H, W) to one tensor of that shape."""
        positive = functional.relu(self.weight)
        share = positive / (positive.sum() + 1e-4)
        fused = sum((s * x for s, x in zip(share, inputs, strict=True)), start=torch.zeros_like(inputs[0]))
        out: Tensor = self.mix(fused)
        return out


class BiFPN(nn.Module):
    """One bidirectional layer with a learned weight for every input of a level (Tan et al. 2020, section 3)."""

    def __init__(self, in_channels: list[int], channels: int, groups: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(_convolution(width, channels, groups, kernel=1) for width in in_channels)
        between = len(LEVELS) - 2
        self.top_down = nn.ModuleList(WeightedSum(2, channels, groups) for _ in range(between))
        self.bottom_up = nn.ModuleList(WeightedSum(3, channels, groups) for _ in range(between))
        self.ends = nn.ModuleList(WeightedSum(2, channels, groups) for _ in range(2))

    def forward(self, features: Features) -> Features:
        """C2..C5 to P2..P6."""
        laterals = [layer(x) for layer, x in zip(self.lateral, features.values(), strict=True)]
        laterals = list(_with_p6(laterals).values())
        middle = [laterals[-1]]
        for lateral, fuse in zip(laterals[-2:0:-1], self.top_down, strict=True):
            middle.insert(0, fuse(lateral, _resize(middle[0], lateral)))
        levels = [self.ends[0](laterals[0], _resize(middle[0], laterals[0]))]
        for lateral, inner, fuse in zip(laterals[1:-1], middle, self.bottom_up, strict=False):
            levels.append(fuse(lateral, inner, _subsample(levels[-1])))
        levels.append(self.ends[1](laterals[-1], _subsample(levels[-1])))
        return dict(zip(LEVELS, levels, strict=True))


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


def _convolution(in_channels: int, out_channels: int, groups: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_uniform_(convolution.weight, a=1)
    return nn.Sequential(convolution, nn.GroupNorm(groups, out_channels))


def _subsample(x: Tensor) -> Tensor:
    return functional.max_pool2d(x, kernel_size=1, stride=2)


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, size=like.shape[-2:], mode="nearest")


def _with_p6(levels: list[Tensor]) -> Features:
    return dict(zip(LEVELS, [*levels, _subsample(levels[-1])], strict=True))
