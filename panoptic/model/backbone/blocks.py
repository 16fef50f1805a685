"""The options of a block of the backbone: DetNAS' ShuffleNetV2 blocks (Chen et al. 2019; Guo et al. 2020, appendix)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from autopanoptic.nas import ElasticConv2d, Size
from autopanoptic.panoptic.model.padding import batch_norm


class ShuffleNetBlock(nn.Module):
    """What the forms of a ShuffleNetV2 block have in common: a branch, and with stride 2 a projection beside it.

    Args:
        branch: Channels that enter the branch, in its middle, and that leave it.
        projection: Channels that enter and leave the projection; None for none.
        stride: 1 or 2.
        option: One of `BLOCK_OPTIONS`, whose last character is the kernel size.
        momentum: Momentum of the batch norms.
        init: One of `autopanoptic.panoptic.model.config_checks.INITS`.

    Attributes:
        operator: The option.
    """

    def __init__(
        self,
        branch: tuple[Size, Size, Size],
        projection: tuple[Size, Size] | None,
        stride: int,
        option: str,
        momentum: float,
        init: str,
    ) -> None:
        super().__init__()
        self.operator = option
        kernel, layers_of = int(option[-1]), _xception_branch if option.startswith("xception") else _shuffle_branch
        self.branch = nn.Sequential(*layers_of(*branch, kernel, stride, momentum), nn.ReLU(inplace=True))
        self.projection: nn.Sequential | None = None
        if projection is not None:
            entering, leaving = projection
            layers = (*_depthwise(entering, kernel, stride, momentum), *_pointwise(entering, leaving, momentum))
            self.projection = nn.Sequential(*layers, nn.ReLU(inplace=True))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                _draw(module, init)


class ShuffleBlock(ShuffleNetBlock):
    """A ShuffleNetV2 block as published.

    With stride 1 the channels are shuffled in two groups, then the first half passes and the second goes through
    the branch; with stride 2 the whole input goes both through the branch and through a depthwise-separable
    projection.

    Args:
        in_channels: Channels of the input; equal to ``out_channels`` with stride 1.
        out_channels: Channels of the output.
        stride: 1 or 2.
        option: As `ShuffleNetBlock`'s.
        momentum: As `ShuffleNetBlock`'s.
        init: As `ShuffleNetBlock`'s.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, option: str, momentum: float, init: str = "published"
    ) -> None:
        kept = in_channels if stride == 2 else in_channels // 2
        branch = (in_channels if stride == 2 else in_channels - kept, out_channels // 2, out_channels - kept)
        super().__init__(branch, (kept, kept) if stride == 2 else None, stride, option, momentum, init)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, H / stride, W / stride)."""
        if self.projection is not None:
            return torch.cat((self.projection(x), self.branch(x)), dim=1)
        kept, entering = nn.functional.channel_shuffle(x, 2).chunk(2, dim=1)
        return torch.cat((kept, self.branch(entering)), dim=1)


class InterleavedBlock(ShuffleNetBlock):
    """A ShuffleNetV2 block for elastic widths: what a narrower one computes is a prefix of a wider one's channels.

    The channels that were kept and those of the branch take turns in the output, which is one fixed order of those of
    `ShuffleBlock`; so every width holds as many of both. With stride 1 every other pair of the input's channels is
    kept, and the others go through the branch. With stride 2 branch and projection make half of the output each (Ma et
    al. 2018, "ShuffleNet V2", figure 3), so that any width may follow any other.

    Args:
        in_channels: Channels of the input; equal to ``out_channels`` with stride 1.
        out_channels: Channels of the output, multiples of 4.
        stride: 1 or 2.
        option: As `ShuffleNetBlock`'s.
        momentum: As `ShuffleNetBlock`'s.
        init: As `ShuffleNetBlock`'s.
    """

    def __init__(
        self, in_channels: Size, out_channels: Size, stride: int, option: str, momentum: float, init: str = "published"
    ) -> None:
        half = out_channels // 2
        branch = (in_channels if stride == 2 else half, half, half)
        super().__init__(branch, (in_channels, half) if stride == 2 else None, stride, option, momentum, init)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, H / stride, W / stride)."""
        if self.projection is not None:
            kept, leaving = self.projection(x), self.branch(x)
        else:
            kept, entering = split_pairs(x)
            leaving = self.branch(entering)
        return torch.stack((kept, leaving), dim=2).flatten(1, 2)


def split_pairs(x: Tensor) -> tuple[Tensor, Tensor]:
    """Every other pair of channels, and the pairs between: (B, C, ...) to twice (B, C / 2, ...)."""
    pairs = x.unflatten(1, (-1, 2, 2))  # type: ignore[no-untyped-call]
    return pairs[:, :, 0].flatten(1, 2), pairs[:, :, 1].flatten(1, 2)


def _shuffle_branch(
    entering: Size, middle: Size, leaving: Size, kernel: int, stride: int, momentum: float
) -> tuple[nn.Module, ...]:
    return (
        *_pointwise(entering, middle, momentum),
        nn.ReLU(inplace=True),
        *_depthwise(middle, kernel, stride, momentum),
        *_pointwise(middle, leaving, momentum),
    )


def _xception_branch(
    entering: Size, middle: Size, leaving: Size, kernel: int, stride: int, momentum: float
) -> tuple[nn.Module, ...]:
    return (
        *_depthwise(entering, kernel, stride, momentum),
        *_pointwise(entering, middle, momentum),
        nn.ReLU(inplace=True),
        *_depthwise(middle, kernel, 1, momentum),
        *_pointwise(middle, middle, momentum),
        nn.ReLU(inplace=True),
        *_depthwise(middle, kernel, 1, momentum),
        *_pointwise(middle, leaving, momentum),
    )


def _pointwise(in_channels: Size, out_channels: Size, momentum: float) -> tuple[nn.Module, ...]:
    return ElasticConv2d(in_channels, out_channels, 1, bias=False), batch_norm(out_channels, momentum)


def _depthwise(channels: Size, kernel: int, stride: int, momentum: float) -> tuple[nn.Module, ...]:
    convolution = ElasticConv2d(channels, channels, kernel, stride, kernel // 2, groups="depthwise", bias=False)
    return convolution, batch_norm(channels, momentum)


def _draw(convolution: nn.Conv2d, init: str) -> None:
    """Draw a kernel behind which a batch norm stands, as `PanopticConfig.backbone_init` says."""
    # The norm takes the scale out of the output, but the scale decides how far a step turns the weights: with
    # torch's default the backbone learns more slowly, and with 1 a depthwise kernel stays as it was drawn.
    channels = convolution.in_channels // convolution.groups
    taps = convolution.weight[0, 0].numel() if init == "fan_in" else 1
    nn.init.normal_(convolution.weight, std=1 / (channels * taps))
