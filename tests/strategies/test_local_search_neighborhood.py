"""The neighbours that a climb of local search tries."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import Trial, TrialState
from autopanoptic.strategies.local_search import LocalSearch, Neighborhood
from autopanoptic.strategies.testing.simulation import VALUE
from tests.spaces import nested_spaces


def test_a_constraint_is_asked_of_few_neighbors() -> None:
    asked: list[Architecture] = []

    def accept(architecture: Architecture) -> bool:
        asked.append(architecture)
        return True

    strategy = LocalSearch()
    space = SearchSpace(Choice(f"c{i}", range(5)) for i in range(49)).where(accept, "anything")
    history = History(VALUE)
    start = space.sample(np.random.default_rng(0))
    history.add(Trial(0, start))
    history.update(Trial(0, start, TrialState.COMPLETED, {"value": 0.0}))
    asked.clear()
    assert strategy.propose(space, history, np.random.default_rng(1)) is not None
    assert len(asked) <= 2, "of 196 neighbours"


def symmetric(space: SearchSpace) -> SearchSpace:
    """Make the first two options of the first choice one network."""
    label, options = space.choices[0].label, space.choices[0].options
    conditions = {option for choice in space.choices for _, allowed in choice.conditions for option in allowed}
    if len(options) < 2 or conditions & {options[0], options[1]}:
        return space
    return SearchSpace(
        space.choices, lambda found: {**found, label: options[0] if found[label] == options[1] else found[label]}
    )


@settings(max_examples=40, deadline=None)
@given(space=nested_spaces(), seed=st.integers(0, 2**32), restricted=st.booleans())
def test_a_neighborhood_is_that_of_the_space(space: SearchSpace, seed: int, restricted: bool) -> None:
    rng = np.random.default_rng(seed)
    space = symmetric(space)
    center = space.sample(rng)
    if restricted:
        space = space.where(lambda found: found == center or len(repr(found)) % 3 > 0, "two of three")
    history = History(VALUE)
    history.add(Trial(0, center))
    history.update(Trial(0, center, TrialState.COMPLETED, {"value": 0.0}))
    neighborhood, found = Neighborhood(space, center), []
    while (neighbor := neighborhood.untried(history, rng.random(50))) is not None:
        assert not neighborhood.all_ended(history, set(range(len(history))))
        found.append(neighbor)
        history.add(Trial(len(history), neighbor))
    assert len(found) == len(set(found))
    assert set(found) == set(space.neighbors(center))
    assert neighborhood.all_ended(history, set(range(len(history))))
    assert Neighborhood(space, center).all_ended(history, {0}) == (not found)
