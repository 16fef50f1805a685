"""ResNet-50 without its classifier (He et al. 2016): torchvision's, blind to padding."""

from __future__ import annotations

from functools import partial

from torch import nn
from torchvision.models import resnet50

from autopanoptic.panoptic.model.backbone.backbone import Backbone
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.padding import Blank, batch_norm
from autopanoptic.panoptic.model.shapes import FeatureShape


class ResNet50(Backbone):
    """ResNet-50's features: C2..C5 have 256, 512, 1024 and 2048 channels.

    Args:
        config: Has the momentum of the batch norms, and says whether the 1x1 convolutions have the stride instead of
            the 3x3 ones.
    """

    def __init__(self, config: PanopticConfig) -> None:
        whole = resnet50(weights=None, norm_layer=partial(batch_norm, momentum=config.batch_norm_momentum))
        if config.backbone_stride_in_1x1:
            for block in (whole.layer2[0], whole.layer3[0], whole.layer4[0]):
                block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
        # The pooling reads an image's last cells from beyond its border, too.
        stem = nn.Sequential(whole.conv1, whole.bn1, whole.relu, whole.maxpool, Blank())
        stages: dict[str, nn.Module] = {f"c{level + 1}": getattr(whole, f"layer{level}") for level in range(1, 5)}
        shape = {f"c{level + 2}": FeatureShape(256 * 2**level, 4 * 2**level) for level in range(4)}
        super().__init__(stem, stages, shape)
