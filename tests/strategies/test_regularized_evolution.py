from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import Trial, TrialState
from autopanoptic.strategies import RegularizedEvolution
from autopanoptic.strategies.testing.simulation import VALUE, Outcome, Simulation

SPACE = SearchSpace(Choice(f"c{i}", range(6)) for i in range(20))


def differences(one: Architecture, other: Architecture) -> int:
    return sum(one[label] != other[label] for label in one)


def history_of(values: list[float], ended: list[int] | None = None, seed: int = 0) -> History:
    """Return random architectures with these values, which ended in the given order."""
    history, rng = History(VALUE), np.random.default_rng(seed)
    for number in range(len(values)):
        history.add(Trial(number, SPACE.sample(rng)))
    for number in range(len(values)) if ended is None else ended:
        trial = history[number]
        history.update(Trial(number, trial.architecture, TrialState.COMPLETED, {"value": values[number]}))
    return history


def parents(strategy: RegularizedEvolution, history: History, draws: int = 300) -> list[int]:
    """Return the trial that each of many proposals is one change away from."""
    found = []
    for seed in range(draws):
        child = strategy.propose(SPACE, history, np.random.default_rng(seed))
        assert child is not None
        found += [trial.id for trial in history if differences(child, trial.architecture) == 1]
    assert len(found) == draws
    return found


def test_defaults_are_the_papers() -> None:
    assert repr(RegularizedEvolution()) == "RegularizedEvolution(population=100, sample=25, mutation_rate=None)"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"population": 20}, "sample of 25 from a population of 20: give sample=20 or less"),
        ({"population": 0}, "population"),
        ({"sample": 0}, "sample"),
        ({"sample": 2.5}, "sample"),
        ({"mutation_rate": -0.1}, "mutation_rate"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RegularizedEvolution(**given)


def test_the_first_population_is_random_and_a_child_changes_one_choice() -> None:
    search = Simulation(RegularizedEvolution(population=10, sample=3), SPACE).run(60)
    for trial in search.history[1:]:
        nearest = min(differences(trial.architecture, other.architecture) for other in search.history[: trial.id])
        assert nearest > 4 if trial.id < 10 else nearest == 1


def test_a_trial_dies_of_age_however_good_it_is() -> None:
    strategy = RegularizedEvolution(population=5, sample=5)
    champion_first = [100.0, 1, 2, 3, 4, 5]
    assert 0 not in parents(strategy, history_of(champion_first))
    assert 0 in parents(strategy, history_of(champion_first[:5]))


def test_age_counts_from_the_end_of_a_trial() -> None:
    strategy = RegularizedEvolution(population=5, sample=5)
    values = [100.0, 1, 2, 3, 4, 5]
    assert 0 in parents(strategy, history_of(values, ended=[1, 2, 3, 4, 5, 0]))
    assert 1 not in parents(strategy, history_of(values, ended=[1, 2, 3, 4, 5, 0]))


def test_tournaments_draw_with_replacement() -> None:
    values = [1.0, 2, 3, 4, 5]
    found = np.bincount(parents(RegularizedEvolution(population=5, sample=2), history_of(values), 2000), minlength=5)
    # The best of two draws with replacement is the k-th worst of five with probability (2 k - 1) / 25.
    expected = (2 * np.arange(1, 6) - 1) / 25
    assert abs(found / 2000 - expected).max() < 4 * np.sqrt(0.25 / 2000)
    assert found[0] > 0, "without replacement the worst could never win"


def test_a_sample_of_one_is_a_random_parent() -> None:
    found = np.bincount(parents(RegularizedEvolution(population=5, sample=1), history_of([1.0, 2, 3, 4, 5]), 2000))
    assert abs(found / 2000 - 0.2).max() < 4 * np.sqrt(0.16 / 2000)


def test_it_does_not_wait_for_running_trials() -> None:
    search = Simulation(RegularizedEvolution(population=6, sample=2), SPACE)
    for _ in range(20):
        assert search.ask() is not None
    assert len(search.history.running) == 20
    search.end(search.history[3])
    child = search.ask()
    assert child is not None
    assert differences(child, search.history[3].architecture) == 1


def test_failed_trials_are_not_in_the_population() -> None:
    def outcome(trial: Trial) -> Outcome:
        state = TrialState.COMPLETED if trial.id == 2 else TrialState.FAILED
        return state, {"value": 1.0}

    search = Simulation(RegularizedEvolution(population=4, sample=2), SPACE, outcome=outcome).run(12)
    parent = search.history[2].architecture
    assert all(differences(trial.architecture, parent) == 1 for trial in search.history[4:])


def test_a_mutation_rate_changes_more_choices() -> None:
    strategy = RegularizedEvolution(population=5, sample=5, mutation_rate=0.5)
    history = history_of([1.0, 2, 3, 4, 500])
    found = []
    for seed in range(200):
        child = strategy.propose(SPACE, history, np.random.default_rng(seed))
        assert child is not None
        found.append(min(differences(child, trial.architecture) for trial in history))
    assert np.mean(found) == pytest.approx(10, abs=4 * np.sqrt(5 / 200))


def test_a_tournament_is_repeated_where_its_winner_has_no_new_child() -> None:
    space = SearchSpace([Choice("a", range(4)), Choice("b", range(50))])
    history = History(VALUE)
    values = {(3, 3): 2.0, (0, 0): 1.0}
    known = [(3, 3), (0, 0)] + [(3, b) for b in range(50) if b != 3] + [(a, 3) for a in range(3)]
    for number, (a, b) in enumerate(known):
        history.add(Trial(number, Architecture({"a": a, "b": b})))
        if (a, b) in values:
            metrics = {"value": values[a, b]}
            history.update(Trial(number, Architecture({"a": a, "b": b}), TrialState.COMPLETED, metrics))
    for seed in range(20):
        child = RegularizedEvolution(population=2, sample=2).propose(space, history, np.random.default_rng(seed))
        assert child is not None
        assert child["a"] == 0 or child["b"] == 0, "all neighbours of the best are known, so the other one has a child"
