"""The box head (He et al. 2017): class and box of each region of interest, and their losses."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from autopanoptic.nas import ElasticLinear, Size
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.heads.kernels.products import linear


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


class VectorGroupNorm(nn.GroupNorm):
    """torch's group norm over vectors, for which a CPU takes twice as long as for layer norm over their groups."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C) to the same shape."""
        if x.device.type != "cpu":
            return super().forward(x)
        groups = x.unflatten(1, (self.num_groups, -1))  # type: ignore[no-untyped-call]
        normed = functional.layer_norm(groups, groups.shape[2:], eps=self.eps).flatten(1)
        return torch.addcmul(self.bias, normed, self.weight)


class HiddenLayers(nn.Sequential):
    """Hidden layers over the pooled features, of which the first is linear in all their cells."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, side, side) to (N, hidden)."""
        flatten, first, *rest = self
        if x.device.type == "cpu" and isinstance(first, nn.Linear) and _costs_more_to_order(x, first):
            # The kernel's columns are put in the order of the features, whose channels stand side by side.
            kernel = first.weight.view(-1, *x.shape[1:]).permute(0, 2, 3, 1).flatten(1)
            x = linear(x.permute(0, 2, 3, 1).flatten(1), kernel, first.bias)
        elif x.device.type == "cpu" and type(first) is nn.Linear:
            x = linear(flatten(x), first.weight, first.bias)
        else:
            # As a module, for whoever looks at a network layer by layer on the meta device.
            x = first(flatten(x))
        for layer in rest:
            x = layer(x)
        return x


def _costs_more_to_order(x: Tensor, layer: nn.Linear) -> bool:
    """Whether features are larger than the weights of a linear layer of numbers, and have to be ordered for it."""
    ordered = x.is_contiguous() or not x.is_contiguous(memory_format=torch.channels_last)
    return type(layer) is nn.Linear and not ordered and x.numel() > layer.weight.numel()


def box_head(config: PanopticConfig, channels: Size, *, norm: bool) -> HiddenLayers:
    """Two hidden layers over the pooled features (N, C, side, side), to (N, hidden).

    Args:
        config: Their width, the side, and the groups of norms.
        channels: C.
        norm: Whether a group norm follows each of them, instead of a bias.
    """
    entering: Size = channels * config.box_roi_size**2
    layers: list[nn.Module] = [nn.Flatten()]
    for _ in range(2):
        linear = ElasticLinear(entering, config.box_hidden, bias=not norm)
        nn.init.kaiming_uniform_(linear.weight, a=1)
        norms = [VectorGroupNorm(config.norm_groups, config.box_hidden)] if norm else []
        layers += [linear, *norms, nn.ReLU(inplace=True)]
        entering = config.box_hidden
    return HiddenLayers(*layers)


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
