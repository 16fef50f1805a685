"""EfficientNet-Lite0 without its classifier (Tan and Le 2019; Liu 2020, "Higher accuracy on vision models with
EfficientNet-Lite"): inverted residuals with ReLU6, without squeeze and excitation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from autopanoptic.panoptic.data.loading.normalization import IMAGENET
from autopanoptic.panoptic.model.backbone.backbone import Backbone
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.padding import batch_norm, blank
from autopanoptic.panoptic.model.shapes import FeatureShape

EPSILON = 1e-3
"""Of the batch norms of the TensorFlow models."""
OWN_MEAN, OWN_STD = 127, 128
"""The weights were trained with (x - 127) / 128 of pixels in 0..255."""


class _Group(NamedTuple):
    """Blocks of one kind: how many, the stride of the first, and what `InvertedResidual` takes."""

    blocks: int
    stride: int
    kernel: int
    expansion: int
    channels: int


STEM = 32
GROUPS = {
    "c2": (_Group(1, 1, 3, 1, 16), _Group(2, 2, 3, 6, 24)),
    "c3": (_Group(2, 2, 5, 6, 40),),
    "c4": (_Group(3, 2, 3, 6, 80), _Group(3, 1, 5, 6, 112)),
    "c5": (_Group(4, 2, 5, 6, 192), _Group(1, 1, 3, 6, 320)),
}
"""The blocks up to each level; the channels are EfficientNet-B0's."""


class SamePadding(nn.Conv2d):
    """A convolution padded as TensorFlow's "same" pads even sizes: with stride 2 one more pixel at the end.

    Without that the weights see everything half a pixel off.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, groups: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel, stride, groups=groups, bias=False)
        start, end = (kernel - stride) // 2, (kernel - stride + 1) // 2
        self.margins = (start, end, start, end)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, H / stride, W / stride), for even H and W where the stride is 2."""
        return super().forward(functional.pad(x, self.margins))


class FromImageNet(nn.Module):
    """Images normalised by ImageNet's mean and deviation to those that the weights were trained with."""

    scale: Tensor
    shift: Tensor

    def __init__(self) -> None:
        super().__init__()
        pairs = list(zip(IMAGENET.mean, IMAGENET.std, strict=True))
        # Constants of the format, which no file of weights holds.
        for name, values in (
            ("scale", [std / OWN_STD for _, std in pairs]),
            ("shift", [(mean - OWN_MEAN) / OWN_STD for mean, _ in pairs]),
        ):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) to the same, with zeros in the padding, which lies beyond an image's border."""
        return blank(images * self.scale + self.shift)


class InvertedResidual(nn.Module):
    """Pointwise to more channels, depthwise, pointwise back without an activation (Sandler et al. 2018).

    Args:
        in_channels: Of the input.
        out_channels: Of the output; where they are the input's, and the stride is 1, the input is added.
        kernel: Of the depthwise convolution.
        stride: 1 or 2.
        expansion: Channels between, by those of the input; with 1 there is no first convolution.
        momentum: Of the batch norms.

    Attributes:
        operator: Its name in drawings.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int, momentum: float
    ) -> None:
        super().__init__()
        self.operator = f"ir{kernel}"
        inner = in_channels * expansion
        self.expand = _layer(in_channels, inner, 1, 1, momentum) if expansion > 1 else nn.Identity()
        self.depthwise = _layer(inner, inner, kernel, stride, momentum, groups=inner)
        self.project = nn.Sequential(
            SamePadding(inner, out_channels, 1, 1), batch_norm(out_channels, momentum, EPSILON)
        )
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, H / stride, W / stride)."""
        found: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + found if self.residual else found


class EfficientNetLite0(Backbone):
    """EfficientNet-Lite0's features: C2..C5 have 24, 40, 112 and 320 channels.

    Args:
        config: Has the momentum of the batch norms.
    """

    def __init__(self, config: PanopticConfig) -> None:
        momentum = config.batch_norm_momentum
        stem = nn.Sequential(FromImageNet(), *_layer(3, STEM, 3, 2, momentum))
        stages: dict[str, nn.Module] = {}
        entering = STEM
        for name, groups in GROUPS.items():
            stages[name] = nn.Sequential(*_blocks(groups, entering, momentum))
            entering = groups[-1].channels
        shape = {
            name: FeatureShape(groups[-1].channels, 4 * 2**stage) for stage, (name, groups) in enumerate(GROUPS.items())
        }
        super().__init__(stem, stages, shape)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _blocks(groups: tuple[_Group, ...], entering: int, momentum: float) -> Iterator[InvertedResidual]:
    for group in groups:
        for position in range(group.blocks):
            stride = 1 if position else group.stride
            yield InvertedResidual(entering, group.channels, group.kernel, stride, group.expansion, momentum)
            entering = group.channels


def _layer(
    in_channels: int, out_channels: int, kernel: int, stride: int, momentum: float, groups: int = 1
) -> nn.Sequential:
    convolution = SamePadding(in_channels, out_channels, kernel, stride, groups)
    return nn.Sequential(convolution, batch_norm(out_channels, momentum, EPSILON), nn.ReLU6(inplace=True))
