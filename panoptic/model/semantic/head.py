"""What every semantic head does, whatever its layers are."""

from __future__ import annotations

from torch import Tensor, nn

from autopanoptic.panoptic.model.heads.segmentation import segmentation_loss
from autopanoptic.panoptic.model.shapes import Features, FeatureShape
from autopanoptic.panoptic.model.shares import Counts
from autopanoptic.panoptic.model.truth import Truth


class SegmentationBranch(nn.Module):
    """The background branch, in two steps, between which a fusion may change the features.

    This one scores stuff and any thing: channel 0 is any thing, the others are the stuff classes 1..S.

    Attributes:
        output_shape: Channels and strides of the features by their names, which a fusion reads; empty where there are
            none at P2 to P5.
        layers: Its layers, as they are drawn.
    """

    output_shape: dict[str, FeatureShape]
    layers: nn.Module

    def forward(self, pyramid: Features) -> Features:
        """The branch's features, from P2..P6."""
        raise NotImplementedError

    def classify(self, features: Features) -> Tensor:
        """Logits (B, 1 + S, H / 4, W / 4) of the (modulated) features."""
        raise NotImplementedError

    def joined(self, features: Features) -> Tensor:
        """All features side by side at P2's size, where the head gives features of pixels."""
        raise NotImplementedError

    def score_pixels(self, pixels: Tensor) -> Tensor:
        """What `classify` gives, of what `joined` does, where the head gives features of pixels."""
        raise NotImplementedError

    def losses(self, logits: Tensor, truth: Truth) -> dict[str, Tensor]:
        """Losses of what `classify` gives, each a scalar, unweighted."""
        return {"segmentation": segmentation_loss(logits, truth.semantic)}

    def counts(self, truth: Truth) -> Counts:
        """What the losses are means over, beside the labelled pixels; of a loss of your own under its name."""
        return {}

    def semantic(self, labels: Tensor) -> Tensor:
        """Channels that were the highest, to labels: 0 for any thing, 1..S for stuff."""
        return labels
