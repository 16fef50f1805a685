"""The options of a block of the backbone: DetNAS' ShuffleNetV2 blocks (Chen et al. 2019; Guo et al. 2020, appendix)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from autopanoptic.panoptic.model.padding import BatchNorm2d


class ShuffleBlock(nn.Module):
    """A ShuffleNetV2 block.

    With stride 1 the channels are shuffled in two groups, then the first half passes and the second goes through
    the branch; with stride 2 the whole input goes both through the branch and through a depthwise-separable
    projection.

    Args:
        in_channels: Channels of the input; equal to ``out_channels`` with stride 1.
        out_channels: Channels of the output.
        stride: 1 or 2.
        option: One of `BLOCK_OPTIONS`, whose last character is the kernel size.
        momentum: Momentum of the batch norms.
        init: One of `autopanoptic.panoptic.model.config.INITS`.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, option: str, momentum: float, init: str = "published"
    ) -> None:
        super().__init__()
        kernel, kept = int(option[-1]), in_channels if stride == 2 else in_channels // 2
        entering = in_channels if stride == 2 else in_channels - kept
        branch = _xception_branch if option.startswith("xception") else _shuffle_branch
        layers = branch(entering, out_channels // 2, out_channels - kept, kernel, stride, momentum)
        self.branch = nn.Sequential(*layers, nn.ReLU(inplace=True))
        self.projection: nn.Sequential | None = None
        if stride == 2:
            layers = (*_depthwise(kept, kernel, 2, momentum), *_pointwise(kept, kept, momentum))
            self.projection = nn.Sequential(*layers, nn.ReLU(inplace=True))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                _draw(module, init)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, H / stride, W / stride)."""
        if self.projection is not None:
            return torch.cat((self.projection(x), self.branch(x)), dim=1)
        kept, entering = nn.functional.channel_shuffle(x, 2).chunk(2, dim=1)
        return torch.cat((kept, self.branch(entering)), dim=1)


def _shuffle_branch(
    entering: int, middle: int, leaving: int, kernel: int, stride: int, momentum: float
) -> tuple[nn.Module, ...]:
    return (
        *_pointwise(entering, middle, momentum),
        nn.ReLU(inplace=True),
        *_depthwise(middle, kernel, stride, momentum),
        *_pointwise(middle, leaving, momentum),
    )


def _xception_branch(
    entering: int, middle: int, leaving: int, kernel: int, stride: int, momentum: float
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


def _pointwise(in_channels: int, out_channels: int, momentum: float) -> tuple[nn.Module, ...]:
    return _normalised(nn.Conv2d(in_channels, out_channels, 1, bias=False), momentum)


def _depthwise(channels: int, kernel: int, stride: int, momentum: float) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False)
    return _normalised(convolution, momentum)


def _normalised(convolution: nn.Conv2d, momentum: float) -> tuple[nn.Module, ...]:
    return convolution, BatchNorm2d(convolution.out_channels, momentum=momentum)


def _draw(convolution: nn.Conv2d, init: str) -> None:
    """Draw a kernel behind which a batch norm stands, as `PanopticConfig.backbone_init` says."""
    # The norm takes the scale out of the output, but the scale decides how far a step turns the weights: with
    # torch's default the backbone learns more slowly, and with 1 a depthwise kernel stays as it was drawn.
    channels = convolution.in_channels // convolution.groups
    taps = convolution.weight[0, 0].numel() if init == "fan_in" else 1
    nn.init.normal_(convolution.weight, std=1 / (channels * taps))
