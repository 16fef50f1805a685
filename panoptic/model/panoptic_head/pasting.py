"""Where boxes lie on a map, and what their masks' logits say there."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from autopanoptic.panoptic.model.precision import in_full_precision
from autopanoptic.panoptic.model.prediction import hats

CHUNK = 8
"""Instances that are pasted at once."""


class Places(NamedTuple):
    """Where n boxes lie on a map of H x W cells.

    Attributes:
        rows: How far down each box each row of cells lies, (n, H), 0 to 1; -1 outside of the box.
        columns: Likewise, (n, W).
    """

    rows: Tensor
    columns: Tensor

    def inside(self) -> Tensor:
        """The cells of each box, bool (n, H, W)."""
        rows, columns = (axis >= 0 for axis in self)
        return rows[:, :, None] & columns[:, None, :]

    def part(self, chunk: slice) -> Places:
        """Those of some of the boxes."""
        return Places(self.rows[chunk], self.columns[chunk])


def place(boxes: Tensor, size: tuple[int, int], *, aligned: bool) -> Places:
    """Find the cells of boxes, rounded as `autopanoptic.panoptic.model.prediction.paste_masks` rounds them.

    Args:
        boxes: (n, 4), x1, y1, x2, y2 in cells of the map; they may reach beyond it.
        size: H and W.
        aligned: Whether a box has the cells whose centres lie in it, cell i's at i + 0.5; such a box may have none.
            Else it has those from its first to its last coordinate, each without its fraction, both inclusive.
    """
    boxes = boxes.detach().to(torch.promote_types(boxes.dtype, torch.float32))
    if not aligned:
        # The fraction of -0.5 is cut towards 0, as in the published code.
        boxes = torch.cat((boxes[:, :2].trunc(), boxes[:, 2:].trunc() + 1), dim=1)
    x1, y1, x2, y2 = boxes.unbind(1)
    return Places(_within(size[0], y1, y2), _within(size[1], x1, x2))


def paste_logits(masks: Tensor, places: Places) -> Tensor:
    """Resize each mask bilinearly into its box; 0 outside.

    Unlike `paste_masks`, which lets probabilities fade beside a box's border, the cells between the border and the
    centres of a mask's outermost cells read those: 0 is a logit like any other, and no neutral value to fade to.

    Args:
        masks: Logits (n, m, m).
        places: Of their boxes on a map of H x W cells.

    Returns:
        (n, H, W), in single precision at least.
    """
    weights = [_weights(axis, masks.shape[-1]) for axis in places]
    # Under autocast the products would have 8 bits.
    with in_full_precision(masks.device):
        rows, columns = (one.to(torch.promote_types(masks.dtype, torch.float32)) for one in weights)
        return rows @ masks.to(rows.dtype) @ columns.transpose(1, 2)


def _within(cells: int, start: Tensor, end: Tensor) -> Tensor:
    centres = torch.arange(cells, device=start.device) + 0.5
    inside = (centres >= start[:, None]) & (centres < end[:, None])
    place = (centres - start[:, None]) / (end - start)[:, None]
    return torch.where(inside, place, -1)


def _weights(places: Tensor, cells: int) -> Tensor:
    """How much each cell of a mask counts at each place: (n, places) to (n, places, cells)."""
    return hats((places * cells - 0.5).clamp(0, cells - 1), cells) * (places >= 0)[:, :, None]
