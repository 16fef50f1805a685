"""Where in a large space the acquisition is large: a local search."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from contextlib import suppress

import numpy as np

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.constrained import InfeasibleError
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.trials.history import History
from autopanoptic.strategies.bayesian import neighborhood
from autopanoptic.strategies.bayesian.acquisition import Acquisition, first_of_equals

PARENTS = 10  # the best trials, from which the search of a large space begins
CLIMBS = 5  # of all these, those from which it climbs
STEPS = 20
BLOCK = 100  # candidates that are encoded at a time


def climb(
    space: SearchSpace,
    history: History,
    acquisition: Acquisition,
    parents: list[Architecture],
    rng: np.random.Generator,
    candidates: int,
) -> Architecture | None:
    """Return an untried architecture of a large acquisition, by local search.

    Half of the candidates are mutations of the parents, half are random; the parents' neighbours are looked at, too.
    From the best five of all these it climbs: each moves to its best untried neighbour that the constraint accepts, for
    at most 20 steps, as long as that is an improvement by more than a thousandth (similar to Hutter et al. 2011,
    "Sequential model-based optimization for general algorithm configuration", section 4.3).

    Args:
        space: where to look.
        history: what has been tried.
        acquisition: what is to be large.
        parents: tried architectures, the best first.
        rng: the source of randomness.
        candidates: mutations and random architectures together.

    Returns:
        None where nothing untried was found.
    """
    seen = _Seen(space, history, acquisition, rng)
    seen.look(_mutations(space, parents, rng, candidates // 2))
    seen.look(_random(space, rng, candidates - candidates // 2))
    for parent in parents:
        seen.values.update(itertools.islice(seen.around(parent), CLIMBS))
    places = list(itertools.islice(seen.ranked(), CLIMBS))
    for _ in range(STEPS):
        moves = [seen.better(place) for place in places]
        places = list(dict.fromkeys(move for move in moves if move is not None))
    return seen.best(rng)


class _Seen:
    """The untried architectures that a climb has looked at, with their acquisition; some may break the constraint."""

    def __init__(
        self, space: SearchSpace, history: History, acquisition: Acquisition, rng: np.random.Generator
    ) -> None:
        self._space, self._history, self._acquisition, self._rng = space, history, acquisition, rng
        self.values: dict[Architecture, float] = {}

    def look(self, found: Iterable[Architecture]) -> None:
        new = [one for one in dict.fromkeys(found) if one not in self._history]
        for start in range(0, len(new), BLOCK):
            part = new[start : start + BLOCK]
            self.values.update(zip(part, self._acquisition(self._space.encode(part)).tolist(), strict=True))

    def around(self, place: Architecture) -> Iterator[tuple[Architecture, float]]:
        """Yield the untried neighbours of a place that are accepted with their acquisition, the best first."""
        for neighbor, value in neighborhood.Neighborhood(self._space, self._acquisition, place, self._rng):
            if neighbor not in self._history and self._space.accepts(neighbor):
                yield neighbor, value

    def better(self, place: Architecture) -> Architecture | None:
        """Return the best neighbour of a place if it is better than the place by more than 0.001."""
        found = next(self.around(place), None)
        if found is None or found[1] <= self.values[place] + neighborhood.SLACK:
            return None
        self.values.update([found])
        return found[0]

    def ranked(self) -> Iterator[Architecture]:
        """Yield those that are accepted, the best first; each is only asked about when it is its turn."""
        order = sorted(self.values, key=lambda architecture: -self.values[architecture])
        return (architecture for architecture in order if self._space.accepts(architecture))

    def best(self, rng: np.random.Generator) -> Architecture | None:
        """Return the best that is accepted, of equal ones a random one."""
        architectures, values = list(self.values), np.array(list(self.values.values()))
        for _ in architectures:
            index = first_of_equals(values, rng)
            if self._space.accepts(architectures[index]):
                return architectures[index]
            values[index] = -np.inf
        return None


def _mutations(
    space: SearchSpace, parents: list[Architecture], rng: np.random.Generator, count: int
) -> Iterator[Architecture]:
    """Yield mutations of the parents in turn, of two choices on average."""
    for index in range(count if parents else 0):
        parent = parents[index % len(parents)]
        with suppress(InfeasibleError):
            yield space.mutate(parent, rng, min(1.0, 2 / len(parent)))


def _random(space: SearchSpace, rng: np.random.Generator, count: int) -> Iterator[Architecture]:
    with suppress(InfeasibleError):
        for _ in range(count):
            yield space.sample(rng)
