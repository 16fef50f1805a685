"""Which detections get a channel of the panoptic logits (Xiong et al. 2019, section 3.3).

`confident` chooses them by their boxes, then the mask head looks at them, and `apart` drops masks that lie on others.
Both give places, best first, by which boxes, scores, labels and masks are indexed.
"""

from __future__ import annotations

from collections import Counter

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
    left, accepted, kept = Counter(label for _, label in ordered), dict[int, Tensor](), []
    for index, label in ordered:
        mask, left[label] = masks[index], left[label] - 1
        area = torch.count_nonzero(mask)
        keep = area > 0
        if label in accepted:
            keep &= torch.count_nonzero(mask & accepted[label]).double() / area <= rules.overlap_threshold
        kept.append(keep)
        if left[label]:  # what no other one of its class is compared with is not put together
            own = mask & keep
            accepted[label] = accepted[label] | own if label in accepted else own
    if not kept:
        return order
    flags = torch.stack(kept)
    return order[places(flags, int(flags.sum()))]
