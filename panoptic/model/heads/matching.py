"""Which thing an anchor or a RoI belongs to, and its box as offsets: torchvision's, without waits for the device."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.models.detection import _utils


class Matcher(_utils.Matcher):
    """torchvision's matcher, which finds the best anchors of each thing by comparing all of them.

    torchvision lists the pairs, whose number the host waits for.
    """

    def set_low_quality_matches_(self, matches: Tensor, all_matches: Tensor, match_quality_matrix: Tensor) -> None:
        """Give the anchors that overlap a thing most, ties among them, to the thing that they overlap most."""
        best = (match_quality_matrix == match_quality_matrix.amax(dim=1, keepdim=True)).any(dim=0)
        matches.copy_(torch.where(best, all_matches, matches))


class BoxCoder(_utils.BoxCoder):
    """torchvision's coder, which sends none of its constants to the device."""

    def encode_single(self, reference_boxes: Tensor, proposals: Tensor) -> Tensor:
        """Offsets (N, 4) from proposals (N, 4) to the boxes that they should be, (N, 4)."""
        offsets: Tensor = _utils.encode_boxes(reference_boxes, proposals, self.weights)
        return offsets

    def decode(self, rel_codes: Tensor, boxes: list[Tensor]) -> Tensor:
        """Offsets (N, 4 K) of the boxes (N, 4) of all images to boxes (N, K, 4)."""
        from_boxes = torch.cat(boxes).to(rel_codes.dtype)
        size = from_boxes[:, None, 2:] - from_boxes[:, None, :2]
        centre = from_boxes[:, None, :2] + 0.5 * size
        wx, wy, ww, wh = self.weights
        dx, dy, dw, dh = rel_codes.reshape(len(from_boxes), rel_codes.shape[-1] // 4, 4).unbind(2)
        shift = torch.stack((dx / wx, dy / wy), dim=2) * size + centre
        # Larger ones would overflow.
        growth = torch.stack((dw / ww, dh / wh), dim=2).clamp(max=self.bbox_xform_clip)
        half = 0.5 * (growth.exp() * size)
        return torch.cat((shift - half, shift + half), dim=2)
