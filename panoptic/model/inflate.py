"""Warm start of a supernet: what one trained path has learned, copied into the other options.

Larger kernels are the trained ones padded with zeros, a depthwise and a pointwise kernel multiply to a dense one, and
layers that an option has in excess start as identities. So most options start out as the same function as the
trained one; where no exact copy exists (dilated kernels, the Xception block with stride 2) a kernel is taken that
agrees on features which change linearly over the pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from autopanoptic.nas import Architecture, LayerChoice
from autopanoptic.panoptic.model.backbone import Backbone, ShuffleBlock
from autopanoptic.panoptic.model.fusion import FusionUnit
from autopanoptic.panoptic.model.neck import FPN, BiFPN, PANet
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.operators import Atrous, Deformable, DepthwiseSeparable

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
                    _fill(trained, choice[name])


def _check(source: Mapping[str, object], choices: Mapping[str, nn.Module]) -> None:
    for label in choices:
        needed = _SOURCES.get(label.split(".")[0])
        if label not in source or (needed is not None and source[label] != needed):
            raise ValueError(
                f"cannot inflate from {label} = {source.get(label)!r}: the trained path must hold "
                f"{needed or 'an option'} there, whose kernel fits into the others'"
            )


def _fill(trained: nn.Module, target: nn.Module) -> None:
    if isinstance(trained, DepthwiseSeparable):
        _fill_head(trained, target)
    elif isinstance(trained, FusionUnit) and isinstance(target, FusionUnit):
        _fill_fusion(trained, target)
    elif isinstance(trained, FPN):
        _fill_neck(trained, target)
    else:
        raise TypeError(f"no rule copies {type(trained).__name__} into {type(target).__name__}")


def _fill_head(trained: DepthwiseSeparable, target: nn.Module) -> None:
    depthwise, pointwise = trained
    dense = pointwise.weight * depthwise.weight.transpose(0, 1)
    bias = pointwise.bias + pointwise.weight.flatten(1) @ depthwise.bias
    if isinstance(target, DepthwiseSeparable):
        target[0].weight.copy_(_padded(depthwise.weight, target[0].weight))
        target[0].bias.copy_(depthwise.bias)
        target[1].load_state_dict(pointwise.state_dict())
    elif isinstance(target, Deformable):
        # A new deformable convolution weighs every tap by sigmoid(0) = 1/2.
        target.weight.copy_(2 * _padded(dense, target.weight))
        target.bias.copy_(bias)
        target.offset.weight.zero_()
        target.offset.bias.zero_()  # type: ignore[union-attr]
    elif isinstance(target, Atrous):
        target.weight.copy_(_padded(_spread(dense), target.weight))
        target.bias.copy_(bias)  # type: ignore[union-attr]


def _fill_fusion(trained: FusionUnit, target: FusionUnit) -> None:
    """Keep the hidden units with the largest outgoing weights; units in excess start without effect."""
    (first, _, last), (new_first, _, new_last) = trained, target
    kept = min(first.out_features, new_first.out_features)
    order = last.weight.norm(dim=0).argsort(descending=True)[:kept]
    new_first.weight[:kept] = first.weight[order]
    new_first.bias[:kept] = first.bias[order]
    new_last.weight.zero_()
    new_last.weight[:, :kept] = last.weight[:, order]
    new_last.bias.copy_(last.bias)


def _fill_neck(trained: FPN, target: nn.Module) -> None:
    if isinstance(target, PANet):
        target.fpn.load_state_dict(trained.fpn.state_dict())
    elif isinstance(target, BiFPN):
        target.lateral.load_state_dict(trained.fpn.inner_blocks.state_dict())


def _inflate_backbone(backbone: Backbone) -> None:
    """Fill each block's options, following the channels' moments from the stem on."""
    moments = _rectified(backbone.stem[1])
    for stage in backbone.stages.values():
        for choice in stage:  # type: ignore[union-attr]
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
        new[name].copy_(_padded(tensor, new[name]) if tensor.dim() == 4 else tensor)


def _fill_xception(trained: ShuffleBlock, target: ShuffleBlock, entering: Moments) -> None:
    """Two identity convolutions before the trained depthwise kernel, and one between.

    All identities but the first stand behind a ReLU, and pass its output unchanged.
    """
    pointwise, norm, _, depthwise, depthwise_norm, last, last_norm, _ = trained.branch
    first, second, third = (target.branch[start : start + 4] for start in (0, 5, 10))
    strided = trained.projection is not None
    inner = _rectified(norm)
    _make_identity(first[0], first[1], entering if strided else _second_half(entering.shuffled()))
    _make_identity(second[0], second[1], inner)
    _make_identity(second[2], second[3], inner)
    first[2].load_state_dict(pointwise.state_dict())
    first[3].load_state_dict(norm.state_dict())
    third[0].weight.copy_(_spread(depthwise.weight) if strided else depthwise.weight)
    third[1].load_state_dict(depthwise_norm.state_dict())
    third[2].load_state_dict(last.state_dict())
    third[3].load_state_dict(last_norm.state_dict())
    if trained.projection is not None and target.projection is not None:
        target.projection.load_state_dict(trained.projection.state_dict())


def _make_identity(convolution: nn.Conv2d, norm: nn.BatchNorm2d, moments: Moments) -> None:
    """A convolution that copies its input, and a batch norm that undoes itself for inputs of these moments."""
    if convolution.groups > 1:
        nn.init.dirac_(convolution.weight, groups=convolution.groups)
    else:
        nn.init.dirac_(convolution.weight)
    norm.running_mean.copy_(moments.mean)  # type: ignore[union-attr]
    norm.running_var.copy_(moments.variance)  # type: ignore[union-attr]
    norm.bias.copy_(moments.mean)
    norm.weight.copy_((moments.variance + norm.eps).sqrt())


def _moments_after(block: ShuffleBlock, entering: Moments) -> Moments:
    leaving = _rectified(block.branch[-2])
    if block.projection is not None:
        kept = _rectified(block.projection[-2])
    else:
        shuffled = entering.shuffled()
        kept = Moments(shuffled.mean.chunk(2)[0], shuffled.variance.chunk(2)[0])
    return Moments(torch.cat((kept.mean, leaving.mean)), torch.cat((kept.variance, leaving.variance)))


def _second_half(moments: Moments) -> Moments:
    return Moments(moments.mean.chunk(2)[1], moments.variance.chunk(2)[1])


def _rectified(norm: nn.BatchNorm2d) -> Moments:
    """Moments behind a batch norm and a ReLU, as if the norm's output were Gaussian."""
    mean, deviation = norm.bias, norm.weight.abs().clamp(min=1e-6)
    normal = torch.distributions.Normal(0.0, 1.0)
    z = mean / deviation
    density, share = normal.log_prob(z).exp(), normal.cdf(z)
    rectified = mean * share + deviation * density
    square = (mean**2 + deviation**2) * share + mean * deviation * density
    return Moments(rectified, (square - rectified**2).clamp(min=0))


def _padded(kernel: Tensor, like: Tensor) -> Tensor:
    """The kernel with zeros around it, in the size of another."""
    margin = (like.shape[-1] - kernel.shape[-1]) // 2
    return functional.pad(kernel, (margin,) * 4)


def _spread(kernel: Tensor) -> Tensor:
    """A 3x3 kernel's equivalent on a grid of twice the spacing, for features linear over the pixels.

    A tap between two cells of the coarser grid is shared by them.
    """
    share = kernel.new_tensor([[0.5, 0.0, 0.0], [0.5, 1.0, 0.5], [0.0, 0.0, 0.5]])
    return share @ kernel @ share.T
