"""Random options of a space's choices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autopanoptic.nas.space.choice import Choice


class Draws:
    """Draws an option of every choice, by the weights where there are some, and uniformly else.

    Args:
        choices: of the space, in order.
    """

    def __init__(self, choices: Sequence[Choice]) -> None:
        self._counts = np.array([len(choice.options) for choice in choices])
        self._weighted = {
            index: np.cumsum(choice.probabilities) for index, choice in enumerate(choices) if choice.weights
        }

    def indices(self, rng: np.random.Generator) -> list[int]:
        """Return the index of each choice's option."""
        drawn = rng.random(len(self._counts))
        found: list[int] = (drawn * self._counts).astype(int).tolist()
        for index, cumulated in self._weighted.items():
            # Rounding may leave the last sum a little below 1.
            found[index] = int(cumulated[:-1].searchsorted(drawn[index], side="right"))
        return found
