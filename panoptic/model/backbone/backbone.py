"""What every backbone is: a stem, four stages, and the shapes of C2..C5."""

from __future__ import annotations

from torch import Tensor, nn

from autopanoptic.panoptic.model.shapes import Features, FeatureShape


class Backbone(nn.Module):
    """A stem and four stages; a stage's output is its last block's.

    Args:
        stem: Images (B, 3, H, W) to what enters the first stage.
        stages: Of C2..C5, under these names in lower case.
        output_shape: Channels and strides of C2..C5.
    """

    def __init__(
        self, stem: nn.Sequential, stages: dict[str, nn.Module], output_shape: dict[str, FeatureShape]
    ) -> None:
        super().__init__()
        self.stem = stem
        self.stages = nn.ModuleDict(stages)
        self.output_shape = output_shape

    def forward(self, images: Tensor) -> Features:
        """Images (B, 3, H, W), normalised as the data say, H and W multiples of 32, to C2..C5."""
        x = self.stem(images)
        features = {}
        for name, stage in self.stages.items():
            x = stage(x)
            features[name] = x
        return features
