from __future__ import annotations

from typing import Any

import pytest

from autopanoptic.nas.search.search import Search
from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.strategy import Strategy
from autopanoptic.nas.trials.objective import Objective
from autopanoptic.nas.trials.trial import Trial, TrialState
from autopanoptic.strategies import NSGA2, Evolution, RegularizedEvolution
from autopanoptic.strategies.testing.simulation import Outcome, Simulation, completed, score

SPACE = SearchSpace(Choice(f"c{i}", ["a", "b", "c", "d"]) for i in range(12))


def differences(one: Architecture, other: Architecture) -> int:
    return sum(one[label] != other[label] for label in one)


def test_defaults_are_the_papers() -> None:
    assert repr(Evolution()) == "Evolution(population=50, parents=10, mutations=25, crossovers=25, mutation_rate=0.1)"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"population": 20}, (20, 10, 10, 10)),
        ({"population": 5}, (5, 5, 3, 2)),
        ({"population": 5, "mutations": 5}, (5, 5, 5, 0)),
        ({"population": 8, "crossovers": 6, "parents": 2}, (8, 2, 2, 6)),
    ],
)
def test_what_is_not_given_follows_from_the_population(given: dict[str, int], expected: tuple[int, ...]) -> None:
    made = Evolution(**given)
    assert (made.population, made.parents, made.mutations, made.crossovers) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"population": 0}, "population to be a whole number of at least 1, not 0"),
        ({"population": 2.0}, r"not 2\.0"),
        ({"population": True}, "not True"),
        ({"parents": 0}, "parents"),
        ({"population": 5, "parents": 6}, "population of 5 cannot have 6 parents"),
        ({"mutations": 10, "crossovers": 10}, r"not 10 \+ 10 for a population of 50"),
        ({"population": 10, "mutations": 11}, "crossovers to be a whole number of at least 0, not -1"),
        ({"population": 10, "crossovers": 11}, "mutations to be a whole number of at least 0, not -1"),
        ({"mutation_rate": 1.5}, "mutation_rate to be a number from 0 to 1, not 1.5"),
        ({"mutation_rate": float("nan")}, "not nan"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Evolution(**given)


def test_equal_parameters_make_equal_strategies() -> None:
    assert Evolution(population=20) == Evolution(population=20, parents=10)
    assert hash(Evolution(population=20)) == hash(Evolution(population=20, parents=10))
    assert Evolution(population=20) != Evolution(population=21)


def test_parents_are_the_best_of_all_earlier_generations() -> None:
    strategy = Evolution(population=10, parents=4)
    search = Simulation(strategy, SPACE).run(45)
    for start in (10, 20, 30, 40):
        best = sorted(search.history[:start], key=lambda trial: -trial.metrics["value"])[:4]
        assert strategy.select(search.history, start) == [trial.architecture for trial in best]


def test_a_generation_is_mutations_then_crossovers_of_the_parents() -> None:
    strategy = Evolution(population=10, parents=4, mutations=6, mutation_rate=0.0)
    search = Simulation(strategy, SPACE).run(40)
    for trial in search.history[10:]:
        parents = strategy.select(search.history, trial.id - trial.id % 10)
        if trial.id % 10 < 6:
            assert min(differences(trial.architecture, parent) for parent in parents) == 1
        else:
            assert all(
                any(parent[label] == option for parent in parents) for label, option in trial.architecture.items()
            )


def test_crossovers_that_find_nothing_new_give_way_to_mutations() -> None:
    def alike(trial: Trial) -> Outcome:
        return TrialState.COMPLETED, {"value": float(trial.id < 2)}

    first = Architecture({f"c{i}": "a" for i in range(12)})
    search = Simulation(Evolution(population=4, parents=2, mutations=0, mutation_rate=0.0), SPACE, outcome=alike)
    for architecture in (first, Architecture(first.replace("c3", "b"))):
        search.start(architecture)
        search.end(search.history[-1])
    for trial in search.run(20).history[4:]:
        assert min(differences(trial.architecture, parent.architecture) for parent in search.history[:2]) == 1


def test_the_mutation_rate_is_the_share_of_changed_choices() -> None:
    space = SearchSpace(Choice(f"c{i}", range(5)) for i in range(200))
    strategy = Evolution(population=60, parents=1, mutations=60, mutation_rate=0.2)
    search = Simulation(strategy, space).run(120)
    (parent,) = strategy.select(search.history, 60)
    changed = [differences(trial.architecture, parent) for trial in search.history[60:]]
    # 60 x 200 choices: the mean's standard deviation is 0.73.
    assert sum(changed) / 60 == pytest.approx(40, abs=4 * 0.73)


def test_a_generation_waits_for_the_trials_of_earlier_ones() -> None:
    search = Simulation(Evolution(population=5, parents=2), SPACE)
    for _ in range(5):
        assert search.ask() is not None
    for trial in search.history[:4]:
        search.end(trial)
        assert search.ask() is None
    search.end(search.history[4])
    for _ in range(5):
        assert search.ask() is not None, "trials of its own generation do not hold it up"
    assert search.ask() is None


def test_generations_do_not_depend_on_the_order_in_which_trials_end() -> None:
    serial = Simulation(Evolution(population=6, parents=3), SPACE).run(36)
    parallel = Simulation(Evolution(population=6, parents=3), SPACE, workers=6).run(36)
    assert parallel.architectures == serial.architectures


def test_failed_trials_are_no_parents_and_without_parents_it_draws_at_random() -> None:
    def outcome(trial: Trial) -> Outcome:
        return (TrialState.FAILED, {}) if trial.id < 9 else completed(trial)

    strategy = Evolution(population=5, parents=3)
    search = Simulation(strategy, SPACE, outcome=outcome).run(20)
    assert strategy.select(search.history, 5) == []
    assert strategy.select(search.history, 10) == [search.history[9].architecture]
    assert len(search.history) == 20
    single = strategy.select(search.history, 10)[0]
    assert all(differences(trial.architecture, single) > 3 for trial in search.history[13:15]), "no second parent"


def test_it_finds_the_optimum_of_a_separable_function_where_random_search_does_not() -> None:
    best = sum(max(score(Architecture({f"c{i}": option})) for option in "abcd") for i in range(12))
    found = Simulation(Evolution(population=20, parents=5), SPACE).run(600).history.best
    assert found is not None
    assert found.metrics["value"] == pytest.approx(best)


def test_two_objectives_make_parents_of_the_first_front() -> None:
    objectives = (Objective("value"), Objective("low", "min"))

    def outcome(trial: Trial) -> Outcome:
        count = sum(option == "a" for option in trial.architecture.values())
        return TrialState.COMPLETED, {"value": float(count), "low": float(count + trial.id % 3)}

    strategy = Evolution(population=12, parents=3)
    search = Simulation(strategy, SPACE, objectives=objectives, outcome=outcome).run(12)
    front = {trial.architecture for trial in search.history.pareto()}
    chosen = strategy.select(search.history, 12)
    assert len(chosen) == 3
    assert set(chosen[: len(front)]) <= front


@pytest.mark.parametrize(
    "strategy",
    [RegularizedEvolution(6, 2), Evolution(6, mutations=6), Evolution(6, mutations=0), NSGA2(6, crossover_rate=0.0)],
)
def test_a_parent_without_accepted_children_leaves_others_theirs(strategy: Strategy) -> None:
    """The best of the parents stands alone within the constraint, which random draws hardly ever keep."""
    alone = dict.fromkeys("abcdef", 9)
    space = SearchSpace([Choice(label, range(10)) for label in alone]).where(
        lambda found: found == alone or sum(option == 0 for option in found.values()) >= 5, "nearly all 0"
    )
    others = [{**dict.fromkeys(alone, 0), "a": option} for option in range(1, 6)]
    search = Search(space, strategy, lambda found: float(sum(found.values())), initial=[alone, *others])
    assert search.run(30, progress=False).history.n_completed == 30
