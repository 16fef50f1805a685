"""A transposed convolution of fixed or elastic widths, which doubles the size of masks."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from autopanoptic.nas import ElasticLayer, Size
from autopanoptic.nas.supernet.elastic.sizes import size_of
from autopanoptic.panoptic.model.sizes import active, largest


class ElasticDoubling(ElasticLayer, nn.ConvTranspose2d):
    """A transposed convolution of 2 x 2 with stride 2: (N, C_in, H, W) to (N, C_out, 2 H, 2 W)."""

    def __init__(self, in_channels: Size, out_channels: Size) -> None:
        super().__init__(largest(in_channels), largest(out_channels), 2, stride=2)
        self.in_size, self.out_size = size_of(in_channels), size_of(out_channels)
        side = size_of(2)
        self.layout = {"weight": (self.in_size, self.out_size, side, side), "bias": (self.out_size,)}

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """The active part's output; ``output_size`` has no use with these sizes."""
        self.check_channels(x, 1)
        return functional.conv_transpose2d(x, active(self, "weight"), active(self, "bias"), stride=2)


def doubling(in_channels: Size, out_channels: Size) -> nn.ConvTranspose2d:
    """A transposed convolution of 2 x 2 with stride 2; of numbers torch's own."""
    if isinstance(in_channels, int) and isinstance(out_channels, int):
        return nn.ConvTranspose2d(int(in_channels), int(out_channels), 2, stride=2)
    return ElasticDoubling(in_channels, out_channels)
