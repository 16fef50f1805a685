from __future__ import annotations

import copy
import itertools
import math
import pickle
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopanoptic.nas.search.search import Search
from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.trials.dominance import fronts
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Constraint, Objective
from autopanoptic.nas.trials.pareto import hypervolume
from autopanoptic.nas.trials.trial import Trial, TrialState
from autopanoptic.strategies import RandomSearch, Strategy, nsga2
from autopanoptic.strategies.nsga2 import NSGA2, Survivor, constrained_fronts, select, tournament
from autopanoptic.strategies.testing import CHECKS, Check
from autopanoptic.strategies.testing.simulation import VALUE, Outcome, Simulation, propose, replay, score
from tests.outcomes import some_fail
from tests.spaces import nested_spaces

SPACE = SearchSpace(Choice(f"c{i}", range(6)) for i in range(12))
TWO = (Objective("gain"), Objective("loss", "min"))
VARIANTS = [
    NSGA2(population=8),
    NSGA2(population=2, crossover_rate=0.0, mutation_rate=0.3),
    NSGA2(population=6, crossover_rate=1.0, mutation_rate=0.0),
]


def rival(trial: Trial) -> Outcome:
    """Gain and loss pull every choice to its two ends, some harder than others."""
    options = [int(option) for option in trial.architecture.values()]
    gain = sum((i + 1) * option for i, option in enumerate(options))
    loss = sum((len(options) - i) * option**1.5 for i, option in enumerate(options))
    return TrialState.COMPLETED, {"gain": float(gain), "loss": loss, "cost": float(options[0])}


def history_of(points: Sequence[tuple[float, float] | None], costs: Sequence[float] | None = None) -> History:
    """Return trials with these gains and losses, failed for None, and with a limit of 1 to the costs if given."""
    history = History(TWO, [] if costs is None else [Constraint("cost", None, 1.0)])
    architectures = iter(SPACE)
    for number, point in enumerate(points):
        trial = Trial(number, next(architectures))
        history.add(trial)
        metrics = {} if point is None else {"gain": point[0], "loss": point[1]}
        if costs is not None:
            metrics["cost"] = costs[number]
        state = TrialState.FAILED if point is None else TrialState.COMPLETED
        history.update(Trial(number, trial.architecture, state, metrics))
    return history


def ids(survivors: Sequence[Survivor]) -> list[int]:
    return [survivor.trial.id for survivor in survivors]


def differences(one: Architecture, other: Architecture) -> int:
    return sum(one[label] != other[label] for label in one)


@pytest.mark.parametrize("strategy", VARIANTS, ids=repr)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_conforms(strategy: NSGA2, check: Check) -> None:
    check(lambda: copy.deepcopy(strategy), max_trials=40)


def test_parameters_are_shown_and_compared_without_the_cache() -> None:
    assert repr(NSGA2()) == "NSGA2(population=40, crossover_rate=0.9, mutation_rate=None)"
    strategy = NSGA2(population=4)
    Simulation(strategy, SPACE).run(10)
    assert strategy == NSGA2(population=4) != NSGA2(population=5)
    assert pickle.loads(pickle.dumps(strategy)) == strategy


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"population": 1}, "NSGA2 needs population to be a whole number of at least 2, not 1"),
        ({"population": 10.0}, r"not 10\.0"),
        ({"crossover_rate": 1.1}, "crossover_rate to be a number from 0 to 1, not 1.1"),
        ({"crossover_rate": None}, "crossover_rate"),
        ({"mutation_rate": -0.5}, "mutation_rate to be a number from 0 to 1, not -0.5"),
        ({"mutation_rate": math.nan}, "not nan"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NSGA2(**given)


# By hand: gains 0, 2, 5, 10 span 10, and so do losses 10, 13, 15, 20. Neighbours of trial 1 are 5 - 0 and 15 - 10
# apart, those of trial 2 10 - 2 and 20 - 13.
FRONT = [(0.0, 10.0), (2.0, 13.0), (5.0, 15.0), (10.0, 20.0)]


def test_crowding_distances_of_a_front() -> None:
    found = select(history_of(FRONT), history_of(FRONT), 4)
    assert ids(found) == [0, 3, 2, 1]
    assert [survivor.front for survivor in found] == [0, 0, 0, 0]
    assert [survivor.crowding for survivor in found] == [math.inf, math.inf, pytest.approx(1.5), pytest.approx(1.0)]


def test_the_last_front_that_survives_loses_its_most_crowded() -> None:
    dominated = [(1.0, 14.0), (4.0, 16.0), (-1.0, 16.0)]  # by trial 1, by trial 2, by trials 0 and 4
    history = history_of([*dominated, *FRONT])
    assert ids(select(history, history, 7)) == [3, 6, 5, 4, 0, 1, 2]
    assert ids(select(history, history, 6)) == [3, 6, 5, 4, 0, 1]
    assert ids(select(history, history, 3)) == [3, 6, 5], "trial 4, of a distance of 1.0, is the most crowded"


def test_survivors_by_constrained_domination() -> None:
    # By hand: trials 0, 1 and 4 keep the limit of 1. 0 and 1 are the first front, 4 is dominated by 1. Of the
    # others 3 breaks it by a half, 2 and 5 by 1, each more than the last; that they are better in both objectives
    # does not count. The better of 2 and 5 in an objective are both ends of their front, so their order stays.
    points = [(1.0, 1.0), (3.0, 2.0), (9.0, 0.0), (8.0, 0.5), (2.0, 2.0), (10.0, 0.1)]
    history = history_of(points, costs=[1.0, 0.5, 2.0, 1.5, 0.0, 2.0])
    found = select(history, history, 6)
    assert ids(found) == [0, 1, 4, 3, 2, 5]
    assert [survivor.front for survivor in found] == [0, 0, 1, 2, 3, 3]
    assert ids(select(history, history, 4)) == [0, 1, 4, 3]


def test_fronts_where_nothing_or_everything_breaks_a_constraint() -> None:
    gains = np.array([[1.0, 2.0], [2.0, 1.0], [0.0, 0.0]])
    assert constrained_fronts(gains, np.zeros(3)).tolist() == [0, 0, 1]
    assert constrained_fronts(gains, np.array([2.0, 1.0, 1.0])).tolist() == [1, 0, 0]
    assert constrained_fronts(gains, np.array([0.0, 1.0, 0.0])).tolist() == [0, 2, 1]
    assert constrained_fronts(gains[:0], np.zeros(0)).tolist() == []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.sampled_from([0, 0, 0.5, 2])), min_size=1, max_size=14)
)
def test_fronts_are_those_of_constrained_domination(rows: list[tuple[int, int, float]]) -> None:
    gains, violations = np.array([row[:2] for row in rows], dtype=float), np.array([row[2] for row in rows])

    def dominates(one: int, other: int) -> bool:
        if violations[one] or violations[other]:
            return bool(violations[one] < violations[other])
        return bool((gains[one] >= gains[other]).all() and (gains[one] > gains[other]).any())

    left, expected, number = set(range(len(rows))), np.full(len(rows), -1), 0
    while left:
        front = {one for one in left if not any(dominates(other, one) for other in left)}
        expected[list(front)] = number
        left, number = left - front, number + 1
    assert constrained_fronts(gains, violations).tolist() == expected.tolist()


def test_a_tournament_goes_to_the_better_front_then_to_the_less_crowded() -> None:
    history = history_of([(1.0, 0.0)] * 4)
    ranks = [(0, math.inf), (0, 0.5), (1, math.inf), (1, math.inf)]
    field = [Survivor(trial, *rank) for trial, rank in zip(history, ranks, strict=True)]
    rng = np.random.default_rng(0)
    wins = Counter(tournament(field, rng)["c11"] for _ in range(3000))
    # Trial 0 wins 3 of the 6 pairs, trial 1 two, and trials 2 and 3 share the one between them.
    for number, share in enumerate([1 / 2, 1 / 3, 1 / 12, 1 / 12]):
        assert wins[number] / 3000 == pytest.approx(share, abs=4 * math.sqrt(0.25 / 3000))
    assert tournament(field[2:3], rng) == history[2].architecture


def test_survivors_are_selected_from_the_last_survivors_and_their_children() -> None:
    strategy = NSGA2(population=10)
    search = Simulation(strategy, SPACE, objectives=TWO, outcome=rival).run(45)
    survivors: list[Trial] = []
    for generation in range(1, 5):
        children = search.history[10 * generation - 10 : 10 * generation]
        expected = select(search.history, [*survivors, *children], 10)
        assert strategy.survivors(search.history, generation) == expected
        survivors = [survivor.trial for survivor in expected]
    assert {trial.id // 10 for trial in survivors} >= {2, 3}, "they are of several generations"
    assert strategy.survivors(search.history, 0) == []


def test_nothing_that_no_trial_dominates_is_lost_while_it_fits_the_population() -> None:
    strategy = NSGA2(population=10)
    search = Simulation(strategy, SPACE, objectives=TWO, outcome=rival)
    sizes: list[int] = []
    while len(best := search.run(10 * (len(sizes) + 1)).history.pareto()) <= 10:
        sizes.append(len(best))
        survivors = strategy.survivors(search.history, len(sizes))
        assert {trial.id for trial in best} == {found.trial.id for found in survivors if found.front == 0}
    assert len(sizes) > 2


def test_each_generation_is_selected_once_among_twice_the_population(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def counting(history: History, trials: Sequence[Trial], count: int) -> list[Survivor]:
        sizes.append(len(trials))
        return select(history, trials, count)

    monkeypatch.setattr(nsga2, "select", counting)
    Simulation(NSGA2(population=8), SPACE, objectives=TWO, outcome=rival).run(100)
    assert sizes == [8, *[16] * 11]


def test_many_generations_are_rebuilt_without_recursion() -> None:
    rng = np.random.default_rng(0)
    points = [(float(gain), float(loss)) for gain, loss in rng.random((2500, 2))]
    history = history_of(points)
    survivors = NSGA2(population=2).survivors(history, 1250)
    assert len(survivors) == 2
    assert {found.trial.id for found in survivors} <= {trial.id for trial in history.pareto()}


def test_a_child_without_crossover_is_a_mutation_of_a_survivor() -> None:
    strategy = NSGA2(population=10, crossover_rate=0.0, mutation_rate=0.0)
    search = Simulation(strategy, SPACE, objectives=TWO, outcome=rival).run(40)
    for trial in search.history[10:]:
        parents = strategy.survivors(search.history, trial.id // 10)
        assert min(differences(trial.architecture, parent.trial.architecture) for parent in parents) == 1


def test_a_child_without_mutation_takes_every_option_from_two_survivors() -> None:
    strategy = NSGA2(population=10, crossover_rate=1.0, mutation_rate=0.0)
    search = Simulation(strategy, SPACE, objectives=TWO, outcome=rival).run(30)
    mutations = 0
    for trial in search.history[10:]:
        parents = [found.trial.architecture for found in strategy.survivors(search.history, trial.id // 10)]
        crossed = any(
            all(option in (one[label], other[label]) for label, option in trial.architecture.items())
            for one, other in itertools.combinations(parents, 2)
        )
        mutations += not crossed
        assert crossed or min(differences(trial.architecture, parent) for parent in parents) == 1
    assert mutations < 8, "only where both parents are one"


def test_a_single_survivor_is_mutated_as_it_cannot_be_crossed_with_itself() -> None:
    history = history_of([(1.0, 1.0), None])
    for seed in range(20):
        child = NSGA2(2, crossover_rate=1.0, mutation_rate=0.0).propose(SPACE, history, np.random.default_rng(seed))
        assert child is not None
        assert differences(child, history[0].architecture) == 1


def test_by_default_a_crossover_changes_one_choice_on_average() -> None:
    space = SearchSpace(Choice(f"c{i}", range(50)) for i in range(40))
    ends = [Architecture({f"c{i}": option for i in range(40)}) for option in (0, 1)]
    history = History(VALUE)
    for number, architecture in enumerate(ends):
        history.add(Trial(number, architecture))
        history.update(Trial(number, architecture, TrialState.COMPLETED, {"value": 1.0}))
    new = []
    strategy = NSGA2(population=2, crossover_rate=1.0)
    for seed in range(600):
        child = strategy.propose(space, history, np.random.default_rng(seed))
        assert child is not None
        if len(set(child.values()) & {0, 1}) == 2:
            new.append(sum(int(option) > 1 for option in child.values()))
    assert len(new) > 200, "the two parents are drawn apart, so half of the children are crossovers"
    # Most mutated options (48 of 49) are those of neither parent; none is changed with (1 - 1 / 40) ** 40 = 0.363.
    assert sum(count == 0 for count in new) / len(new) == pytest.approx(0.37, abs=0.1)
    assert np.mean(new) == pytest.approx(0.87, abs=0.2)


def test_a_generation_waits_for_the_trials_of_earlier_ones() -> None:
    search = Simulation(NSGA2(population=4), SPACE)
    for _ in range(4):
        assert search.ask() is not None
    for trial in search.history[:3]:
        assert search.ask() is None
        search.end(trial)
    assert search.ask() is None
    search.end(search.history[3])
    for _ in range(4):
        assert search.ask() is not None, "trials of its own generation do not hold it up"
    assert search.ask() is None


def test_generations_do_not_depend_on_the_order_in_which_trials_end() -> None:
    serial, parallel = (
        Simulation(NSGA2(population=6), SPACE, objectives=TWO, outcome=rival, workers=workers).run(40)
        for workers in (1, 6)
    )
    assert parallel.architectures == serial.architectures


def test_failed_trials_do_not_survive_and_a_generation_of_failures_is_followed_by_random_trials() -> None:
    def outcome(trial: Trial) -> Outcome:
        return (TrialState.FAILED, {}) if trial.id < 9 or trial.id % 3 == 1 else rival(trial)

    strategy = NSGA2(population=5)
    search = Simulation(strategy, SPACE, objectives=TWO, outcome=outcome).run(25)
    assert strategy.survivors(search.history, 1) == []
    assert ids(strategy.survivors(search.history, 2)) == [9]
    only = search.history[9].architecture
    assert all(differences(trial.architecture, only) < 7 for trial in search.history[10:15]), "mutations of the one"
    assert all(found.trial.state is TrialState.COMPLETED for found in strategy.survivors(search.history, 4))


def test_under_a_measured_constraint_survivors_keep_it() -> None:
    limit = [Constraint("cost", None, 0.0)]
    strategy = NSGA2(population=10)
    search = Simulation(strategy, SPACE, objectives=TWO, outcome=rival, constraints=limit).run(120)
    kept = [trial.id for trial in search.history if trial.metrics["cost"] == 0]
    assert 0 < sum(number < 10 for number in kept) < 10
    assert set(ids(strategy.survivors(search.history, 12))) <= set(kept)
    assert sum(number >= 60 for number in kept) > 30, "children learn to keep it; by chance a sixth would"


def test_with_one_objective_the_best_survive() -> None:
    strategy = NSGA2(population=6)
    search = Simulation(strategy, SPACE).run(36)
    best = sorted(search.history, key=lambda trial: -trial.metrics["value"])[:6]
    assert ids(strategy.survivors(search.history, 6)) == [trial.id for trial in best]


def volume(strategy: Strategy, seed: int) -> float:
    history = Simulation(strategy, SPACE, seed, objectives=TWO, outcome=rival).run(300).history
    return hypervolume([history.gains(trial) for trial in history], [0.0, -rival_loss(5)])


def rival_loss(option: int) -> float:
    _, metrics = rival(Trial(0, Architecture({choice.label: option for choice in SPACE.choices})))
    return metrics["loss"]


def test_it_dominates_more_than_random_search() -> None:
    for seed in range(4):
        assert volume(NSGA2(population=20), seed) > 1.1 * volume(RandomSearch(), seed)


def test_it_spreads_over_the_front() -> None:
    strategy = NSGA2(population=20)
    history = Simulation(strategy, SPACE, objectives=TWO, outcome=rival).run(1000).history
    found = np.array([history.gains(survivor.trial) for survivor in strategy.survivors(history, 50)])
    assert (fronts(found) == 0).all()
    steps = np.diff(np.sort(found[:, 0]))
    assert found[:, 0].max() - found[:, 0].min() > 0.5 * 5 * 78, "gains go from 0 to 5 * (1 + 2 + ... + 12)"
    assert steps.max() < 0.3 * (found[:, 0].max() - found[:, 0].min())


@pytest.mark.parametrize("strategy", VARIANTS, ids=repr)
def test_a_resumed_search_proposes_the_same(strategy: NSGA2, tmp_path: Path) -> None:
    def evaluate(architecture: Architecture) -> dict[str, float]:
        return dict(rival(Trial(0, architecture))[1])

    def search(journal: Path | None) -> Search:
        made = copy.deepcopy(strategy)
        return Search(SPACE, made, evaluate, objectives={"gain": "max", "loss": "min"}, journal=journal, seed=2)

    whole = search(None).run(60).history
    for trials in (3, 8, 29, 60):
        part = search(tmp_path / "j").run(trials).history
    assert [trial.architecture for trial in part] == [trial.architecture for trial in whole]


@settings(max_examples=30, deadline=None)
@given(
    space=nested_spaces(),
    seed=st.integers(0, 2**32),
    workers=st.integers(1, 5),
    population=st.integers(2, 9),
    objectives=st.sampled_from([VALUE, (Objective("value"), Objective("cost", "min"))]),
    limit=st.sampled_from([None, 2.0]),
)
def test_searches_are_valid_cover_the_space_and_resume(
    space: SearchSpace, seed: int, workers: int, population: int, objectives: Sequence[Objective], limit: float | None
) -> None:
    constraints = [] if limit is None else [Constraint("cost", None, limit)]
    search = Simulation(NSGA2(population), space, seed, objectives, some_fail, workers, constraints).run(50)
    assert len(search.history) == min(50, space.size)
    for events, expected in search.calls[:: max(1, len(search.calls) // 4)]:
        history = replay(objectives, search.events[:events], constraints)
        assert propose(NSGA2(population), space, history, seed) == expected


def test_a_budget_larger_than_the_space_ends_with_the_space() -> None:
    for space in (SearchSpace([Choice("a", ["only"])]), SearchSpace([Choice("a", [1, 2]), Choice("b", [1, 2, 3])])):
        result = Search(space, NSGA2(population=4), score).run(1000)
        assert len(result.history) == space.size
        assert result.ended == "strategy"
