"""What values augmentation may have; loads no torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class Augmented(Protocol):
    """What says how images are augmented: a transform, or the recipe of a training."""

    @property
    def flip(self) -> float:
        """Probability of a horizontal flip."""

    @property
    def scale_jitter(self) -> tuple[float, float]:
        """Least and largest factor of the size."""

    @property
    def brightness(self) -> float:
        """Spread of the factor around 1."""

    @property
    def contrast(self) -> float:
        """Spread of the factor around 1."""

    @property
    def saturation(self) -> float:
        """Spread of the factor around 1."""

    @property
    def hue(self) -> float:
        """Spread of the turn, in parts of the circle."""


def augmentation_problems(given: Augmented) -> Iterator[str]:
    """Say what is out of range, each with its value."""
    if not 0 <= given.flip <= 1:
        yield f"flip={given.flip} is no probability: it must lie in 0..1"
    least, most = given.scale_jitter
    if not 0 < least <= most < float("inf"):
        yield f"scale_jitter={given.scale_jitter} must be the least and the largest of some positive factors"
    for name in ("brightness", "contrast", "saturation"):
        if not 0 <= getattr(given, name) <= 1:
            yield f"{name}={getattr(given, name)} must lie in 0..1: factors are drawn within 1 - {name} and 1 + {name}"
    if not 0 <= given.hue <= 0.5:
        yield f"hue={given.hue} must lie in 0..0.5, half a turn"
