"""Raw outputs of the network, whose shapes depend on no values."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from autopanoptic.panoptic.model.shapes import Features


class DenseOutputs(NamedTuple):
    """Raw outputs for a fixed number of RoIs per image; see `PanopticNetwork.forward`.

    Those of a branch that the network lacks are empty lists and None.
    """

    objectness: list[Tensor]
    anchor_deltas: list[Tensor]
    class_logits: Tensor | None
    box_deltas: Tensor | None
    mask_logits: Tensor | None
    segmentation: Tensor | None


class DenseMaps(NamedTuple):
    """Of whole images; see `PanopticNetwork.dense`.

    Attributes:
        pyramid: The modulated P2..P6, (B, C, H / s, W / s) at stride s.
        objectness: Logits (B, A, H / s, W / s) of the anchors of each of P2..P6; none without thing classes.
        anchor_deltas: Their boxes (B, 4 A, H / s, W / s).
        segmentation: Logits (B, 1 + S, H / 4, W / 4), of a head of all classes (B, S + T, H / 4, W / 4); None without
            stuff classes.
    """

    pyramid: Features
    objectness: list[Tensor]
    anchor_deltas: list[Tensor]
    segmentation: Tensor | None
