"""Non-maximum suppression within groups of boxes, with one wait for the device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import nms


def kept_in_groups(boxes: Tensor, scores: Tensor, groups: Tensor, valid: Tensor, threshold: float) -> Tensor:
    """Keep the best boxes of each group, leaving out those that overlap a better one of the group.

    Args:
        boxes: (N, 4), x1, y1, x2, y2, none negative.
        scores: (N,), none negative.
        groups: (N,), integers.
        valid: Which of them take part, bool (N,).
        threshold: IoU above which a box is left out, 0 to 1; with 1 all are kept.

    Returns:
        The places of the kept ones, best first, int64 (K,).
    """
    if boxes.device.type == "cpu":
        return kept_by_kernel(boxes, scores, groups, valid, threshold)
    return kept_at_once(boxes, scores, groups, valid, threshold)


def kept_by_kernel(boxes: Tensor, scores: Tensor, groups: Tensor, valid: Tensor, threshold: float) -> Tensor:
    """As `kept_in_groups`, on the CPU by a compiled kernel, which sees all groups."""
    # Loaded here, because numba takes its time, and a GPU does without.
    from autopanoptic.panoptic.model.heads.kernels.suppress import suppress

    order = scores.argsort(descending=True, stable=True)
    order = order[valid[order]]
    grouped = groups[order].argsort(stable=True)
    own = groups[order[grouped]]
    edges = torch.cat((torch.ones(1, dtype=torch.bool), own[1:] != own[:-1])).nonzero()[:, 0] if len(own) else own
    corners = boxes[order[grouped]].detach().float().T.contiguous()
    kept = suppress(corners.numpy(), np.append(edges.numpy(), len(own)), _rounded_down(threshold))
    return order[grouped[torch.from_numpy(kept)].sort().values]


def _rounded_down(threshold: float) -> np.float32:
    """The largest float32 up to a number: what exceeds the one exceeds the other."""
    nearest = np.float32(threshold)
    return nearest if float(nearest) <= threshold else np.nextafter(nearest, np.float32(-np.inf))


def kept_at_once(boxes: Tensor, scores: Tensor, groups: Tensor, valid: Tensor, threshold: float) -> Tensor:
    """As `kept_in_groups`, in one call of the kernel, for which the host waits once.

    Groups are moved apart, in double precision: in single precision boxes far from the origin would lose pixels, for
    which torchvision suppresses group by group where there are many boxes, with several waits each.
    """
    if threshold >= 1:  # at which not even one box given twice is left out, as below
        order = scores.argsort(descending=True, stable=True)
        return order[valid[order]]
    inside = torch.where(valid[:, None], boxes, 0).double()
    if not len(inside):
        return valid.nonzero()[:, 0]
    apart = inside + (groups.double() + 1)[:, None] * (inside.amax() + 1)
    # What does not take part becomes one box, given many times and once more: of these exactly one is kept, the last.
    nothing = torch.cat((torch.zeros_like(inside[:1, :2]), torch.full_like(inside[:1, 2:], 0.5)), dim=1)
    apart = torch.cat((torch.where(valid[:, None], apart, nothing), nothing))
    ordered = torch.cat((torch.where(valid, scores, -1), torch.full_like(scores[:1], -1)))
    kept: Tensor = nms(apart, ordered.to(apart.dtype), threshold)
    return kept[:-1]
