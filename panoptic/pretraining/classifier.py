"""The backbone with a classifier behind it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from autopanoptic.nas import ElasticConv2d, ModelSpace
from autopanoptic.panoptic.model.backbone.shufflenet import SearchedBackbone
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
        self.backbone = SearchedBackbone(config)
        entering = self.backbone.output_shape["c5"].channels
        self.tail = nn.Sequential(
            ElasticConv2d(entering, tail_width, 1, bias=False),
            nn.BatchNorm2d(tail_width, momentum=config.batch_norm_momentum),
            nn.ReLU(inplace=True),
        )
        self.dropout = dropout
        self.classes = nn.Linear(tail_width, classes)

    def forward(self, images: Tensor, generators: Sequence[torch.Generator] | None = None) -> Tensor:
        """Logits (B, classes) of images (B, 3, H, W), H and W multiples of 32.

        Args:
            images: Normalised.
            generators: Draw what is dropped of each image in training mode, on the images' device; None for torch's
                default one.
        """
        features: Tensor = self.tail(self.backbone(images)["c5"]).mean(dim=(2, 3))
        if self.training and self.dropout:
            features = features * (self._drawn(features, generators) >= self.dropout) / (1 - self.dropout)
        logits: Tensor = self.classes(features)
        return logits

    def _drawn(self, features: Tensor, generators: Sequence[torch.Generator] | None) -> Tensor:
        """Uniform numbers of a shape (B, C), each row by its own generator."""
        count, width = features.shape
        if generators is None:
            return torch.rand(count, width, device=features.device)
        return torch.stack([torch.rand(width, generator=one, device=features.device) for one in generators])
