"""Which detections get a channel of the panoptic logits (Xiong et al. 2019, section 3.3).

`confident` chooses them by their boxes, then the mask head looks at them, and `apart` drops masks that lie on others.
Both give places, best first, by which boxes, scores, labels and masks are indexed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from autopanoptic.panoptic.data.transfers import places
from autopanoptic.panoptic.model.heads.suppression import kept_in_groups
from autopanoptic.panoptic.model.panoptic_head.rules import DEFAULT_RULES, HeadRules


def confident(boxes: Tensor, scores: Tensor, rules: HeadRules = DEFAULT_RULES) -> Tensor:
    """Choose the detections that get a channel: by score, none hidden by a better one of whatever class.

    Args:
        boxes: (N, 4), x1, y1, x2, y2, none negative.
        scores: (N,), 0 to 1.
        rules: Thresholds.

    Returns:
        Places, best first, int64 (n,).
    """
    anything = torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device)
    # In double precision, as `merge` compares.
    certain = scores.double() > rules.score_threshold
    return kept_in_groups(boxes, scores, anything, certain, rules.nms_iou)[: rules.instances]


def apart(scores: Tensor, labels: Tensor, masks: Tensor, rules: HeadRules = DEFAULT_RULES) -> Tensor:
    """Choose, by score, the instances whose masks do not lie on accepted ones of their class; empty ones are dropped.

    The host waits for the device twice.

    Args:
        scores: (N,).
        labels: (N,), 1..T.
        masks: bool (N, H, W).
        rules: Thresholds.

    Returns:
        Places, best first, int64 (n,).
    """
    order = scores.argsort(descending=True, stable=True)
    ordered: list[tuple[int, int]] = torch.stack((order, labels[order]), dim=1).tolist()
    accepted: dict[int, Tensor] = {}
    kept = []
    for index, label in ordered:
        taken = accepted.setdefault(label, torch.zeros_like(masks[index]))
        area, overlap = (torch.count_nonzero(pixels).double() for pixels in (masks[index], masks[index] & taken))
        kept.append((area > 0) & (overlap / area <= rules.overlap_threshold))
        accepted[label] = taken | masks[index] & kept[-1]
    if not kept:
        return order
    flags = torch.stack(kept)
    return order[places(flags, int(flags.sum()))]
