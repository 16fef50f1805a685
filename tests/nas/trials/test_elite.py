from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopanoptic.nas import Architecture, Constraint, History, Objective, Trial, TrialState
from autopanoptic.nas.trials import elite as elite_module
from autopanoptic.nas.trials.elite import Elite

NAMES = "abc"


def history_of(rows: list[tuple[int, ...] | None], objectives: int, bounded: bool = False) -> History:
    """Return a history with such metrics; of a failed trial where there are none."""
    directions = ["max", "min", "max"]
    constraints = [Constraint("a", None, 2)] if bounded else []
    history = History([Objective(NAMES[i], directions[i]) for i in range(objectives)], constraints)
    for number, row in enumerate(rows):
        architecture = Architecture({"n": number})
        history.add(Trial(number, architecture))
        if row is None:
            history.update(Trial(number, architecture, TrialState.FAILED))
        else:
            metrics = dict(zip(NAMES, map(float, row), strict=False))
            history.update(Trial(number, architecture, TrialState.COMPLETED, metrics))
    return history


ROWS = st.lists(st.none() | st.tuples(*[st.integers(0, 4)] * 3), max_size=40)


@settings(deadline=None)
@given(ROWS, st.integers(1, 3), st.integers(1, 6), st.booleans(), st.lists(st.integers(0, 40), max_size=4))
def test_the_best_are_those_of_the_whole_ranking(
    rows: list[tuple[int, ...] | None], objectives: int, count: int, bounded: bool, ends: list[int]
) -> None:
    history, found = history_of(rows, objectives, bounded), Elite(count)
    for end in sorted(min(end, len(rows)) for end in [*ends, len(rows)]):
        expected = history.ranked(history[:end])[:count]
        assert found.ranked(history, end) == expected


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elite_module, "CHUNK", 3)
    rng = np.random.default_rng(0)
    history = history_of([tuple(row) for row in rng.integers(0, 30, size=(100, 3)).tolist()], 3)
    assert Elite(8).ranked(history, 100) == history.ranked()[:8]


@pytest.mark.parametrize(("objectives", "most"), [(1, 10), (2, 150)])
def test_what_is_kept_does_not_grow_with_the_trials(objectives: int, most: int) -> None:
    rng, sizes = np.random.default_rng(0), []
    history = history_of([tuple(row) for row in rng.normal(size=(4000, 3)).tolist()], objectives)
    found = Elite(10)
    for end in range(200, 4001, 200):
        found.ranked(history, end)
        sizes.append(found.size)
    assert max(sizes) <= most


def test_equals_in_one_objective_are_not_kept() -> None:
    history, found = history_of([(1, 1, 1)] * 500, 1), Elite(10)
    assert [trial.id for trial in found.ranked(history, 500)] == list(range(10))
    assert found.size == 10
