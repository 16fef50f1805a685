"""In-place distillation: what the largest path of a supernet knows of a batch, and how the others learn from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from autopanoptic.panoptic.data.categories import VOID
from autopanoptic.panoptic.model.heads.regions import RegionLogits, Regions

STRIDE = 4
"""Of the segmentation logits."""


@dataclass(frozen=True)
class Knowledge:
    """A network's logits of a batch, and where they were taken.

    Attributes:
        regions: The sampled RoIs; None without thing classes.
        things: The logits at the RoIs; None without thing classes.
        segmentation: Logits at stride 4, float (B, 1 + S, H / 4, W / 4); None without stuff classes.
    """

    regions: Regions | None
    things: RegionLogits | None
    segmentation: Tensor | None


def soft_losses(own: Knowledge, teacher: Knowledge, semantic: Tensor) -> dict[str, Tensor]:
    """Cross-entropies with what a teacher says at the same RoIs and pixels, each a scalar.

    The inplace distillation of Yu and Huang (2019, "Universally slimmable networks and improved training techniques")
    and BigNAS (Yu et al. 2020, section on the sandwich rule and inplace distillation), for each kind of output that is
    a probability. Where both agree a loss is the entropy of what the teacher says, and its gradient zero.

    Args:
        own: Of the network that learns, at the teacher's RoIs.
        teacher: Of the same batch; no gradient flows into it.
        semantic: Labels (B, H, W), 255 where there is none (void and padding).

    Returns:
        classification and mask (where there are thing classes), segmentation (where there are stuff classes).
    """
    found = {}
    if own.things is not None and teacher.things is not None:
        found["classification"] = soft_classification(own.things.classes, teacher.things.classes)
        found["mask"] = soft_masks(own.things.masks, teacher.things.masks)
    if own.segmentation is not None and teacher.segmentation is not None:
        found["segmentation"] = soft_segmentation(own.segmentation, teacher.segmentation, semantic)
    return found


def soft_classification(logits: Tensor, teacher: Tensor) -> Tensor:
    """Mean cross-entropy over RoIs with the teacher's class probabilities; both are logits (N, 1 + T)."""
    total = functional.cross_entropy(logits, teacher.detach().softmax(1), reduction="sum")
    return total / max(len(logits), 1)


def soft_masks(logits: Tensor, teacher: Tensor) -> Tensor:
    """Mean binary cross-entropy over pixels with the teacher's probabilities; zero without any RoI.

    Args:
        logits: Of the true classes' masks, (N, M, M).
        teacher: The same.
    """
    if not len(logits):
        return logits.sum() * 0
    return functional.binary_cross_entropy_with_logits(logits, teacher.detach().sigmoid())


def soft_segmentation(logits: Tensor, teacher: Tensor, semantic: Tensor) -> Tensor:
    """Cross-entropy per labelled pixel with the teacher's class probabilities; zero when no pixel is labelled.

    Taken at stride 4, before the logits are upsampled: each cell counts by the share of its 16 pixels that have a
    label. At every pixel it would cost 16 times as much, for logits that are interpolated from these.

    Args:
        logits: (B, 1 + S, H / 4, W / 4).
        teacher: The same.
        semantic: Labels (B, H, W), 255 where there is none (void and padding).
    """
    shares = functional.avg_pool2d((semantic != VOID).float()[:, None], STRIDE)[:, 0]
    each = functional.cross_entropy(logits.float(), teacher.detach().float().softmax(1), reduction="none")
    return (each * shares).sum() / shares.sum().clamp(min=1 / STRIDE**2)


def between(true: Mapping[str, Tensor], soft: Mapping[str, Tensor], weight: float) -> dict[str, Tensor]:
    """Return the losses to learn by, those that have a soft one with this weight for it, in 0 to 1.

    Raises:
        ValueError: The weight is out of range.
    """
    if not 0 <= weight <= 1:
        raise ValueError(f"the weight of soft labels must lie in 0..1, not {weight}")
    # Where soft labels are all, no gradient of 0 is computed for the others.
    mixed = soft if weight == 1 else {name: (1 - weight) * true[name] + weight * loss for name, loss in soft.items()}
    return {**true, **mixed}
