"""The semantic branch of "Panoptic feature pyramid networks" (Kirillov et al. 2019, section 3.2 and figure 3)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

from autopanoptic.nas import ElasticConv2d, Size
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.padding import blank, extend, group_norm
from autopanoptic.panoptic.model.semantic.head import SegmentationBranch
from autopanoptic.panoptic.model.shapes import Features, FeatureShape
from autopanoptic.panoptic.model.sizes import segmentation_width

FINEST = "p2"


class PanopticFPNHead(SegmentationBranch):
    """A stack of upsampling stages for each of P2..P5, of which the sum at stride 4 is scored.

    A level at stride s has log2(s / 4) stages, each a 3x3 convolution, group norm, ReLU and a bilinear upsampling to
    twice the size; P2, at stride 4 already, has one without upsampling. All are as wide as
    ``segmentation_channels``, 128 in the paper, in the elastic space ``segmentation.width``.
    """

    layers: nn.ModuleDict

    def __init__(self, config: PanopticConfig, input_shape: Mapping[str, FeatureShape]) -> None:
        super().__init__()
        channels, finest = segmentation_width(config), input_shape[FINEST].stride
        self.output_shape = {}
        self.layers = nn.ModuleDict()
        for level, shape in input_shape.items():
            if level != "p6":
                doublings = (shape.stride // finest).bit_length() - 1
                self.layers[level] = Stages(shape.channels, channels, config.norm_groups, doublings)
        self.score = ElasticConv2d(channels, config.num_stuff + 1, 1)

    def forward(self, pyramid: Features) -> Features:
        """The sum over the levels at P2, (B, C, H / 4, W / 4)."""
        size = pyramid[FINEST].shape[-2:]
        stages = [layer(pyramid[level]) for level, layer in self.layers.items()]
        # Where a level's size was rounded up, doubling it gives more than the finest one has.
        return {FINEST: sum((x[..., : size[0], : size[1]] for x in stages[1:]), start=stages[0])}

    def classify(self, features: Features) -> Tensor:
        """Logits (B, 1 + S, H / 4, W / 4); channel 0 is "any thing", the paper's class "other"."""
        logits: Tensor = self.score(features[FINEST])
        return extend(logits)


class Stages(nn.Sequential):
    """One convolution, group norm and ReLU, or several with an upsampling to twice the size behind each.

    Attributes:
        operator: How pictures of a network call it.
    """

    operator = "conv3"

    def __init__(self, in_channels: Size, channels: Size, groups: int, doublings: int) -> None:
        layers: list[nn.Module] = []
        for index in range(max(doublings, 1)):
            convolution = ElasticConv2d(channels if index else in_channels, channels, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
            layers += [convolution, group_norm(groups, channels), nn.ReLU(inplace=True)]
            layers += [_Double()] if doublings else []
        super().__init__(*layers)


class _Double(nn.Module):
    """Bilinear interpolation to twice the size, beside an image's border as beside that of a map."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, 2 H, 2 W)."""
        return blank(functional.interpolate(extend(x), scale_factor=2.0, mode="bilinear", align_corners=False))
