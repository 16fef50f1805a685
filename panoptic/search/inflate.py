"""Warm start of a supernet: what one trained path has learned, copied into the other options.

Larger kernels are the trained ones padded with zeros, a depthwise and a pointwise kernel multiply to a dense one, and
layers that an option has in excess start as identities. So most options start out as the same function as the
trained one; where no exact copy exists (dilated kernels, the Xception block with stride 2) a kernel is taken that
agrees on features which change linearly over the pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from autopanoptic.nas import Architecture, LayerChoice
from autopanoptic.panoptic.model.backbone.backbone import Backbone
from autopanoptic.panoptic.model.backbone.blocks import ShuffleBlock
from autopanoptic.panoptic.model.fusion.fusion import FusionUnit
from autopanoptic.panoptic.model.neck.bifpn import BiFPN
from autopanoptic.panoptic.model.neck.fpn import FPN
from autopanoptic.panoptic.model.neck.panet import PANet
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.operators.kernels import padded, spread
from autopanoptic.panoptic.model.operators.known import operator_of
from autopanoptic.panoptic.model.operators.separable import DepthwiseSeparable

# Positions in a Xception branch of what stands at these positions in a shuffle branch.
_XCEPTION_FROM_SHUFFLE = {0: 2, 1: 3, 3: 10, 4: 11, 5: 12, 6: 13}
_SOURCES = {"backbone": "shuffle3", "mask": "dw3", "segmentation": "dw3", "neck": "fpn"}


@dataclass(frozen=True)
class Moments:
    """Mean and variance of each channel, (C,) each."""

    mean: Tensor
    variance: Tensor

    def shuffled(self) -> Moments:
        """Of the channels in the order in which a block with stride 1 sees them."""
        mean, variance = (t.view(2, -1).T.flatten() for t in (self.mean, self.variance))
        return Moments(mean, variance)

    def halves(self) -> tuple[Moments, Moments]:
        """Of the first and the second half of the channels."""
        first, second = zip(self.mean.chunk(2), self.variance.chunk(2), strict=True)
        return Moments(*first), Moments(*second)


@torch.no_grad()
def inflate(network: PanopticNetwork, source: Architecture) -> None:
    """Copy the trained weights of one path into the other options of every choice, in place.

    Args:
        network: The supernet of which only the path ``source`` has been trained.
        source: The trained path: ``shuffle3`` in every block, ``dw3`` in every head layer, the neck ``fpn`` where the
            neck is a choice; fusion units at will.

    Raises:
        ValueError: The path holds an option from which the others cannot be made.
    """
    choices = {module.label: module for module in network.modules() if isinstance(module, LayerChoice)}
    _check(source, choices)
    _inflate_backbone(network.backbone)
    for label, choice in choices.items():
        trained = choice[source[label]]
        if not isinstance(trained, ShuffleBlock):
            for name in choice.names:
                if name != source[label]:
                    _fill(name, trained, choice[name])


def _check(source: Mapping[str, object], choices: Mapping[str, nn.Module]) -> None:
    for label in choices:
        needed = _SOURCES.get(label.split(".")[0])
        if label not in source or (needed is not None and source[label] != needed):
            raise ValueError(
                f"cannot inflate from {label} = {source.get(label)!r}: the trained path must hold "
                f"{needed or 'an option'} there, whose kernel fits into the others'"
            )


def _fill(name: str, trained: nn.Module, target: nn.Module) -> None:
    if isinstance(trained, DepthwiseSeparable):
        operator_of(name).inherit(target, trained.learned())
    elif isinstance(trained, FusionUnit) and isinstance(target, FusionUnit):
        _fill_fusion(trained, target)
    elif isinstance(trained, FPN):
        _fill_neck(trained, target)
    else:
        raise TypeError(f"no rule copies {type(trained).__name__} into {type(target).__name__}")


def _fill_fusion(trained: FusionUnit, target: FusionUnit) -> None:
    """Keep the hidden units with the largest outgoing weights; units in excess start without effect."""
    kept = min(trained.squeeze.out_features, target.squeeze.out_features)
    order = trained.excite.weight.norm(dim=0).argsort(descending=True)[:kept]
    target.squeeze.weight[:kept] = trained.squeeze.weight[order]
    target.squeeze.bias[:kept] = trained.squeeze.bias[order]
    target.excite.weight.zero_()
    target.excite.weight[:, :kept] = trained.excite.weight[:, order]
    target.excite.bias.copy_(trained.excite.bias)


def _fill_neck(trained: FPN, target: nn.Module) -> None:
    if isinstance(target, PANet):
        target.fpn.load_state_dict(trained.fpn.state_dict())
    elif isinstance(target, BiFPN):
        target.lateral.load_state_dict(trained.fpn.inner_blocks.state_dict())


def _inflate_backbone(backbone: Backbone) -> None:
    """Fill each block's options, following the channels' moments from the stem on."""
    moments = _rectified(_norm(backbone.stem, 1))
    for choice in (module for module in backbone.modules() if isinstance(module, LayerChoice)):
        trained = choice["shuffle3"]
        for name in choice.names:
            if name.startswith("xception"):
                _fill_xception(trained, choice[name], moments)
            elif name != "shuffle3":
                _fill_larger(trained, choice[name])
        moments = _moments_after(trained, moments)


def _fill_larger(trained: ShuffleBlock, target: ShuffleBlock) -> None:
    """Copy all but the depthwise kernels, which are padded."""
    new = target.state_dict()
    for name, tensor in trained.state_dict().items():
        new[name].copy_(padded(tensor, new[name]) if tensor.dim() == 4 else tensor)


def _fill_xception(trained: ShuffleBlock, target: ShuffleBlock, entering: Moments) -> None:
    """Two identity convolutions before the trained depthwise kernel, and one between.

    All identities but the first stand behind a ReLU, and pass its output unchanged.
    """
    old, new = trained.branch, target.branch
    strided = trained.projection is not None
    inner = _rectified(_norm(old, 1))
    _make_identity(new, 0, entering if strided else entering.shuffled().halves()[1])
    _make_identity(new, 5, inner)
    _make_identity(new, 7, inner)
    for start, end in _XCEPTION_FROM_SHUFFLE.items():
        new[end].load_state_dict(old[start].state_dict())
    if strided:
        kernel = _convolution(new, 10).weight
        kernel.copy_(spread(kernel))
    if trained.projection is not None and target.projection is not None:
        target.projection.load_state_dict(trained.projection.state_dict())


def _make_identity(branch: nn.Sequential, index: int, moments: Moments) -> None:
    """A convolution that scales its input, and a batch norm that undoes both for inputs of these moments.

    The scale is such that the kernel is as large as a freshly drawn one, so that training can change it as fast.
    """
    convolution, norm = _convolution(branch, index), _norm(branch, index + 1)
    scale = 1 / math.sqrt(convolution.weight[0].numel())
    nn.init.dirac_(convolution.weight, groups=convolution.groups)
    convolution.weight.mul_(scale)
    mean, variance = scale * moments.mean, scale**2 * moments.variance
    norm.load_state_dict({**norm.state_dict(), "running_mean": mean, "running_var": variance})
    norm.bias.copy_(moments.mean)
    norm.weight.copy_((variance + norm.eps).sqrt() / scale)


def _moments_after(block: ShuffleBlock, entering: Moments) -> Moments:
    leaving = _rectified(_norm(block.branch, -2))
    skip = block.projection
    kept = entering.shuffled().halves()[0] if skip is None else _rectified(_norm(skip, -2))
    return Moments(torch.cat((kept.mean, leaving.mean)), torch.cat((kept.variance, leaving.variance)))


def _rectified(norm: nn.modules.batchnorm._BatchNorm) -> Moments:
    """Moments behind a batch norm and a ReLU, as if the norm's output were Gaussian."""
    mean, deviation = norm.bias, norm.weight.abs().clamp(min=1e-6)
    z = mean / deviation
    density, share = (-0.5 * z**2).exp() / math.sqrt(2 * math.pi), torch.special.ndtr(z)
    rectified = mean * share + deviation * density
    square = (mean**2 + deviation**2) * share + mean * deviation * density
    return Moments(rectified, (square - rectified**2).clamp(min=0))


def _convolution(layers: nn.Sequential, index: int) -> nn.Conv2d:
    layer = layers[index]
    if not isinstance(layer, nn.Conv2d):
        raise TypeError(f"layer {index} is a {type(layer).__name__}, not a convolution")
    return layer


def _norm(layers: nn.Sequential, index: int) -> nn.modules.batchnorm._BatchNorm:
    """A batch norm, also one that was converted to a synchronised one."""
    layer = layers[index]
    if not isinstance(layer, nn.modules.batchnorm._BatchNorm):
        raise TypeError(f"layer {index} is a {type(layer).__name__}, not a batch norm")
    return layer
