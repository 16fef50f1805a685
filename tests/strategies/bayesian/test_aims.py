from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopanoptic.nas.costs.table import CostTable
from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.strategy import Strategy
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Objective
from autopanoptic.nas.trials.pareto import hypervolume
from autopanoptic.nas.trials.trial import Trial, TrialState
from autopanoptic.strategies import BayesianOptimization, RandomSearch
from autopanoptic.strategies.bayesian import bayesian_optimization as module
from autopanoptic.strategies.bayesian.aims import Aim, OverFront, aim_of, known_cost
from autopanoptic.strategies.bayesian.gaussian_process import Array
from autopanoptic.strategies.testing.simulation import Outcome, Simulation, replay
from tests.bayesian import acquired

TWO = (Objective("gain"), Objective("loss", "min"))
WIDTHS = SearchSpace(Choice(f"width{i}", (1, 2, 3, 4)) for i in range(6))


def cost_of(architecture: Architecture) -> float:
    return float(np.dot([float(str(option)) for option in architecture.values()], (1, 10, 3, 3, 3, 3)))


PRICED = WIDTHS.priced({"loss": cost_of})


def outcome(trial: Trial) -> Outcome:
    """Two widths raise the gain, of which the second costs ten times as much as the first; the others only cost."""
    first, second, *_ = (float(str(option)) for option in trial.architecture.values())
    return TrialState.COMPLETED, {"gain": first**0.5 + second**0.5, "loss": cost_of(trial.architecture)}


def searched(strategy: Strategy, space: SearchSpace, seed: int = 0, trials: int = 30) -> History:
    return Simulation(strategy, space, seed, objectives=TWO, outcome=outcome).run(trials).history


def volume(strategy: Strategy, space: SearchSpace, seed: int) -> float:
    history = searched(strategy, space, seed)
    return hypervolume(np.array([history.gains(trial) for trial in history.pareto()]), np.array([2.0, -92.0]))


def test_which_cost_is_known() -> None:
    history = searched(RandomSearch(), WIDTHS, trials=2)
    assert known_cost(WIDTHS, history) is None
    assert known_cost(PRICED, history) == TWO[1]
    assert known_cost(WIDTHS.priced({"loss": cost_of, "gain": cost_of}), history) is None


def test_half_of_the_aims_are_the_front_and_half_the_value_alone() -> None:
    history = searched(RandomSearch(), PRICED, trials=20)
    aims = [aim_of(PRICED, history, np.random.default_rng(seed)) for seed in range(100)]
    assert all(aim.weights.tolist() == [1, 0] and aim.modelled == 1 for aim in aims)
    assert {aim.known for aim in aims} == {None, TWO[1]}
    assert 35 < sum(aim.known is None for aim in aims) < 65


def price(architecture: Architecture) -> float:
    return float(str(architecture["a"]))


def costing(*costs: float) -> list[Architecture]:
    return [Architecture({"a": cost}) for cost in costs]


def drawn(values: Array, costs: Array, mean: float, sd: float, cost: float) -> float:
    """Return the mean gain of the hypervolume over many draws of a value."""
    reference = np.array([values.min(), -(costs.max() + 0.1 * np.ptp(costs))])
    front = np.stack([values, -costs], axis=1)
    before = hypervolume(front, reference)
    samples = np.random.default_rng(0).normal(mean, sd, 4000)
    return float(np.mean([hypervolume(np.vstack([front, [value, -cost]]), reference) - before for value in samples]))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_is_won_is_the_expected_gain_of_the_hypervolume(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, costs = rng.normal(size=6), rng.uniform(1, 2, 6)
    mean, sd, cost = rng.normal(0.5), rng.uniform(0.3, 1), rng.uniform(costs.min(), costs.max())
    found = OverFront(values, costs, price)(np.array([mean]), np.array([sd]), costing(cost))
    assert np.exp(found[0]) == pytest.approx(drawn(values, costs, mean, sd, cost), rel=0.15, abs=2e-3)


def test_the_same_value_is_worth_more_where_it_costs_less() -> None:
    over = OverFront(np.array([0.0, 1.0]), np.array([1.0, 2.0]), price)
    mean, sd = np.full(5, 0.5), np.full(5, 0.1)
    found = over(mean, sd, costing(0.5, 1.0, 1.5, 1.9, 2.0))
    assert (np.diff(found) < 0).all()
    assert (found <= over.bound(mean, sd) + 1e-12).all()


def test_one_trial_is_a_front() -> None:
    found = OverFront(np.array([0.3]), np.array([2.0]), price)(np.zeros(3), np.ones(3), costing(1.0, 2.0, 3.0))
    assert np.isfinite(found).all()


def test_a_cost_that_cannot_be_worked_out_promises_nothing() -> None:
    def broken(architecture: Architecture) -> float:
        if architecture["width0"] == 4:
            raise RuntimeError("no such kernel")
        return cost_of(architecture)

    space = CostTable({"loss": broken}, {}).constrained(WIDTHS)
    cheapest = {f"width{i}": 1 for i in range(6)}
    asked = [space.canonical(cheapest), space.canonical({**cheapest, "width0": 4})]
    history = searched(RandomSearch(), PRICED)
    process = acquired(BayesianOptimization(), space, history).process
    found = Aim(np.array([1.0, 0.0]), TWO[1]).improvement(space, history, process)(np.zeros(2), np.ones(2), asked)
    assert np.isfinite(found[0])
    assert found[1] == -np.inf


@pytest.mark.parametrize("whole", [50_000, 0], ids=["whole space", "climb"])
def test_a_small_space_is_searched_to_its_end(monkeypatch: pytest.MonkeyPatch, whole: int) -> None:
    monkeypatch.setattr(module, "WHOLE", whole)
    space = SearchSpace([Choice("a", range(6))]).priced({"loss": price})

    def same(trial: Trial) -> Outcome:
        return TrialState.COMPLETED, {"gain": 1.0, "loss": price(trial.architecture)}

    search = Simulation(BayesianOptimization(initial=1), space, objectives=TWO, outcome=same).run(10)
    assert len(search.history) == 6


def test_a_known_cost_finds_better_fronts_than_a_modelled_one_and_random_draws() -> None:
    strategies = ((BayesianOptimization(), PRICED), (BayesianOptimization(), WIDTHS), (RandomSearch(), PRICED))
    known, modelled, random = (
        np.mean([volume(strategy, space, seed) for seed in range(4)]) for strategy, space in strategies
    )
    assert known > modelled > random


def test_it_resumes_and_proposes_batches_with_aims_of_their_own() -> None:
    search = Simulation(BayesianOptimization(), PRICED, objectives=TWO, outcome=outcome).run(15)
    again = replay(search.objectives, search.events)
    rngs = [np.random.default_rng([0, number]) for number in range(15, 20)]
    batch = BayesianOptimization().propose_batch(PRICED, again, rngs)
    assert len(set(batch)) == 5
    assert batch[0] == BayesianOptimization().propose(PRICED, search.history, np.random.default_rng([0, 15]))


def test_a_slow_cost_is_not_asked_for_candidates() -> None:
    class Clock:
        slow = True

        def __call__(self, architecture: Architecture) -> float:
            return 1.0

    assert not CostTable({"loss": Clock()}, {}).constrained(WIDTHS).costs
    table = CostTable({"loss": Clock(), "size": cost_of}, {"size": (None, 30.0)}).constrained(WIDTHS)
    assert set(table.costs) == {"size"}
    assert set(table.unconstrained.costs) == {"size"}
    assert set(table.restricted({"width0": [1]}).costs) == {"size"}


def test_a_space_keeps_the_costs_that_it_has_and_what_it_is() -> None:
    class Own(SearchSpace):
        pass

    own = Own(WIDTHS.choices)
    assert CostTable({}, {}).constrained(own) is own
    assert type(CostTable({"loss": cost_of}, {}).constrained(own)) is Own
    assert set(CostTable({"size": cost_of}, {}).constrained(PRICED).costs) == {"size", "loss"}


def test_what_the_evaluator_reports_by_the_name_of_a_cost_is_not_taken_for_it() -> None:
    def other_scale(trial: Trial) -> Outcome:
        state, metrics = outcome(trial)
        return state, {**metrics, "loss": 1000 * metrics["loss"]}

    history, other = (
        Simulation(RandomSearch(), PRICED, objectives=TWO, outcome=given).run(12).history
        for given in (outcome, other_scale)
    )
    rng = np.random.default_rng
    assert BayesianOptimization().propose(PRICED, history, rng(1)) == BayesianOptimization().propose(
        PRICED, other, rng(1)
    )
