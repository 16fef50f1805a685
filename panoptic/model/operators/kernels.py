"""What a trained layer has learned, and its kernels in other sizes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class TrainedKernel:
    """The kernels of a trained depthwise-separable layer, from which other operators begin.

    Attributes:
        depthwise: (C_in, 1, k, k).
        depthwise_bias: (C_in,).
        pointwise: (C_out, C_in, 1, 1).
        pointwise_bias: (C_out,).
    """

    depthwise: Tensor
    depthwise_bias: Tensor
    pointwise: Tensor
    pointwise_bias: Tensor

    @property
    def dense(self) -> Tensor:
        """The full kernel that does the same, but for the borders: (C_out, C_in, k, k)."""
        return self.pointwise * self.depthwise.transpose(0, 1)

    @property
    def bias(self) -> Tensor:
        """The full kernel's bias, (C_out,)."""
        return self.pointwise_bias + self.pointwise.flatten(1) @ self.depthwise_bias


def padded(kernel: Tensor, like: Tensor) -> Tensor:
    """The kernel with zeros around it, in the size of another."""
    margin = (like.shape[-1] - kernel.shape[-1]) // 2
    return functional.pad(kernel, (margin,) * 4)


def spread(kernel: Tensor) -> Tensor:
    """A 3x3 kernel's equivalent on a grid of twice the spacing, for features linear over the pixels.

    A tap between two cells of the coarser grid is shared by them.
    """
    share = kernel.new_tensor([[0.5, 0.0, 0.0], [0.5, 1.0, 0.5], [0.0, 0.0, 0.5]])
    return share @ kernel @ share.T


def bias_of(convolution: nn.Conv2d) -> Tensor:
    """The bias of a convolution that has one; TypeError otherwise."""
    if convolution.bias is None:
        raise TypeError(f"{convolution} has no bias")
    return convolution.bias


def draw_xavier(convolution: nn.Conv2d) -> None:
    """Draw a kernel (Glorot and Bengio 2010, normal) and set its bias to 0."""
    nn.init.xavier_normal_(convolution.weight)
    nn.init.zeros_(bias_of(convolution))
