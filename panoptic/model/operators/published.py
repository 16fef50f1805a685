"""The six operators that Auto-Panoptic (NeurIPS 2020) published."""

from __future__ import annotations

from autopanoptic.panoptic.model.operators.atrous import atrous
from autopanoptic.panoptic.model.operators.deformable import deformable
from autopanoptic.panoptic.model.operators.separable import separable
from autopanoptic.panoptic.model.parts.registry import register

for _operator in (
    separable("dw3", 3), separable("dw5", 5), deformable("df3", 3), deformable("df5", 5), atrous("at3", 3),
    atrous("at5", 5),
):  # fmt: skip
    register(_operator)
