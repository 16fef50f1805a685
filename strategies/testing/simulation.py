"""A search in small: plays trials against a strategy, holds it to the contract, and logs all, to be played again."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.strategy import Strategy
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Constraint, Objective
from autopanoptic.nas.trials.trial import Trial, TrialState

VALUE = (Objective("value"),)

Outcome: TypeAlias = tuple[TrialState, Mapping[str, float]]


def score(architecture: Architecture) -> float:
    """Return a value to which every option adds an amount of its own, so that a strategy has something to learn."""
    return math.fsum(math.sin(sum(map(ord, f"{label} {option}"))) for label, option in architecture.items())


def completed(trial: Trial) -> Outcome:
    """Complete a trial with two metrics, ``value`` and ``cost``."""
    return TrialState.COMPLETED, {"value": score(trial.architecture), "cost": float(len(trial.architecture))}


@dataclass
class Simulation:
    """One search.

    Raises AssertionError as soon as the strategy refuses the search, raises an error, or proposes what it must not.

    Args:
        strategy: who proposes.
        space: where.
        seed: trial n is proposed with ``default_rng([seed, n])``; the order in which trials end depends on it too.
        objectives: what the history ranks by.
        outcome: how a trial ends.
        workers: trials that run at the same time.
        constraints: bounds on metrics that are known after a trial.

    Attributes:
        history: the trials so far.
        events: every trial as it was asked for and as it ended, in order; a copy of the history can be made of them.
        calls: for each call of ``propose``, the number of events before it and what it returned.
        ended: whether the strategy has ended the search.
    """

    strategy: Strategy
    space: SearchSpace
    seed: int = 0
    objectives: Sequence[Objective] = VALUE
    outcome: Callable[[Trial], Outcome] = completed
    workers: int = 1
    constraints: Sequence[Constraint] = ()
    history: History = field(init=False)
    events: list[Trial] = field(init=False, default_factory=list)
    calls: list[tuple[int, Architecture | None]] = field(init=False, default_factory=list)
    ended: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        try:
            self.strategy.check(self.space, self.objectives)
        except Exception as error:
            names = [objective.name for objective in self.objectives]
            raise AssertionError(
                f"{self.strategy!r} refuses {self.space!r} with objectives {names}: {error}"
            ) from error
        self.history = History(self.objectives, self.constraints)
        self._order = np.random.default_rng([self.seed, 2**31])

    def run(self, trials: int) -> Simulation:
        """Go on until there are that many trials, all of them ended, or the strategy ends the search."""
        while not self.ended and (len(self.history) < trials or self.history.running):
            self.step(trials)
        return self

    def step(self, trials: int) -> None:
        """Ask for a trial where a worker is free, else end one."""
        running = self.history.running
        if len(running) < self.workers and len(self.history) < trials:
            proposed = self.ask()
            self.ended = proposed is None and not running
            if proposed is not None or self.ended:
                return
        self.end(running[self._order.integers(len(running))])

    def ask(self) -> Architecture | None:
        """Ask the strategy for the next trial and start it."""
        proposed = propose(self.strategy, self.space, self.history, self.seed)
        self.calls.append((len(self.events), proposed))
        if proposed is not None:
            require_valid(proposed, self.space, self.history)
            self.start(proposed)
        return proposed

    def start(self, architecture: Architecture) -> None:
        """Start the next trial, as the first ones that a user gives are."""
        self._record(Trial(len(self.history), architecture))

    def end(self, trial: Trial) -> None:
        """End a running trial."""
        state, metrics = self.outcome(trial)
        self._record(Trial(trial.id, trial.architecture, state, metrics))

    def _record(self, trial: Trial) -> None:
        apply(self.history, trial)
        self.events.append(trial)

    @property
    def architectures(self) -> list[Architecture]:
        """The architectures in the order in which they were proposed."""
        return [trial.architecture for trial in self.history]


def propose(strategy: Strategy, space: SearchSpace, history: History, seed: int) -> Architecture | None:
    """Ask a strategy for the next trial of a history, with that trial's generator.

    Raises:
        AssertionError: when the strategy raises anything.
    """
    try:
        return strategy.propose(space, history, np.random.default_rng([seed, len(history)]))
    except Exception as error:
        states = Counter(trial.state.value for trial in history)
        raise AssertionError(
            f"propose must not raise: {strategy!r} raised {error!r} in {space!r} after {len(history)} trials "
            f"({dict(states)})."
        ) from error


def require_valid(proposed: object, space: SearchSpace, history: History) -> None:
    """Hold a proposal to the contract.

    Raises:
        AssertionError: names the rule that it breaks.
    """
    about = f"trial {len(history)} proposes {proposed!r}"
    if not isinstance(proposed, Architecture):
        raise AssertionError(f"A proposal must be an Architecture or None: {about}. SearchSpace.canonical makes one.")
    try:
        canonical = space.canonical(proposed)
    except ValueError as error:
        raise AssertionError(f"A proposal must be in the space: {about}. {error}") from error
    if canonical != proposed:
        raise AssertionError(
            "A proposal must be canonical, without inactive choices and the representative of its class: "
            f"{about} in place of {canonical!r}."
        )
    known = history.trial_of(proposed)
    if known is not None:
        raise AssertionError(f"A proposal must be new: {about}, as trial {known.id} ({known.state.value}) did.")
    if not space.accepts(proposed):
        raise AssertionError(f"A proposal must satisfy the space's constraint: {about}.")


def apply(history: History, trial: Trial) -> None:
    """Enter an event."""
    if trial.state is TrialState.RUNNING:
        history.add(trial)
    else:
        history.update(trial)


def replay(objectives: Sequence[Objective], events: Iterable[Trial], constraints: Sequence[Constraint] = ()) -> History:
    """Return the history that the events lead to."""
    history = History(objectives, constraints)
    for trial in events:
        apply(history, trial)
    return history
