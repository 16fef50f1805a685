"""The backbone with a classifier behind it."""

from __future__ import annotations

from torch import Tensor, nn

from autopanoptic.nas import ElasticConv2d, ModelSpace
from autopanoptic.panoptic.model.backbone.backbone import Backbone
from autopanoptic.panoptic.model.config import PanopticConfig


class Classifier(ModelSpace):
    """A backbone, a 1x1 convolution with batch norm and ReLU, the mean over the map, dropout, and a linear layer.

    Its choices are the backbone's, under the same labels as in `PanopticNetwork`.

    Args:
        config: Of the panoptic network, whose backbone this is.
        classes: How many.
        tail_width: Channels of the 1x1 convolution.
        dropout: Probability before the linear layer.
    """

    def __init__(self, config: PanopticConfig, classes: int, tail_width: int, dropout: float) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config)
        entering = self.backbone.output_shape["c5"].channels
        self.tail = nn.Sequential(
            ElasticConv2d(entering, tail_width, 1, bias=False),
            nn.BatchNorm2d(tail_width, momentum=config.batch_norm_momentum),
            nn.ReLU(inplace=True),
        )
        self.dropout = nn.Dropout(dropout)
        self.classes = nn.Linear(tail_width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes) of images (B, 3, H, W), H and W multiples of 32."""
        features: Tensor = self.tail(self.backbone(images)["c5"])
        logits: Tensor = self.classes(self.dropout(features.mean(dim=(2, 3))))
        return logits
