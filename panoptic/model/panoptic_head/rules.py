"""How UPSNet turns panoptic logits into a map."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HeadRules:
    """How panoptic logits become a map (Xiong et al. 2019, section 3.3, and the published code's values).

    Attributes:
        nms_iou: Detections, of whatever class, that overlap a better one by a larger IoU are dropped, 0 to 1.
        score_threshold: Detections must have a higher score, 0 to 1.
        instances: At most so many of an image, the best ones.
        overlap_threshold: An instance is dropped when a larger share of its mask lies on better ones of its class,
            0 to 1.
        majority: An instance becomes stuff when at least this share of its pixels has one stuff class in the semantic
            map, 0.5 to 1.
        stuff_area: A stuff class with fewer pixels, at the true image size, is void.

    Raises:
        ValueError: When a value is out of its range.
    """

    nms_iou: float = 0.5
    score_threshold: float = 0.6
    instances: int = 100
    overlap_threshold: float = 0.3
    majority: float = 0.5
    stuff_area: int = 64 * 64

    def __post_init__(self) -> None:
        ranges = {"nms_iou": 0.0, "score_threshold": 0.0, "overlap_threshold": 0.0, "majority": 0.5}
        for name, least in ranges.items():
            if not least <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from {least:g} to 1, not {getattr(self, name)}")
        for name, unit, floor in (("instances", "instance", 1), ("stuff_area", "pixels", 0)):
            if getattr(self, name) < floor:
                raise ValueError(f"{name} must be at least {floor} {unit}, not {getattr(self, name)}")


DEFAULT_RULES = HeadRules()
