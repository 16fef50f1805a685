"""SOGNet's overlaps (Yang et al. 2020, sections 3.2 to 3.4): which masks overlap, and which of two gives way."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from autopanoptic.panoptic.model.panoptic_head.pasting import Places
from autopanoptic.panoptic.model.precision import in_full_precision


def without_overlaps(pasted: Tensor, places: Places, overlaps: Tensor) -> Tensor:
    """Masks that give way to those that lie upon them: m'_i = m_i - sum_j m_i sigmoid(m_i) sigmoid(m_j) O_ij.

    Outside of its box a mask has no logit, and its probability counts as 0 there: pasted logits are 0, whose sigmoid
    of one half would take from masks that the box does not touch. (The description says nothing of it.)

    Args:
        pasted: Logits (n, H, W), 0 outside of their boxes.
        places: Of the boxes.
        overlaps: O (n, n), 0 to 1; O_ij > 0 takes from i what belongs to j.

    Returns:
        (n, H, W).
    """
    probabilities = torch.where(places.inside(), pasted.sigmoid(), 0)
    with in_full_precision(pasted.device):
        taken = (overlaps.to(pasted.dtype) @ probabilities.flatten(1)).view_as(pasted)
    return pasted - pasted * probabilities * taken


def overlap_truth(masks: Tensor, threshold: float = 0.1) -> Tensor:
    """G_ij = 1 where two masks share at least a tenth of the smaller one, |A ∩ B| / min(|A|, |B|) >= threshold.

    Args:
        masks: bool (n, H, W), which may overlap. The masks of a panoptic map never do, so that G of them is 0
            everywhere and says nothing; `filled` ones do.
        threshold: Share of the smaller mask, above 0.

    Returns:
        float32 (n, n), symmetric, 0 or 1, 0 on the diagonal and for empty masks.
    """
    if masks.ndim != 3 or masks.dtype != torch.bool:
        raise ValueError(f"masks must be (n, H, W) of bool, not {tuple(masks.shape)} of {masks.dtype}")
    with in_full_precision(masks.device):
        # Exact: double precision counts to 2^53.
        pixels = masks.flatten(1).double()
        shared = pixels @ pixels.T
    areas = shared.diagonal()
    smaller = torch.minimum(areas[:, None], areas[None, :])
    truth = ((shared >= threshold * smaller) & (smaller > 0)).to(torch.float32)
    return truth - truth.diagonal().diag()


def filled(masks: Tensor) -> Tensor:
    """Masks with the gaps filled that lie between two of their pixels both in a row and in a column.

    What lies upon a thing cuts a hole or a notch into its visible mask. So filled, masks of a panoptic map overlap
    where one thing lies before another. This is ours, for data without overlapping masks; SOGNet reads COCO's.

    Args:
        masks: bool (n, H, W).

    Returns:
        bool (n, H, W).
    """
    return _between(masks, 2) & _between(masks, 1)


def relation_loss(overlaps: Tensor, truth: Tensor) -> Tensor:
    """Mean squared error of O + O^T against G, both (n, n); 0 without instances."""
    if not len(truth):
        return overlaps.sum()
    return functional.mse_loss(overlaps + overlaps.T, truth.to(overlaps.dtype))


def _between(masks: Tensor, axis: int) -> Tensor:
    counts = masks.to(torch.int32)
    before = counts.cumsum(axis) > 0
    behind = counts.flip(axis).cumsum(axis).flip(axis) > 0
    return before & behind
