"""Asynchronous successive halving (ASHA) as a stopping rule."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from autopanoptic.nas.evaluation.evaluator import Metrics
from autopanoptic.nas.stopping.base import Stopper, require_one_objective
from autopanoptic.nas.strategy import HistoryMemo, require_count
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Objective
from autopanoptic.nas.trials.reports import Reports
from autopanoptic.nas.trials.trial import Trial, TrialState, reports_of

Rungs: TypeAlias = dict[int, list[float]]
"""For each rung the gains of the ended trials that reached it, in ascending order."""


class _Read(NamedTuple):
    """What has been read of one running trial: each of its reports once."""

    reports: Reports = Reports()
    step: int = 0
    gains: Mapping[int, float] = MappingProxyType({})


class _Standings:
    """What has been read of a history: each trial that has ended once, and of those that run what is new."""

    def __init__(self) -> None:
        self.ended = 0
        self.rungs: Rungs = {}
        self.running: dict[int, _Read] = {}
        self.interrupted = False


@dataclass(frozen=True)
class SuccessiveHalving(Stopper):
    """ASHA: at each rung of ``min_step * reduction**k`` steps only the best ``1 / reduction`` of the trials go on.

    Li et al. 2020, "A system for massively parallel hyperparameter tuning", algorithm 2. That algorithm pauses a trial
    at a rung and takes it up again when it is among the best there. A stopping rule cannot take a trial up again, so
    this is the form that ends it instead, as Optuna's ``SuccessiveHalvingPruner`` does. For the same reason there is no
    synchronous form: it holds all trials of a rung until the last has arrived.

    A trial's value at a rung is its first report at or after the rung's step, so a report that passes several rungs
    counts at each of them. Where n trials have a value at the rung at this moment, this one included, it goes on if
    fewer than ``max(1, n // reduction)`` of them are strictly better. The first trial therefore always goes on, while
    there are fewer than ``reduction`` only the best so far does, and trials that tie with the last that goes on go on
    too. Stopped, completed and running trials count; failed ones do not. A decision is never revised.

    Stopped trials are not ranked: a strategy learns from the few that complete. The rule needs no bound on noise and
    states none: a trial that starts slowly is lost.

    Args:
        min_step: steps before the first decision (r in the paper, with ``early_stopping_rate=0``).
        reduction: the reduction factor (eta in the paper).
        early_stopping_rate: how many of the first rungs are left out (s in the paper).
        max_step: the step with which an evaluation ends (R in the paper). Only rungs below it decide. Without it a rung
            may coincide with the last report and end a trial when all its work is done.
        metric: what the trials report in place of the search's objective; its direction is the objective's.

    Raises:
        ValueError: for counts that make no sense, or where no rung lies below ``max_step``.
    """

    min_step: int = 1
    reduction: int = 3
    early_stopping_rate: int = 0
    max_step: int | None = None
    metric: str | None = None
    _standings: HistoryMemo[_Standings] = field(default_factory=HistoryMemo, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require_count("SuccessiveHalving", "min_step", self.min_step)
        require_count("SuccessiveHalving", "reduction", self.reduction, low=2)
        require_count("SuccessiveHalving", "early_stopping_rate", self.early_stopping_rate, low=0)
        if self.max_step is None:
            return
        require_count("SuccessiveHalving", "max_step", self.max_step)
        first = self.min_step * self.reduction**self.early_stopping_rate
        if first >= self.max_step:
            raise ValueError(
                f"SuccessiveHalving never stops a trial: its first rung, step {first}, is not below max_step="
                f"{self.max_step}. Give a smaller min_step or early_stopping_rate."
            )

    def check(self, objectives: Sequence[Objective]) -> None:
        """Refuse several objectives: a trial that lags behind in one may be the best in another.

        Raises:
            ValueError: names them.
        """
        require_one_objective("SuccessiveHalving", objectives)

    def should_stop(self, history: History, trial: Trial, step: int, metrics: Metrics) -> bool:
        """Return whether the trial is not among the best at a rung that it reaches with this report.

        Raises:
            ValueError: when the report lacks the metric.
        """
        objective = self._objective(history)
        if objective.name not in metrics:
            raise ValueError(
                f"SuccessiveHalving compares trials by {objective.name!r}, but trial {trial.id} reported only "
                f"{sorted(metrics)} at step {step}. Report {objective.name!r} each time, or name another with metric=."
            )
        before = self._read(history, trial, len(trial.reports) - 1).step
        self._read(history, trial)
        gain = objective.gain(metrics)
        return any(not self._goes_on(history, trial, rung, gain) for rung in self._rungs(before, step))

    def _objective(self, history: History) -> Objective:
        main = history.objectives[0]
        return main if self.metric is None else Objective(self.metric, main.direction)

    def _rungs(self, after: int, to: int) -> Iterator[int]:
        """Yield the rungs above one step and up to another."""
        rung = self.min_step * self.reduction**self.early_stopping_rate
        while rung <= to and (self.max_step is None or rung < self.max_step):
            if rung > after:
                yield rung
            rung *= self.reduction

    def _goes_on(self, history: History, trial: Trial, rung: int, gain: float) -> bool:
        ended = self._gains_of_ended(history).get(rung, [])
        reached = [self._read(history, other).gains for other in history.running if other.id != trial.id]
        running = [gains[rung] for gains in reached if rung in gains]
        better = len(ended) - bisect_right(ended, gain) + sum(other > gain for other in running)
        count = len(ended) + len(running) + 1
        return better < max(1, count // self.reduction)

    def _read(self, history: History, trial: Trial, end: int | None = None) -> _Read:
        """Return what a trial's reports (the first ``end``, or all) say; where it runs, only what is new is read."""
        known = self._standings.get(history, "standings", _Standings).running
        reports, read = reports_of(trial.reports), known.get(trial.id, _Read())
        end = len(reports) if end is None else end
        if not (reports.continues(read.reports) and len(read.reports) <= end):
            read = _Read()  # the trial has been run again since, or more has been read
        objective, reached, gains = self._objective(history), read.step, dict[int, float]()
        for step, metrics in reports[len(read.reports) : end]:
            if step > reached and objective.name in metrics:
                gains.update(dict.fromkeys(self._rungs(reached, step), objective.gain(metrics)))
                reached = step
        found = _Read(reports, reached, {**read.gains, **gains} if gains else read.gains)
        if end == len(reports):
            known[trial.id] = found
        return found

    def _gains_of_ended(self, history: History) -> Rungs:
        """Return what the ended trials reported; each is read once, because it does not change any more."""
        kept = self._standings.get(history, "standings", _Standings)
        if kept.interrupted:  # Ctrl-C came while trials were entered
            kept.ended, kept.rungs = 0, {}
        kept.interrupted = True
        for trial in history.finished_since(kept.ended):
            if trial.state is not TrialState.FAILED:
                for rung, gain in self._read(history, trial).gains.items():
                    insort(kept.rungs.setdefault(rung, []), gain)
            kept.running.pop(trial.id, None)
        kept.ended = history.n_finished
        kept.interrupted = False
        return kept.rungs
