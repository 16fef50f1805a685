"""UPSNet's semantic head (Xiong et al. 2019, section 3.2): deformable convolutions shared over the pyramid's levels.

It scores all classes, stuff first and then things, which panoptic logits need. Its second loss looks at the things.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops._utils import convert_boxes_to_roi_format

from autopanoptic.nas import Concat, ElasticConv2d, Size
from autopanoptic.panoptic.data.categories import THING, VOID
from autopanoptic.panoptic.model.heads.roi_align import roi_align
from autopanoptic.panoptic.model.operators.deformable import deformable_layer
from autopanoptic.panoptic.model.padding import Blank, blank, extend
from autopanoptic.panoptic.model.shapes import Features, FeatureShape

WIDTHS = (256, 128, 128)
SIDE = 28
"""Cells along each side of a thing's box, in the loss of regions."""


class DeformableSegmentation(nn.Module):
    """Deformable 3x3 convolutions (unmodulated, with bias) and ReLU on each of P2..P5, joined at P2's size, and scored.

    Args:
        input_shape: Channels and strides of the pyramid.
        num_classes: Stuff and things, at most 255 (labels are bytes, and 255 is void).
        widths: Channels of the layers' outputs.

    Attributes:
        output_shape: Channels and strides of the branch's features at P2..P5.

    Raises:
        ValueError: If there are no layers, or too many classes.
    """

    def __init__(
        self, input_shape: Mapping[str, FeatureShape], num_classes: int, widths: Sequence[Size] = WIDTHS
    ) -> None:
        super().__init__()
        if not widths or not 0 < num_classes <= VOID:
            raise ValueError(
                f"{len(widths)} layers, {num_classes} classes: one layer and 1 to {VOID} classes are needed"
            )
        in_shape = {level: shape for level, shape in input_shape.items() if level != "p6"}
        entering = (in_shape["p2"].channels, *widths[:-1])
        self.layers = nn.Sequential(*(_layer(*pair) for pair in zip(entering, widths, strict=True)))
        self.output_shape = {level: FeatureShape(widths[-1], shape.stride) for level, shape in in_shape.items()}
        self.classes = ElasticConv2d(Concat(*[widths[-1]] * len(in_shape)), num_classes, 1)
        nn.init.normal_(self.classes.weight, std=0.01)
        nn.init.zeros_(self.classes.bias)  # type: ignore[arg-type]

    def forward(self, pyramid: Features) -> Features:
        """The branch's features at P2..P5."""
        return {level: self.layers(pyramid[level]) for level in self.output_shape}

    def joined(self, features: Features) -> Tensor:
        """All levels' features side by side at P2's size, (B, 4 C, H / 4, W / 4): 512 channels with UPSNet's widths."""
        finest, *coarser = features.values()
        size = finest.shape[-2:]
        enlarged = [functional.interpolate(extend(x), size=size, mode="bilinear", align_corners=False) for x in coarser]
        return blank(torch.cat((finest, *enlarged), dim=1))

    def classify(self, features: Features) -> Tensor:
        """Logits (B, S + T, H / 4, W / 4) of the (modulated) features."""
        return self.score_pixels(self.joined(features))

    def score_pixels(self, pixels: Tensor) -> Tensor:
        """The same of what `joined` gives."""
        return extend(self.classes(pixels))


def all_classes(semantic: Tensor, instances: Tensor, labels: Tensor, num_stuff: int) -> Tensor:
    """The class of each pixel of an image among all: stuff label s is s - 1, thing label l is S + l - 1.

    Args:
        semantic: Labels (H, W), 0 for things, 1..S for stuff, 255 for void, integers.
        instances: (H, W), the thing of each pixel, 1..N, 0 for none; see `instance_numbers`.
        labels: (N,), 1..T.
        num_stuff: S.

    Returns:
        int64 (H, W); void, and things that are no instance (crowds), are 255.
    """
    of_things = torch.cat((labels.new_full((1,), VOID), labels + (num_stuff - 1)))
    wide = semantic.long()
    return torch.where(wide == THING, of_things[instances.long()], torch.where(wide == VOID, VOID, wide - 1))


def region_loss(
    logits: Tensor, classes: Tensor, boxes: Sequence[Tensor], *, sampling_ratio: int = 2, aligned: bool = True
) -> Tensor:
    """Mean cross-entropy of the classes inside the true boxes of things, each resized to 28 x 28 cells; 0 without any.

    UPSNet pools the features and scores them. Pooling and a 1x1 convolution commute, and there are fewer classes than
    features, so that the scores are pooled. A cell should have the class of the pixel in its middle.

    Args:
        logits: (B, K, H / 4, W / 4).
        classes: Of the pixels, see `all_classes`, integers (B, H, W); 255 is not counted.
        boxes: (N, 4) of each image, x1, y1, x2, y2 in pixels.
        sampling_ratio: As of `roi_align`.
        aligned: Likewise.
    """
    rois = convert_boxes_to_roi_format(list(boxes))
    if not len(rois):
        return logits.sum() * 0
    scores = roi_align(logits, rois, SIDE, logits.shape[-1] / classes.shape[-1], sampling_ratio, aligned)
    wanted = region_classes(classes, boxes)
    total = functional.cross_entropy(scores, wanted, ignore_index=VOID, reduction="sum")
    return total / (wanted != VOID).sum().clamp(min=1)


def region_classes(classes: Tensor, boxes: Sequence[Tensor]) -> Tensor:
    """The classes of pixels in the middles of the cells of boxes, int64 (N, 28, 28); arguments as of `region_loss`."""
    image, x1, y1, x2, y2 = convert_boxes_to_roi_format(list(boxes)).unbind(1)
    rows, columns = _middles(y1, y2, classes.shape[1]), _middles(x1, x2, classes.shape[2])
    return classes[image.long()[:, None, None], rows[:, :, None], columns[:, None, :]].long()


class _Layer(nn.Sequential):
    """A deformable convolution and ReLU.

    Attributes:
        operator: How pictures of a network call it.
    """

    operator = "deform3"


def _layer(in_channels: Size, out_channels: Size) -> _Layer:
    conv = deformable_layer(in_channels, out_channels, 3, modulated=False)
    # No norm keeps the features' size from one layer to the next, as it would with the operator's own draw.
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    return _Layer(conv, nn.ReLU(inplace=True), Blank())


def _middles(start: Tensor, end: Tensor, pixels: int) -> Tensor:
    """The pixel in the middle of each of the cells between start and end, (N, 28)."""
    steps = (torch.arange(SIDE, device=start.device) + 0.5) / SIDE
    return (start[:, None] + steps * (end - start)[:, None]).long().clamp(0, pixels - 1)
