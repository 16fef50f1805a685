"""How channels are distributed behind the layers of a trained backbone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from autopanoptic.panoptic.model.backbone.blocks import split_pairs


@dataclass(frozen=True)
class Moments:
    """Mean and variance of each channel, (C,) each."""

    mean: Tensor
    variance: Tensor

    def shuffled(self) -> Moments:
        """Of the channels in the order in which a block with stride 1 sees them."""
        mean, variance = (t.view(2, -1).T.flatten() for t in (self.mean, self.variance))
        return Moments(mean, variance)

    def pairs(self) -> tuple[Moments, Moments]:
        """Of the channels that an interleaved block with stride 1 keeps, and of those that enter its branch."""
        kept, entering = split_pairs(torch.stack((self.mean, self.variance)))
        return Moments(*kept), Moments(*entering)

    def halves(self) -> tuple[Moments, Moments]:
        """Of the first and the second half of the channels."""
        first, second = zip(self.mean.chunk(2), self.variance.chunk(2), strict=True)
        return Moments(*first), Moments(*second)


def rectified(norm: nn.modules.batchnorm._BatchNorm) -> Moments:
    """Moments behind a batch norm and a ReLU, as if the norm's output were Gaussian."""
    mean, deviation = norm.bias, norm.weight.abs().clamp(min=1e-6)
    z = mean / deviation
    density, share = (-0.5 * z**2).exp() / math.sqrt(2 * math.pi), torch.special.ndtr(z)
    rectified = mean * share + deviation * density
    square = (mean**2 + deviation**2) * share + mean * deviation * density
    return Moments(rectified, (square - rectified**2).clamp(min=0))
