"""The box head (He et al. 2017): class and box of each region of interest, and their losses."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from autopanoptic.nas import ElasticLinear, Size
from autopanoptic.panoptic.model.config import PanopticConfig


class BoxPredictor(nn.Module):
    """Class logits (N, 1 + T) and per-class box deltas (N, 4 + 4 T) of RoI features (N, C)."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.classes = nn.Linear(channels, num_classes)
        self.boxes = nn.Linear(channels, 4 * num_classes)
        for layer, deviation in ((self.classes, 0.01), (self.boxes, 0.001)):
            nn.init.normal_(layer.weight, std=deviation)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and deltas, float32 under autocast too."""
        return self.classes(x).float(), self.boxes(x).float()


def box_head(config: PanopticConfig, channels: Size) -> nn.Sequential:
    """Two hidden layers over the pooled features (N, C, side, side), to (N, hidden)."""
    entering: Size = channels * config.box_roi_size**2
    layers: list[nn.Module] = [nn.Flatten()]
    for _ in range(2):
        linear = ElasticLinear(entering, config.box_hidden, bias=not config.box_norm)
        nn.init.kaiming_uniform_(linear.weight, a=1)
        norm = [nn.GroupNorm(config.norm_groups, config.box_hidden)] if config.box_norm else []
        layers += [linear, *norm, nn.ReLU()]
        entering = config.box_hidden
    return nn.Sequential(*layers)


def box_losses(
    logits: Tensor, deltas: Tensor, labels: Tensor, wanted: Tensor, positive: Tensor
) -> tuple[Tensor, Tensor]:
    """Cross-entropy and smooth L1 (beta 1), both summed and divided by the number of RoIs.

    Args:
        logits: (N, 1 + T).
        deltas: (N, 4 + 4 T), four for each class.
        labels: (N,), 0 for background.
        wanted: Encoded boxes to predict, (N, 4); those of background RoIs are not used.
        positive: Places of the RoIs that are no background, (P,).
    """
    count = max(labels.numel(), 1)
    classification = functional.cross_entropy(logits, labels, reduction="sum") / count
    of_class = deltas.view(-1, logits.shape[1], 4)[positive, labels[positive]]
    box = functional.smooth_l1_loss(of_class, wanted[positive], beta=1.0, reduction="sum") / count
    return classification, box
