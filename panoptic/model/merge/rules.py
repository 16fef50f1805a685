"""How instances and stuff share the pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from autopanoptic.panoptic.settings.checks import kind_problems

Order: TypeAlias = Literal["score", "reference"]


@dataclass(frozen=True)
class MergeRules:
    """How instances and stuff share the pixels.

    Attributes:
        order: Which instance is painted first. "score": the most confident one, as panopticapi and
            detectron2 do. "reference": the smallest of those whose score exceeds `confident`, then
            the others by score, as the reference code of Auto-Panoptic does.
        score_threshold: Instances of a lower score are dropped, 0 to 1.
        overlap_threshold: An instance is dropped when a larger share of its mask is taken, 0 to 1.
        stuff_area: A stuff class with fewer free pixels, at the true image size, stays void.
        confident: The score that separates the two groups of "reference", 0 to 1.

    Raises:
        ValueError: When a value is of another kind, or out of its range.
    """

    order: Order = "score"
    score_threshold: float = 0.5
    overlap_threshold: float = 0.5
    stuff_area: int = 64 * 64
    confident: float = 0.725

    def __post_init__(self) -> None:
        for problem in kind_problems(self):
            raise ValueError(problem)
        if self.order not in get_args(Order):
            raise ValueError(f"order must be one of {get_args(Order)}, not {self.order!r}")
        for name in ("score_threshold", "overlap_threshold", "confident"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be from 0 to 1, not {value}")
        if self.stuff_area < 0:
            raise ValueError(f"stuff_area must be at least 0 pixels, not {self.stuff_area}")


_DEFAULT_RULES = MergeRules()
