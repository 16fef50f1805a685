"""How a block begins with what the trained block of its place, a ``shuffle3``, has learned."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from autopanoptic.panoptic.model.backbone.blocks import InterleavedBlock, ShuffleNetBlock
from autopanoptic.panoptic.model.backbone.moments import Moments, rectified
from autopanoptic.panoptic.model.operators.kernels import padded, spread

# Positions in a Xception branch of what stands at these positions in a shuffle branch.
_XCEPTION_FROM_SHUFFLE = {0: 2, 1: 3, 3: 10, 4: 11, 5: 12, 6: 13}


@dataclass(frozen=True)
class TrainedBlock:
    """A trained ``shuffle3`` and what enters it.

    Attributes:
        block: With its batch-norm statistics.
        entering: How each channel of its input is distributed.
    """

    block: ShuffleNetBlock
    entering: Moments

    def leaving(self) -> Moments:
        """How each channel of its output is distributed."""
        leaving = rectified(norm_at(self.block.branch, -2))
        skip = self.block.projection
        kept = _split(self.block, self.entering)[0] if skip is None else rectified(norm_at(skip, -2))
        if isinstance(self.block, InterleavedBlock):
            mean, variance = (torch.stack(pair, dim=1) for pair in _paired(kept, leaving))
            return Moments(mean.flatten(), variance.flatten())
        return Moments(*(torch.cat(pair) for pair in _paired(kept, leaving)))


def fill_larger(target: ShuffleNetBlock, trained: TrainedBlock) -> None:
    """Copy all but the depthwise kernels, which are padded, into a block of larger kernels."""
    new = target.state_dict()
    for name, tensor in trained.block.state_dict().items():
        new[name].copy_(padded(tensor, new[name]) if tensor.dim() == 4 else tensor)


def fill_xception(target: ShuffleNetBlock, trained: TrainedBlock) -> None:
    """Make two identity convolutions before the trained depthwise kernel, and one between.

    All identities but the first stand behind a ReLU, and pass its output unchanged.
    """
    block = trained.block
    old, new = block.branch, target.branch
    strided = block.projection is not None
    inner = rectified(norm_at(old, 1))
    _make_identity(new, 0, trained.entering if strided else _split(block, trained.entering)[1])
    _make_identity(new, 5, inner)
    _make_identity(new, 7, inner)
    for start, end in _XCEPTION_FROM_SHUFFLE.items():
        new[end].load_state_dict(old[start].state_dict())
    if strided:
        kernel = convolution_at(new, 10).weight
        kernel.copy_(spread(kernel))
    if block.projection is not None and target.projection is not None:
        target.projection.load_state_dict(block.projection.state_dict())


def _make_identity(branch: nn.Sequential, index: int, moments: Moments) -> None:
    """A convolution that scales its input, and a batch norm that undoes both for inputs of these moments.

    The scale is such that the kernel is as large as a freshly drawn one, so that training can change it as fast.
    """
    convolution, norm = convolution_at(branch, index), norm_at(branch, index + 1)
    scale = 1 / math.sqrt(convolution.weight[0].numel())
    nn.init.dirac_(convolution.weight, groups=convolution.groups)
    convolution.weight.mul_(scale)
    mean, variance = scale * moments.mean, scale**2 * moments.variance
    norm.load_state_dict({**norm.state_dict(), "running_mean": mean, "running_var": variance})
    norm.bias.copy_(moments.mean)
    norm.weight.copy_((variance + norm.eps).sqrt() / scale)


def _split(block: ShuffleNetBlock, entering: Moments) -> tuple[Moments, Moments]:
    """What a block with stride 1 keeps, and what enters its branch."""
    return entering.pairs() if isinstance(block, InterleavedBlock) else entering.shuffled().halves()


def _paired(kept: Moments, leaving: Moments) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    return (kept.mean, leaving.mean), (kept.variance, leaving.variance)


def convolution_at(layers: nn.Sequential, index: int) -> nn.Conv2d:
    """The convolution at a place; TypeError where something else stands."""
    layer = layers[index]
    if not isinstance(layer, nn.Conv2d):
        raise TypeError(f"layer {index} is a {type(layer).__name__}, not a convolution")
    return layer


def norm_at(layers: nn.Sequential, index: int) -> nn.modules.batchnorm._BatchNorm:
    """A batch norm, also one that was converted to a synchronised one."""
    layer = layers[index]
    if not isinstance(layer, nn.modules.batchnorm._BatchNorm):
        raise TypeError(f"layer {index} is a {type(layer).__name__}, not a batch norm")
    return layer
