"""The box head's losses."""

from __future__ import annotations

import torch

from autopanoptic.panoptic.model.heads.box import box_losses


def test_box_losses_are_averaged_over_all_rois() -> None:
    logits, deltas = torch.randn(3, 3), torch.randn(3, 12)
    labels, wanted = torch.tensor([0, 2, 1]), torch.randn(3, 4)
    classification, box = box_losses(logits, deltas, labels, wanted, torch.tensor([1, 2]))
    expected = -sum(logits[i].log_softmax(0)[label] for i, label in enumerate(labels)) / 3
    torch.testing.assert_close(classification, expected)
    difference = torch.stack((deltas[1, 8:12] - wanted[1], deltas[2, 4:8] - wanted[2])).abs()
    smooth = torch.where(difference < 1, difference**2 / 2, difference - 0.5)
    torch.testing.assert_close(box, smooth.sum() / 3)
