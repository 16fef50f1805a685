"""The search: it asks the strategy, runs the evaluator, and writes everything down."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from autopanoptic.nas.architecture import Architecture, Option
from autopanoptic.nas.evaluator import Evaluator, FunctionEvaluator, Metrics
from autopanoptic.nas.executors.base import Executor, Outcome
from autopanoptic.nas.executors.inline import InlineExecutor
from autopanoptic.nas.history import History
from autopanoptic.nas.journal import Journal
from autopanoptic.nas.metrics import MissingObjectiveError, check_objectives, checked
from autopanoptic.nas.objective import Constraint, Objectives, objectives_of
from autopanoptic.nas.progress import search_progress
from autopanoptic.nas.replay import FORMAT, apply, check_header, replay
from autopanoptic.nas.result import Result
from autopanoptic.nas.space import SearchSpace
from autopanoptic.nas.stopping import Stopper
from autopanoptic.nas.trial import Trial, TrialState
from autopanoptic.strategies.base import Strategy

Constraints: TypeAlias = Mapping[str, tuple[float | None, float | None]] | Sequence[Constraint]
Cost: TypeAlias = Callable[[Architecture], float]
PROPOSALS = 100
GIVE_UP_AFTER = 10


class SearchError(RuntimeError):
    """The search cannot go on."""


class Search:
    """Looks for the best architectures of a space.

    Args:
        space: the search space.
        strategy: decides the next architecture.
        evaluator: turns an architecture into metrics: an :class:`Evaluator`, or any function of an architecture that
            returns a mapping of metrics or, with one objective, its value. None for use with :meth:`ask` and
            :meth:`tell` only.
        objectives: what is better: ``"accuracy"`` (maximised), or ``{"accuracy": "max", "latency_ms": "min"}``.
        constraints: (low, high) bounds on costs, either may be None; checked before any evaluation.
        costs: functions of an architecture, evaluated before it is and recorded among its metrics.
        executor: runs the evaluator; in this process by default.
        journal: a file in which everything is written as it happens. Where it exists the search goes on from there:
            trials that were running are run again with the same id, and what follows is what an uninterrupted
            search would have done.
        seed: trial n's randomness is ``numpy.random.default_rng([seed, n])``.
        ordered: whether results are told in the order of the trials, which makes a parallel search reproducible: it
            depends on the executor's capacity alone, and for strategies that wait for whole generations (random and
            grid search, :class:`Evolution`, :class:`PathPriority`) not even on that.
        stopper: may end a trial by its partial results.
        initial: architectures to try first.
        retries: how often a trial is run again after its worker died.

    Raises:
        ValueError: when the strategy cannot search this space or these objectives, a constraint has no cost, or an
            initial architecture is not in the space or breaks a constraint.
        JournalError: when the journal belongs to another search.
    """

    def __init__(
        self,
        space: SearchSpace,
        strategy: Strategy,
        evaluator: Evaluator | Callable[..., Metrics | float] | None = None,
        *,
        objectives: Objectives = "value",
        constraints: Constraints | None = None,
        costs: Mapping[str, Cost] | None = None,
        executor: Executor | None = None,
        journal: str | Path | Journal | None = None,
        seed: int = 0,
        ordered: bool = False,
        stopper: Stopper | None = None,
        initial: Iterable[Mapping[str, Option]] = (),
        retries: int = 2,
    ) -> None:
        self.objectives = objectives_of(objectives)
        self.constraints = _constraints_of(constraints or ())
        self.costs = dict(costs or {})
        self._known_costs: dict[Architecture, dict[str, float]] = {}
        self.space = self._constrained(space)
        self.strategy = strategy
        self.evaluator = _evaluator_of(evaluator, self.objectives[0].name)
        self.executor: Executor = InlineExecutor() if executor is None else executor
        self.seed = seed
        self.ordered = ordered
        self.stopper = stopper
        self.initial = self._initial(initial)
        self.retries = retries
        self.history = History(self.objectives)
        self._deaths: dict[int, int] = {}
        strategy.check(self.space, self.objectives)
        self.journal = Journal(journal) if isinstance(journal, (str, Path)) else journal
        if self.journal is not None and self.journal.events:
            check_header(self.journal.path, self.journal.events[0], self._header())
            replay(self.history, self.journal.events)
        self._again = [trial.id for trial in self.history.running]

    def _constrained(self, space: SearchSpace) -> SearchSpace:
        missing = [c.name for c in self.constraints if c.name not in self.costs]
        if missing:
            raise ValueError(
                f"The constraint on {missing[0]!r} needs a cost of that name; costs= has {sorted(self.costs)}."
            )
        if not self.constraints:
            return space
        return space.where(self._allows, " and ".join(map(str, self.constraints)))

    def _allows(self, architecture: Architecture) -> bool:
        return all(constraint.allows(self._cost(constraint.name, architecture)) for constraint in self.constraints)

    def _cost(self, name: str, architecture: Architecture) -> float:
        known = self._known_costs.setdefault(architecture, {})
        if name not in known:
            known[name] = checked({name: self.costs[name](architecture)})[name]
        return known[name]

    def _initial(self, architectures: Iterable[Mapping[str, Option]]) -> list[Architecture]:
        found = list(dict.fromkeys(self.space.canonical(values) for values in architectures))
        for architecture in found:
            if not self.space.accepts(architecture):
                costs = {c.name: self._cost(c.name, architecture) for c in self.constraints}
                raise ValueError(f"The initial architecture {architecture.id} with {costs} breaks a constraint.")
        return found

    def _header(self) -> dict[str, Any]:
        return {
            "event": "search",
            "format": FORMAT,
            "space": self.space.to_json(),
            "strategy": repr(self.strategy),
            "objectives": {objective.name: objective.direction for objective in self.objectives},
            "constraints": [str(constraint) for constraint in self.constraints],
            "seed": self.seed,
            "initial": [architecture.to_json() for architecture in self.initial],
        }

    def __enter__(self) -> Search:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the journal's lock back; needed only after :meth:`ask` and :meth:`tell`."""
        if self.journal is not None:
            self.journal.close()

    def _record(self, kind: str, **values: Any) -> Trial | None:
        event = {"event": kind, **values}
        if self.journal is not None:
            if not self.journal.events:
                self.journal.append(self._header())
            self.journal.append({**event, "time": round(time.time(), 3)})
        return apply(self.history, event)

    def ask(self) -> Trial | None:
        """Return the next trial to evaluate, and write it down as running.

        A trial that was running when the search was interrupted comes first, with its old id.

        Returns:
            None when the strategy waits for running trials, or, while none runs, when the search is at its end.

        Raises:
            SearchError: when the strategy proposes nothing new.
            InfeasibleError: when the constraints refuse nearly everything.
            ValueError: when the strategy proposes an architecture that is not in the space.
        """
        if self._again:
            trial = self.history[self._again.pop(0)]
            return self._record("restarted", trial=trial.id)
        number = len(self.history)
        architecture = self.initial[number] if number < len(self.initial) else self._propose(number)
        if architecture is None:
            return None
        return self._record("asked", trial=number, architecture=architecture.to_json())

    def _propose(self, number: int) -> Architecture | None:
        for attempt in range(PROPOSALS):
            rng = np.random.default_rng([self.seed, number, attempt] if attempt else [self.seed, number])
            proposal = self.strategy.propose(self.space, self.history, rng)
            if proposal is None:
                return None
            architecture = self.space.canonical(proposal)
            if architecture not in self.history and self.space.accepts(architecture):
                return architecture
        raise SearchError(
            f"{type(self.strategy).__name__} proposed {PROPOSALS} times in a row an architecture that was tried "
            f"before or breaks a constraint, after {number} trials of a space of {self.space.size:.4g}. "
            "A strategy returns None when it has nothing new."
        )

    def tell(
        self, trial: Trial, metrics: Metrics | None = None, error: str | None = None, *, seconds: float = 0.0
    ) -> Trial:
        """Write down the result of a running trial, and return the trial as it ended.

        Metrics that are not finite numbers fail the trial.

        Args:
            trial: what :meth:`ask` returned.
            metrics: what the evaluation gave.
            error: why it failed; instead of metrics.
            seconds: how long it took.

        Raises:
            SearchError: when the metrics lack an objective; the trial is written down as failed.
            ValueError: when the trial is not running, or both or neither of metrics and error are given.
        """
        if (metrics is None) == (error is None):
            raise ValueError("Tell either metrics or an error.")
        if trial.id >= len(self.history) or self.history[trial.id].state is not TrialState.RUNNING:
            raise ValueError(f"Trial {trial.id} is not running.")
        if metrics is None:
            return self._end("failed", trial.id, error=error, seconds=seconds)
        try:
            own = checked(metrics)
            costs = {name: self._cost(name, trial.architecture) for name in self.costs}
            check_objectives({**costs, **own}, self.objectives)
        except MissingObjectiveError as problem:
            self._end("failed", trial.id, error=str(problem), seconds=seconds)
            raise SearchError(str(problem)) from problem
        except ValueError as problem:
            return self._end("failed", trial.id, error=str(problem), seconds=seconds)
        return self._end("completed", trial.id, metrics={**costs, **own}, seconds=seconds)

    def _end(self, kind: str, trial_id: int, **values: Any) -> Trial:
        trial = self._record(kind, trial=trial_id, **values)
        assert trial is not None
        return trial

    def run(self, trials: int | None = None, seconds: float | None = None, *, progress: bool | None = None) -> Result:
        """Search until there are so many trials, so much time has passed, or the strategy is at its end.

        Ctrl-C ends it at once; with a journal, the same search made again goes on.

        Args:
            trials: how many in all, those of an earlier run from the journal included; None for no limit.
            seconds: after this long no trial is begun; None for no limit.
            progress: whether to show a bar; by default where standard error is a terminal.

        Raises:
            SearchError: when all of the first 10 trials (or all there are) failed; holds the first error.
        """
        if self.evaluator is None:
            raise ValueError("run() needs an evaluator; this search was made without one, for ask() and tell().")
        deadline = None if seconds is None else time.monotonic() + seconds
        show = sys.stderr.isatty() if progress is None else progress
        self.executor.start(self.evaluator, self._on_report)
        try:
            with search_progress(show, trials, self.history) as update:
                self._loop(trials, deadline, update)
        except KeyboardInterrupt:
            self._record("interrupted")
            raise
        finally:
            self.executor.stop()
            self._again = [trial.id for trial in self.history.running]
            self.close()
        self._check_some_completed(len(self.history))
        return self.result()

    def _loop(self, trials: int | None, deadline: float | None, update: Callable[[], None]) -> None:
        under_way: set[int] = set()
        arrived: dict[int, Outcome] = {}
        while True:
            self._submit(under_way, trials, deadline)
            if not under_way:
                return
            outcome = self.executor.wait()
            if outcome is None:
                continue
            arrived[outcome.trial_id] = outcome
            while arrived:
                ready = min(under_way) if self.ordered else next(iter(arrived))
                if ready not in arrived:
                    break
                self._receive(arrived.pop(ready), under_way)
                update()

    def _submit(self, under_way: set[int], trials: int | None, deadline: float | None) -> None:
        # A result that ordered mode holds back still occupies its place, so that what a trial is proposed from does
        # not depend on which worker was faster.
        while len(under_way) < self.executor.capacity:
            late = deadline is not None and time.monotonic() >= deadline
            enough = trials is not None and len(self.history) >= trials
            if late or (enough and not self._again):
                return
            trial = self.ask()
            if trial is None:
                return
            under_way.add(trial.id)
            self.executor.submit(trial.id, trial.architecture)

    def _receive(self, outcome: Outcome, under_way: set[int]) -> None:
        trial = self.history[outcome.trial_id]
        if outcome.died:
            self._deaths[trial.id] = self._deaths.get(trial.id, 0) + 1
            self._record("died", trial=trial.id, error=outcome.error)
            if self._deaths[trial.id] <= self.retries:
                self._record("restarted", trial=trial.id)
                self.executor.submit(trial.id, trial.architecture)
                return
        under_way.discard(trial.id)
        if outcome.stopped:
            self._end("stopped", trial.id, seconds=outcome.seconds)
        else:
            self.tell(trial, outcome.metrics, outcome.error, seconds=outcome.seconds)
        self._check_some_completed(GIVE_UP_AFTER)

    def _check_some_completed(self, enough: int) -> None:
        ended = self.history.finished
        if ended and len(ended) >= enough and all(trial.state is TrialState.FAILED for trial in ended):
            raise SearchError(f"All {len(ended)} trials failed. The first, trial {ended[0].id}:\n{ended[0].error}")

    def _on_report(self, trial_id: int, step: int, metrics: Metrics) -> bool:
        trial = self._record("reported", trial=trial_id, step=step, metrics=dict(metrics))
        assert trial is not None
        return self.stopper is not None and self.stopper.should_stop(self.history, trial, step, metrics)

    def result(self) -> Result:
        """Return what has been found so far."""
        return Result(self.space, self.history)


def _constraints_of(values: Constraints) -> tuple[Constraint, ...]:
    if isinstance(values, Mapping):
        return tuple(Constraint(name, low, high) for name, (low, high) in values.items())
    return tuple(values)


def _evaluator_of(value: Any, metric: str) -> Evaluator | None:
    if value is None or isinstance(value, Evaluator):
        return value
    return FunctionEvaluator(value, metric)
