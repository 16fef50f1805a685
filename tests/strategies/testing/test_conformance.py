"""Every strategy passes the conformance suite, and every check of the suite catches a strategy that breaks its rule."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.strategy import BatchStrategy, unseen
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Objective
from autopanoptic.nas.trials.trial import TrialState
from autopanoptic.strategies import (
    Evolution,
    GridSearch,
    PathPriority,
    RandomSearch,
    RegularizedEvolution,
    Strategy,
    testing,
)
from autopanoptic.strategies.testing import CHECKS, Check, check_strategy, conformance
from autopanoptic.strategies.testing.simulation import Simulation

STRATEGIES: list[tuple[Callable[[], Strategy], tuple[Check, ...]]] = [
    (RandomSearch, ()),
    (GridSearch, (testing.check_seeds_differ,)),
    (lambda: Evolution(population=8, parents=3), ()),
    (lambda: Evolution(population=6, parents=2, mutations=0), ()),
    (lambda: RegularizedEvolution(population=10, sample=3), ()),
    (lambda: RegularizedEvolution(population=4, sample=4, mutation_rate=0.3), ()),
    (PathPriority, (testing.check_covers_space,)),
    (lambda: PathPriority(cycles=2, top=3, answer="sum"), (testing.check_covers_space,)),
]


@pytest.mark.parametrize(
    ("make", "check"),
    [(make, check) for make, skip in STRATEGIES for check in CHECKS if check not in skip],
    ids=lambda value: value.__name__ if value in CHECKS else repr(value()),
)
def test_strategy_conforms(make: Callable[[], Strategy], check: Check) -> None:
    check(make)


class Broken(Strategy):
    """A random search; each subclass breaks one rule."""

    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Any:
        return unseen(space, history, rng)


class ReturnsDictionaries(Broken):
    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Any:
        found = unseen(space, history, rng)
        return dict(found) if found else None


class InventsOptions(Broken):
    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Any:
        return Architecture({choice.label: "other" for choice in space.choices})


class ProposesNothing(Broken):
    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Any:
        return None


class RepeatsItself(Broken):
    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Any:
        return history[0].architecture if len(history) > 5 else unseen(space, history, rng)


class UsesGlobalRandomness(Broken):
    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Any:
        return unseen(space, history, np.random.default_rng(random.randrange(2**32)))


class ShowsItsAddress(Broken):
    __repr__ = object.__repr__


class IgnoresTheSeed(Broken):
    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Any:
        return unseen(space, history, np.random.default_rng(len(history)))


class CountsItsCalls(Broken):
    def __init__(self) -> None:
        self._calls = 0

    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Any:
        self._calls += 1
        return unseen(space, history, np.random.default_rng([self._calls, int(rng.integers(100))]))


class IgnoresRunningTrials(Broken):
    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Any:
        ended = {trial.architecture for trial in history.finished}
        rest = [architecture for architecture in space if architecture not in ended]
        return rest[0] if rest else None


class NeverEnds(Broken):
    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Any:
        return unseen(space, history, rng) or space.sample(rng)


class ComesBackAfterTheEnd(Broken):
    def __init__(self) -> None:
        self._ended = False

    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Any:
        if self._ended or len(history) < space.size:
            return space.sample(rng) if self._ended else unseen(space, history, rng)
        self._ended = not history.running
        return None


class BrokenBatches(BatchStrategy):
    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Any:
        return unseen(space, history, rng)


class RepeatsWithinABatch(BrokenBatches):
    def propose_batch(self, space: SearchSpace, history: History, rngs: Sequence[np.random.Generator]) -> Any:
        found = unseen(space, history, rngs[0])
        return [] if found is None else [found, found]


class CountsItsBatches(BrokenBatches):
    calls = 0

    def propose_batch(self, space: SearchSpace, history: History, rngs: Sequence[np.random.Generator]) -> Any:
        type(self).calls += 1
        found = unseen(space, history, np.random.default_rng(self.calls))
        return [] if found is None else [found]


class BatchesWhatWasTried(BrokenBatches):
    def propose_batch(self, space: SearchSpace, history: History, rngs: Sequence[np.random.Generator]) -> Any:
        return [trial.architecture for trial in history[:1]]


class StopsHalfWay(Broken):
    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Any:
        return unseen(space, history, rng) if len(history) <= space.size // 2 else None


@dataclass(frozen=True)
class Climbs(Broken):
    """Mutates a trial that ``pick`` chooses; the strategies that misread the history differ in ``pick``."""

    pick: Callable[[History], Any] = field(repr=False)

    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Any:
        parent = self.pick(history)
        if parent is None or space.size == 1:
            return unseen(space, history, rng)
        return unseen(space, history, rng, lambda: space.mutate(parent.architecture, rng))


def ranks_failed(history: History) -> Any:
    return max(history.finished, key=lambda trial: trial.metrics.get("value", 0.0), default=None)


def needs_metrics(history: History) -> Any:
    return max(history.finished, key=lambda trial: trial.metrics["value"], default=None)


def maximises_anything(history: History) -> Any:
    return max(history.completed, key=lambda trial: trial.metrics["value"], default=None)


def needs_a_feasible_trial(history: History) -> Any:
    best: Any = history.best
    return history[best.id] if history.n_completed else None


class KeepsInactiveChoices(Broken):
    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Any:
        found = unseen(space, history, rng)
        return found and Architecture({**{choice.label: choice.options[0] for choice in space.choices}, **found})


class IgnoresTheConstraint(Broken):
    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Any:
        return unseen(SearchSpace(space.choices), history, rng)


class WritesMetrics(Broken):
    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Any:
        for trial in history.completed:
            trial.metrics["seen"] = 1.0  # type: ignore[index]
        return unseen(space, history, rng)


class CachesByLength(Broken):
    """Keeps the best trial under the history's length, whichever history it is."""

    def __init__(self) -> None:
        self._best: dict[int, Any] = {}

    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Any:
        best = self._best.setdefault(len(history), history.best)
        if best is None or best.architecture not in space:
            return unseen(space, history, rng)
        return unseen(space, history, rng, lambda: space.mutate(best.architecture, rng))


class SaysItProposesAhead(Broken):
    """Proposes by how many trials have ended."""

    def proposes_ahead(self) -> bool:
        return True

    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Any:
        rng = np.random.default_rng([len(history), history.n_finished])
        return unseen(space, history, rng)


class RefusesSilently(Broken):
    def check(self, space: SearchSpace, objectives: Sequence[Objective]) -> None:
        if len(objectives) > 1:
            raise ValueError


class RefusesByAssertion(Broken):
    def check(self, space: SearchSpace, objectives: Sequence[Objective]) -> None:
        assert len(objectives) == 1, "one objective"


class RefusesTooLate(Broken):
    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Any:
        if len(history.objectives) > 1:
            raise ValueError("one objective only")
        return unseen(space, history, rng)


class RefusesEverything(Broken):
    def check(self, space: SearchSpace, objectives: Sequence[Objective]) -> None:
        raise ValueError("not today")


BROKEN: list[tuple[Check, Callable[[], Strategy], str]] = [
    (testing.check_proposals, ReturnsDictionaries, "must be an Architecture"),
    (testing.check_proposals, InventsOptions, "must be in the space"),
    (testing.check_proposals, ProposesNothing, "must propose something"),
    (testing.check_proposals, RepeatsItself, "must be new"),
    (testing.check_proposals, RefusesEverything, "refuses"),
    (testing.check_determinism, UsesGlobalRandomness, "The same seed"),
    (testing.check_determinism, ShowsItsAddress, "repr must show"),
    (testing.check_seeds_differ, IgnoresTheSeed, "Other seeds"),
    (testing.check_resume, CountsItsCalls, "function of the history"),
    (testing.check_running_trials, IgnoresRunningTrials, r"must be new.*\(running\)"),
    (testing.check_ends, NeverEnds, "must be new"),
    (testing.check_ends, ComesBackAfterTheEnd, "must end with None"),
    (testing.check_ends, ProposesNothing, "must propose something"),
    (testing.check_covers_space, StopsHalfWay, "must go on"),
    (testing.check_failed_trials, lambda: Climbs(ranks_failed), "must not be regarded"),
    (testing.check_failed_trials, lambda: Climbs(needs_metrics), "KeyError"),
    (testing.check_nested_spaces, KeepsInactiveChoices, "must be canonical"),
    (testing.check_constrained_spaces, IgnoresTheConstraint, "must satisfy"),
    (testing.check_symmetries, IgnoresTheConstraint, "representative of its class"),
    (testing.check_measured_constraints, lambda: Climbs(needs_a_feasible_trial), "must not raise"),
    (testing.check_read_only, WritesMetrics, "must only read"),
    (testing.check_shared_state, CachesByLength, "must not affect each other"),
    (testing.check_proposes_ahead, SaysItProposesAhead, "says that it proposes ahead"),
    (testing.check_objectives, lambda: Climbs(maximises_anything), "To minimise"),
    (testing.check_objectives, RefusesSilently, "must say what"),
    (testing.check_batches, RepeatsWithinABatch, "each once"),
    (testing.check_batches, CountsItsBatches, "function of the history"),
    (testing.check_batches, BatchesWhatWasTried, "must be new"),
    (testing.check_objectives, RefusesByAssertion, "by ValueError"),
    (testing.check_objectives, RefusesTooLate, "must not raise"),
]


@pytest.mark.parametrize(("check", "make", "message"), BROKEN)
def test_check_catches(check: Check, make: Callable[[], Strategy], message: str) -> None:
    with pytest.raises(AssertionError, match=f"(?s){message}"):
        check(make)


def test_every_check_is_known_to_catch_something() -> None:
    assert {check for check, _, _ in BROKEN} == set(CHECKS)
    named = {getattr(testing, name) for name in dir(testing) if name.startswith("check_")}
    assert named - {check_strategy} == set(CHECKS)


def test_check_strategy_runs_every_check_but_the_skipped() -> None:
    with pytest.raises(AssertionError, match="Other seeds"):
        check_strategy(GridSearch, seeds=[0], max_trials=20)
    check_strategy(GridSearch, seeds=[0], max_trials=20, skip=[testing.check_seeds_differ])


def test_stopped_trials_are_part_of_the_check() -> None:
    outcomes = [
        conformance._mostly_failed(3, {}, trial)[0] for trial in Simulation(Broken(), testing.FLAT).run(9).history
    ]
    assert outcomes.count(TrialState.FAILED) == 1
    assert outcomes.count(TrialState.STOPPED) == 2
