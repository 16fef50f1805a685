"""Where in a large space the acquisition is large: a local search."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.constrained import InfeasibleError
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.trials.history import History
from autopanoptic.strategies.bayesian import neighborhood
from autopanoptic.strategies.bayesian.acquisition import NOTHING, Acquisition, descending, first_of_equals
from autopanoptic.strategies.bayesian.gaussian_process import Array

PARENTS = 10  # the best trials, from which the search of a large space begins
CLIMBS = 5  # of all these, those from which it climbs
STEPS = 20
DRAWS = 4  # for each random candidate at most: a constraint may refuse nearly everything
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

    Half of the candidates are mutations of the parents, half are random, fewer under a tight constraint; the parents'
    neighbours are looked at, too. From the best five of all these it climbs: each moves to its best untried neighbour
    that the constraint accepts, for at most 20 steps, as long as that is an improvement by more than a thousandth
    (similar to Hutter et al. 2011, "Sequential model-based optimization for general algorithm configuration", section
    4.3).

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
    return next(iter(climb_batch(space, history, acquisition, parents, [rng], candidates)), None)


def climb_batch(
    space: SearchSpace,
    history: History,
    acquisition: Acquisition,
    parents: list[Architecture],
    rngs: Sequence[np.random.Generator],
    candidates: int,
    pending: Sequence[Architecture] = (),
) -> list[Architecture]:
    """Return an untried architecture for each generator, as far as they are found.

    The first is that of :func:`climb`. Each that follows is the best, where those before it are pending, of what the
    search has come by, from which it climbs once more.

    Args:
        space: where to look.
        history: what has been tried.
        acquisition: what is to be large.
        parents: tried architectures, the best first.
        rngs: the sources of randomness, one for each.
        candidates: mutations and random architectures together.
        pending: untried architectures that are not to be proposed again.
    """
    seen = _Seen(space, history, acquisition, rngs[0], pending)
    _climb(seen, parents, candidates)
    first = seen.best(rngs[0])
    found = [] if first is None else [first]
    for rng in rngs[1:]:
        following = seen.next_best(found[-1], rng) if found else None
        if following is None:
            break
        found.append(following)
    return found


def _climb(seen: _Seen, parents: list[Architecture], candidates: int) -> None:
    seen.look(_mutations(seen.space, parents, seen.rng, candidates // 2))
    seen.look(_random(seen.space, seen.rng, candidates - candidates // 2))
    for parent in parents:
        seen.values.update(itertools.islice(seen.around(parent), CLIMBS))
    places = list(itertools.islice(seen.ranked(), CLIMBS))
    for _ in range(STEPS):
        moves = [seen.better(place) for place in places]
        places = list(dict.fromkeys(move for move in moves if move is not None))


class _Seen:
    """The untried architectures that a climb has looked at, with their acquisition; some may break the constraint."""

    def __init__(
        self,
        space: SearchSpace,
        history: History,
        acquisition: Acquisition,
        rng: np.random.Generator,
        pending: Iterable[Architecture],
    ) -> None:
        self.space, self._history, self._acquisition, self.rng = space, history, acquisition, rng
        self.values: dict[Architecture, float] = {}
        self._pending = set(pending)

    def look(self, found: Iterable[Architecture]) -> None:
        new = [one for one in dict.fromkeys(found) if self._is_untried(one)]
        for start in range(0, len(new), BLOCK):
            part = new[start : start + BLOCK]
            self.values.update(zip(part, self._acquisition(self.space.encode(part), part).tolist(), strict=True))

    def _is_untried(self, architecture: Architecture) -> bool:
        return architecture not in self._history and architecture not in self._pending

    def around(self, place: Architecture) -> Iterator[tuple[Architecture, float]]:
        """Yield the untried neighbours of a place that are accepted with their acquisition, the best first."""
        for neighbor, value in neighborhood.Neighborhood(self.space, self._acquisition, place, self.rng):
            if self._is_untried(neighbor) and self.space.accepts(neighbor):
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
        return (architecture for architecture in order if self.space.accepts(architecture))

    def best(self, rng: np.random.Generator) -> Architecture | None:
        """Return the best that is accepted, of equal ones a random one."""
        architectures, values = list(self.values), np.maximum(list(self.values.values()), NOTHING)
        for _ in architectures:
            index = first_of_equals(values, rng)
            if self.space.accepts(architectures[index]):
                return architectures[index]
            values[index] = -np.inf
        return None

    def next_best(self, pending: Architecture, rng: np.random.Generator) -> Architecture | None:
        """Return the best that is accepted, and a climb from it, where one more is pending; of equal ones a random one.

        The values of all become bounds of what they are now.
        """
        self.rng = rng
        self._pending.add(pending)
        self.values.pop(pending, None)
        self._acquisition = self._acquisition.believing(self.space.encode([pending]))
        architectures, bounds = list(self.values), np.array(list(self.values.values()))

        def exact(some: NDArray[np.intp]) -> Array:
            few = [architectures[index] for index in some]
            values = self._acquisition(self.space.encode(few), few)
            self.values.update(zip(few, values.tolist(), strict=True))
            return values

        order = descending(bounds, exact, rng, BLOCK)
        place = next((architectures[i] for i in order if self.space.accepts(architectures[i])), None)
        for _ in range(STEPS if place is not None else 0):
            assert place is not None
            better = self.better(place)
            if better is None:
                break
            place = better
        return place


def _mutations(
    space: SearchSpace, parents: list[Architecture], rng: np.random.Generator, count: int
) -> Iterator[Architecture]:
    """Yield mutations of the parents in turn, of two choices on average."""
    for index in range(count if parents else 0):
        parent = parents[index % len(parents)]
        with suppress(InfeasibleError):
            yield space.mutate(parent, rng, min(1.0, 2 / len(parent)))


def _random(space: SearchSpace, rng: np.random.Generator, count: int) -> Iterator[Architecture]:
    """Yield random architectures, fewer than so many where the constraint refuses three of four draws or more."""
    drawn = (space.unconstrained.sample(rng) for _ in range(DRAWS * count))
    return itertools.islice(filter(space.accepts, drawn), count)
