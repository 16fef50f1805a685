"""What choosing the best of several trainings brings by itself, were all architectures alike.

The network made by hand is among the finalists of a search, so that the searched one is the best on nas_val of several
trainings, of which the opponent is one. A permutation of signs does not know that: its hypothesis is that either of a
pair could as well have been the better one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from benchmarks.search_worth.statistics import sign_flip_ps

APART = 2.0
"""PQ by which trainings of networks of nearly equal paths deviate."""
ERROR = 0.7
"""PQ by which a network's measurements on nas_val and on val deviate from what it has, each."""
STUDIES = 2_000
LEVEL = 0.05


class Chance(NamedTuple):
    """What is found where there is nothing to find.

    Attributes:
        mean: PQ of the chosen one minus the opponent's.
        below: Share of studies with p below 0.05.
    """

    mean: float
    below: float


@lru_cache
def chance_of_choice(trainings: int, seeds: int) -> Chance:
    """Return what the best on nas_val of some trainings has over one of them, on val.

    Args:
        trainings: How many, the opponent's among them.
        seeds: Pairs of one study.
    """
    rng = np.random.default_rng([trainings, seeds])
    shape = (STUDIES, seeds, trainings)
    worth = rng.normal(0, APART, shape)
    chosen = (worth + rng.normal(0, ERROR, shape)).argmax(axis=2)[..., None]
    on_val = worth + rng.normal(0, ERROR, shape)
    more = np.take_along_axis(on_val, chosen, axis=2)[..., 0] - on_val[..., 0]
    return Chance(float(more.mean()), float((sign_flip_ps(more) < LEVEL).mean()))


def told(trainings: int, seeds: int) -> str:
    """Say what choosing among so many trainings brings by itself."""
    found = chance_of_choice(trainings, seeds)
    return (
        f"The searched network is the best on nas_val of up to {trainings} trainings, of which that of the network "
        "made by hand is one, so that the difference cannot be far below 0. Were all architectures alike, trainings "
        f"{APART:.0f} PQ apart and measurements {ERROR} (standard deviations), it would be {found.mean:+.1f} on "
        f"average, and p below {LEVEL} in {100 * found.below:.0f}% of such studies: it says what the search and the "
        "choice among trainings bring together, and not that the architecture is better."
    )
