"""The mask head (He et al. 2017): its layers, searched or plain, targets and loss."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import roi_align

from autopanoptic.nas import ElasticConv2d, Size
from autopanoptic.panoptic.data.loading.masks import ThingMasks
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.heads.kernels.mask_cells import mask_cells
from autopanoptic.panoptic.model.operators.layer import head_layer
from autopanoptic.panoptic.model.operators.transposed import doubling
from autopanoptic.panoptic.model.parts.fitting import PUBLISHED
from autopanoptic.panoptic.model.sizes import active, largest, mask_depth, stack


def mask_head(config: PanopticConfig, in_channels: Size, channels: Size) -> nn.Module:
    """The searched layers ``mask.0`` onwards over the pooled features, (N, C_in, M, M) to (N, C, M, M)."""

    def layer(index: int) -> nn.Module:
        return head_layer(channels if index else in_channels, channels, config, f"mask.{index}")

    return stack(layer, mask_depth(config), "mask.depth")


class PlainLayer(nn.Sequential):
    """A 3x3 convolution and ReLU, without norm.

    Attributes:
        operator: How pictures of a network call it.
    """

    operator = "conv3"

    def __init__(self, in_channels: Size, channels: Size) -> None:
        convolution = ElasticConv2d(in_channels, channels, 3, padding=1)
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
        super().__init__(convolution, nn.ReLU(inplace=True))


def plain_mask_head(config: PanopticConfig, in_channels: Size, channels: Size) -> nn.Module:
    """The layers of Mask R-CNN (He et al. 2017, figure 4): plain convolutions, (N, C_in, M, M) to (N, C, M, M)."""

    def layer(index: int) -> nn.Module:
        return PlainLayer(channels if index else in_channels, channels)

    # The depth of the searched layers holds choices of their own, so that where both are options it is another choice.
    return stack(layer, mask_depth(config), "mask.plain.depth" if config.space == PUBLISHED else "mask.depth")


class MaskPredictor(nn.Sequential):
    """A transposed convolution of 2 x 2 with stride 2, ReLU, and a 1x1 convolution."""

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, C, M, M) to the mask logits of every class, (N, 1 + T, 2 M, 2 M)."""
        if x.device.type != "cpu":
            logits: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
            return logits
        # A stride of the kernel's size makes each cell four of its own: a matrix product, which on a CPU is several
        # times as fast. What follows looks at one cell at a time, so that they are put in their places last.
        upsampling, _, score = self
        kernel = active(upsampling, "weight").permute(2, 3, 1, 0).flatten(0, 2)
        bias = active(upsampling, "bias").repeat(4)
        scores, score_bias = active(score, "weight").flatten(1), active(score, "bias")
        cells = x.permute(0, 2, 3, 1)
        if torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu"):
            found = mask_cells(cells.flatten(0, 2), kernel, bias, scores, score_bias)
        else:
            hidden = functional.linear(cells, kernel, bias).relu_()
            found = functional.linear(hidden.view(*cells.shape[:3], 4, scores.shape[1]), scores, score_bias)
        found = found.view(*cells.shape[:3], 2, 2, len(scores))
        return found.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)


def mask_predictor(channels: Size, num_classes: int, init: str = "published") -> MaskPredictor:
    """The layers from the mask head's features to the logits.

    Args:
        channels: C.
        num_classes: 1 + T.
        init: How the last kernels are drawn, see `PanopticConfig.mask_init`.
    """
    layers = doubling(channels, channels), ElasticConv2d(channels, num_classes, 1)
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    if init == "fan_in":
        nn.init.normal_(layers[1].weight, std=1 / math.sqrt(largest(channels)))
    return MaskPredictor(layers[0], nn.ReLU(), layers[1])


def mask_targets(masks: ThingMasks, things: Tensor, boxes: Tensor, side: int, *, aligned: bool) -> Tensor:
    """Cut masks out of the image along boxes, in the resolution that the mask head predicts.

    Args:
        masks: Of an image's things.
        things: (N,) the index of the thing that each box is for.
        boxes: (N, 4), x1, y1, x2, y2 in pixels, the last two exclusive; not beyond the image.
        side: Of the targets, in cells.
        aligned: Whether the centre of pixel i is at i + 0.5; else it is taken to be at i, as in the published code.

    Returns:
        The share of each cell that the mask covers, (N, side, side), 0 to 1.
    """
    found = boxes.new_zeros((len(boxes), side, side))
    for window in masks.windows():
        place = things - window.first
        inside = (place >= 0) & (place < len(window.masks))
        place = place.clamp(0, len(window.masks) - 1)
        shifted = boxes - window.corners[place].repeat(1, 2)
        rois = torch.cat((place[:, None].to(boxes.dtype), shifted), dim=1)
        cut: Tensor = roi_align(window.masks[:, None].to(boxes.dtype), rois, side, aligned=aligned)
        found = torch.where(inside[:, None, None], cut[:, 0], found)
    return found


def mask_loss(logits: Tensor, labels: Tensor, wanted: Tensor) -> Tensor:
    """Mean binary cross-entropy over the pixels of the true classes' masks; zero without any RoI.

    Args:
        logits: (N, 1 + T, M, M).
        labels: (N,) in 1..T.
        wanted: (N, M, M), 0 to 1.
    """
    if not len(labels):
        return logits.sum() * 0
    return functional.binary_cross_entropy_with_logits(of_class(logits, labels), wanted)


def of_class(logits: Tensor, labels: Tensor) -> Tensor:
    """The masks of one class each: (N, 1 + T, M, M) and (N,) to (N, M, M)."""
    # Not len(labels), which is a number, where a graph is traced, that any number of labels goes through.
    return logits[torch.arange(labels.shape[0], device=labels.device), labels]
