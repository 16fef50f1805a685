"""The search: it asks the strategy, runs the evaluator, and writes everything down."""

from __future__ import annotations

import logging
import operator
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np

from autopanoptic.nas.costs.table import Constraints, Cost, CostTable
from autopanoptic.nas.evaluation.evaluator import Evaluator, Metrics, evaluator_of
from autopanoptic.nas.evaluation.metrics import MissingObjectiveError, check_complete, checked
from autopanoptic.nas.executors.base import Executor, Outcome
from autopanoptic.nas.executors.inline import InlineExecutor
from autopanoptic.nas.results.result import Result
from autopanoptic.nas.search.interrupts import deferred_interrupt
from autopanoptic.nas.search.progress import search_progress
from autopanoptic.nas.space.architecture import Architecture, Option
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.stopping.base import Stopper
from autopanoptic.nas.storage.events import FORMAT, apply, check_header, end_of, replay
from autopanoptic.nas.storage.journal import Journal, JournalError
from autopanoptic.nas.strategy import Strategy, exhausted
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Objectives, objectives_of
from autopanoptic.nas.trials.trial import Trial, TrialState

PROPOSALS = 100
GIVE_UP_AFTER = 10

logger = logging.getLogger(__name__)


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
        constraints: (low, high) bounds on metrics, either may be None. Those on ``costs`` are checked before an
            evaluation; those on other metrics after it: a trial that breaks one is worse than any that breaks none.
        costs: functions of an architecture, called before it is evaluated and recorded among its metrics, where a
            metric of the evaluator with the same name takes their place.
        executor: runs the evaluator; in this process by default.
        journal: a file in which everything is written as it happens. Where it exists the search goes on from there:
            trials that were running are run again with the same id, and what follows is what an uninterrupted
            search would have done. Space, strategy, stopper, objectives, constraints, seed and initial architectures
            must be those of the journal; that the evaluator is the same is for the caller to see to.
        seed: trial n's randomness is ``numpy.random.default_rng([seed, n])``; a whole number from 0.
        ordered: whether results are told in the order of the trials, which makes a parallel search reproducible: it
            depends on the executor's capacity alone, and for strategies that wait for whole generations (random and
            grid search, :class:`Evolution`, :class:`PathPriority`) not even on that. Partial results are still seen
            as they come.
        stopper: may end a trial by its partial results.
        initial: architectures to try first.
        retries: how often a trial is run again after its worker died.

    Raises:
        TypeError: when the strategy, the evaluator or the stopper is none.
        ValueError: when the strategy or the stopper cannot do with this space or these objectives, or an initial
            architecture is not in the space or breaks a constraint.
        JournalError: when the journal is damaged or belongs to another search.
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
        if not isinstance(strategy, Strategy):
            raise TypeError(
                f"A strategy is an object that derives from Strategy, such as Evolution(), not {strategy!r}."
            )
        if not isinstance(stopper, (Stopper, NoneType)):
            raise TypeError(
                f"A stopper is an object that derives from Stopper, such as SuccessiveHalving(), not {stopper!r}."
            )
        self.objectives = objectives_of(objectives)
        self.costs = CostTable(costs or {}, constraints or ())
        self.space = self.costs.constrained(space)
        self.strategy = strategy
        self.evaluator = evaluator_of(evaluator, self.objectives[0].name)
        self.executor: Executor = InlineExecutor() if executor is None else executor
        self.seed = _whole("seed", seed)
        self.ordered = ordered
        self.stopper = stopper
        self.initial = self._initial(initial)
        self.retries = _whole("retries", retries)
        self.history = History(self.objectives, self.costs.constraints)
        strategy.check(self.space, self.objectives)
        if stopper is not None:
            stopper.check(self.objectives)
        self.journal = Journal(journal) if isinstance(journal, (str, Path)) else journal
        events = [] if self.journal is None else self.journal.events
        if self.journal is not None and events:
            check_header(self.journal.path, events[0], self._header())
            replay(self.history, events, self.space)
        self._deaths = Counter(event["trial"] for event in events if event["event"] == "died")
        self._again = [trial.id for trial in self.history.running]
        self._ended = end_of(events)
        self._rule_problems: dict[int, Exception] = {}

    def _initial(self, architectures: Iterable[Mapping[str, Option]]) -> list[Architecture]:
        found = list(dict.fromkeys(self.space.canonical(values) for values in architectures))
        for architecture in found:
            if not self.space.accepts(architecture):
                assert self.space.constraint is not None
                why = self.costs.refusal(architecture) or f"it breaks {self.space.constraint.description}"
                raise ValueError(f"The initial architecture {architecture.id} is refused: {why}.")
        return found

    def _header(self) -> dict[str, Any]:
        return {
            "event": "search",
            "format": FORMAT,
            "space": self.space.to_json(),
            "strategy": repr(self.strategy),
            "objectives": {objective.name: objective.direction for objective in self.objectives},
            "constraints": self.costs.to_json(),
            "seed": self.seed,
            "initial": [architecture.to_json() for architecture in self.initial],
            "stopper": repr(self.stopper),
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
        """Write an event down and bring the history up to date; Ctrl-C must not come in between."""
        event = {"event": kind, **values}
        with deferred_interrupt():
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
            trial = self._record("restarted", trial=self._again[0])
            self._again.pop(0)
            return trial
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
            f"before or breaks a constraint, after {number} trials of a space of {self.space.counted}. "
            "A strategy returns None when it has nothing new."
        )

    def tell(
        self, trial: Trial, metrics: Metrics | None = None, error: str | None = None, *, seconds: float = 0.0
    ) -> Trial:
        """Write down the result of a running trial, and return the trial as it ended.

        Metrics that are not finite numbers fail the trial; so does a cost that cannot be worked out.

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
            found = {**self._costs_of(trial), **checked(metrics)}
            check_complete(found, self.objectives, self.costs.constraints)
        except MissingObjectiveError as problem:
            self._end("failed", trial.id, error=str(problem), seconds=seconds)
            raise SearchError(str(problem)) from problem
        except ValueError as problem:
            return self._end("failed", trial.id, error=str(problem), seconds=seconds)
        return self._end("completed", trial.id, metrics=found, seconds=seconds)

    def _costs_of(self, trial: Trial) -> dict[str, float]:
        try:
            return self.costs.of(trial.architecture)
        except Exception as problem:
            raise ValueError(f"A cost could not be worked out.\n{traceback.format_exc()}") from problem

    def _end(self, kind: str, trial_id: int, **values: Any) -> Trial:
        trial = self._record(kind, trial=trial_id, **values)
        assert trial is not None
        return trial

    def run(self, trials: int | None = None, seconds: float | None = None, *, progress: bool | None = None) -> Result:
        """Search until there are so many trials, so much time has passed, or the strategy is at its end.

        Ctrl-C ends it at once; with a journal, the same search made again goes on. When the strategy ends the search
        before ``trials``, as where every architecture has been tried, a warning is logged; so is what the strategy has
        to say of so many trials (:meth:`Strategy.advise`). :attr:`Result.ended` says why a search ended.

        Args:
            trials: how many in all, those of an earlier run from the journal included; None for no limit.
            seconds: after this long no trial is begun; None for no limit.
            progress: whether to show a bar; by default where standard error is a terminal.

        Raises:
            SearchError: when all of the first 10 trials (or all there are) failed, with the first error, or when the
                stopping rule raises an exception.
            JournalError: when another search uses the journal, or it cannot be written.
        """
        if self.evaluator is None:
            raise ValueError("run() needs an evaluator; this search was made without one, for ask() and tell().")
        deadline = None if seconds is None else time.monotonic() + seconds
        show = sys.stderr.isatty() if progress is None else progress
        advice = None if trials is None else self.strategy.advise(self.space, trials)
        if advice is not None:
            logger.warning("%s", advice)
        self._ended = None
        try:
            self.executor.start(self.evaluator, self._on_report)
            with search_progress(show, trials, self.history) as update:
                self._finish(self._loop(trials, deadline, update))
        except KeyboardInterrupt:
            with suppress(JournalError):
                self._record("interrupted")
            raise
        finally:
            self.executor.stop()
            self._again = [trial.id for trial in self.history.running]
            self.close()
        self._check_some_completed(len(self.history))
        if self._ended == "strategy" and trials is not None:
            self._say_why_early(trials)
        return self.result()

    def _finish(self, reason: str) -> None:
        self._ended = reason
        # A search that had ended already leaves its journal as it is.
        if self.journal is not None and end_of(self.journal.events) != reason:
            self._record("ended", reason=reason)

    def _say_why_early(self, trials: int) -> None:
        everything = exhausted(self.space, self.history)
        why = "every architecture of the space has been tried" if everything else "the strategy proposes nothing more"
        logger.warning("The search ended after %d of %d trials: %s.", len(self.history), trials, why)

    def _loop(self, trials: int | None, deadline: float | None, update: Callable[[], None]) -> str:
        """Run trials, and return why no more are begun."""
        under_way: set[int] = set()
        arrived: dict[int, Outcome] = {}
        while True:
            reason = self._submit(under_way, trials, deadline)
            if not under_way:
                return reason
            # One at a time, so that in ordered mode a trial's proposal never depends on which worker was faster.
            ready = min(under_way) if self.ordered else next(iter(arrived), None)
            if ready in arrived:
                self._receive(arrived.pop(ready), under_way)
                update()
                continue
            outcome = self.executor.wait()
            if outcome is not None:
                arrived[outcome.trial_id] = outcome

    def _submit(self, under_way: set[int], trials: int | None, deadline: float | None) -> str:
        """Begin trials while there is room, and return why no more could be begun."""
        # A result that ordered mode holds back still occupies its place, for the same reason.
        while len(under_way) < self.executor.capacity:
            if trials is not None and len(self.history) >= trials and not self._again:
                return "trials"
            if deadline is not None and time.monotonic() >= deadline:
                return "seconds"
            trial = self.ask()
            if trial is None:
                return "strategy"
            self._begin(trial, under_way)
        return "room"

    def _begin(self, trial: Trial, under_way: set[int]) -> None:
        try:
            self._costs_of(trial)
        except ValueError as problem:
            self._end("failed", trial.id, error=str(problem))
            self._check_some_completed(GIVE_UP_AFTER)
            return
        under_way.add(trial.id)
        self.executor.submit(trial.id, trial.architecture)

    def _receive(self, outcome: Outcome, under_way: set[int]) -> None:
        trial = self.history[outcome.trial_id]
        if outcome.died:
            self._deaths[trial.id] += 1
            self._record("died", trial=trial.id, error=outcome.error)
            if self._deaths[trial.id] <= self.retries:
                self._record("restarted", trial=trial.id)
                self.executor.submit(trial.id, trial.architecture)
                return
        under_way.discard(trial.id)
        if trial.id in self._rule_problems:
            problem = self._rule_problems.pop(trial.id)
            self._end("failed", trial.id, error=f"{self.stopper!r}: {problem!r}", seconds=outcome.seconds)
            raise SearchError(f"The stopping rule {self.stopper!r} failed: {problem!r}") from problem
        if outcome.stopped:
            self._end("stopped", trial.id, seconds=outcome.seconds)
        else:
            self.tell(trial, outcome.metrics, outcome.error, seconds=outcome.seconds)
        self._check_some_completed(GIVE_UP_AFTER)

    def _check_some_completed(self, enough: int) -> None:
        if self.history.n_completed:
            return
        ended = self.history.finished
        if ended and len(ended) >= enough and all(trial.state is TrialState.FAILED for trial in ended):
            raise SearchError(f"All {len(ended)} trials failed. The first, trial {ended[0].id}:\n{ended[0].error}")

    def _on_report(self, trial_id: int, step: int, metrics: Metrics) -> bool:
        trial = self._record("reported", trial=trial_id, step=step, metrics=dict(metrics))
        assert trial is not None
        try:
            return self.stopper is not None and self.stopper.should_stop(self.history, trial, step, metrics)
        except Exception as problem:  # raised below, where it ends the search and not the evaluator's process
            self._rule_problems[trial_id] = problem
            return True

    def result(self) -> Result:
        """Return what has been found so far."""
        return Result(self.space, self.history, self._ended)


def _whole(name: str, value: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if number < 0:
        raise ValueError(f"{name} must be a whole number from 0, not {value!r}.")
    return number
