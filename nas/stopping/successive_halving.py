"""Asynchronous successive halving (ASHA) as a stopping rule, also with several objectives."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from autopanoptic.nas.evaluation.evaluator import Metrics
from autopanoptic.nas.stopping.base import Stopper, known_at, missing_objective
from autopanoptic.nas.stopping.rungs import BY, SPREADS, Point, n_better
from autopanoptic.nas.strategy import HistoryMemo, require_count
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Objective
from autopanoptic.nas.trials.reports import Reports
from autopanoptic.nas.trials.trial import Trial, TrialState, reports_of

Rungs: TypeAlias = dict[int, list[Point]]
"""For each rung the points of the ended trials that reached it, in ascending order."""


class _Read(NamedTuple):
    """What has been read of one running trial: each of its reports once."""

    reports: Reports = Reports()
    step: int = 0
    points: Mapping[int, Point] = MappingProxyType({})


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

    With several objectives the trials at a rung are ranked by non-dominated sorting, as in MO-ASHA (Schmucker et al.
    2021, "Multi-objective asynchronous successive halving"), and within a front by an epsilon-net or by crowding
    distance (there "EpsNet" and "NSGA-II"); see ``by`` and ``spread``. An objective that is a cost of the search counts
    at every rung, whether it is reported or not; any other must be in every report. The paper seeds the net at random
    and measures distances in the objectives' units; here the best by the first objective is the seed, and each
    objective is divided by its range in the front. Trials with equal objectives share one place.

    A trial whose report holds a constrained metric that breaks its bounds is worse than any that breaks none, and among
    those the one is better that breaks them less. A constrained metric that is not reported is not regarded.

    Stopped trials are not ranked: a strategy learns from the few that complete. The rule needs no bound on noise and
    states none: a trial that starts slowly is lost.

    Args:
        min_step: steps before the first decision (r in the paper, with ``early_stopping_rate=0``).
        reduction: the reduction factor (eta in the paper).
        early_stopping_rate: how many of the first rungs are left out (s in the paper).
        max_step: the step with which an evaluation ends (R in the paper). Only rungs below it decide. Without it a rung
            may coincide with the last report and end a trial when all its work is done.
        metric: what the trials are compared by, in place of all objectives; one of these, or another metric that they
            report, whose direction is the first objective's.
        by: with several objectives, ``"non-domination"``, or ``"objectives"``: a trial goes on if it is among the best
            ``1 / reduction`` by at least one of them. That keeps the ends of a front and loses its middle.
        spread: which trials of one front go before others: ``"epsilon-net"`` or ``"crowding"``.

    Raises:
        ValueError: for parameters that make no sense, or where no rung lies below ``max_step``.
    """

    min_step: int = 1
    reduction: int = 3
    early_stopping_rate: int = 0
    max_step: int | None = None
    metric: str | None = None
    by: str = "non-domination"
    spread: str = "epsilon-net"
    _standings: HistoryMemo[_Standings] = field(default_factory=HistoryMemo, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require_count("SuccessiveHalving", "min_step", self.min_step)
        require_count("SuccessiveHalving", "reduction", self.reduction, low=2)
        require_count("SuccessiveHalving", "early_stopping_rate", self.early_stopping_rate, low=0)
        for name, value, known in (("by", self.by, BY), ("spread", self.spread, SPREADS)):
            if value not in known:
                raise ValueError(
                    f"SuccessiveHalving needs {name} to be {' or '.join(map(repr, known))}, not {value!r}."
                )
        if self.max_step is None:
            return
        require_count("SuccessiveHalving", "max_step", self.max_step)
        first = self.min_step * self.reduction**self.early_stopping_rate
        if first >= self.max_step:
            raise ValueError(
                f"SuccessiveHalving never stops a trial: its first rung, step {first}, is not below max_step="
                f"{self.max_step}. Give a smaller min_step or early_stopping_rate."
            )

    def should_stop(self, history: History, trial: Trial, step: int, metrics: Metrics) -> bool:
        """Return whether the trial is not among the best at a rung that it reaches with this report.

        Raises:
            ValueError: when the report lacks an objective that is no cost, or ``metric``.
        """
        known = known_at(trial, metrics)
        for objective in self._objectives(history):
            if objective.name not in known:
                raise missing_objective("SuccessiveHalving", objective.name, trial, step, metrics)
        before = self._read(history, trial, len(trial.reports) - 1).step
        self._read(history, trial)
        point = self._point(history, known)
        return any(not self._goes_on(history, trial, rung, point) for rung in self._rungs(before, step))

    def _objectives(self, history: History) -> tuple[Objective, ...]:
        if self.metric is None:
            return history.objectives
        same = [objective for objective in history.objectives if objective.name == self.metric]
        return (same[0] if same else Objective(self.metric, history.objectives[0].direction),)

    def _point(self, history: History, known: Metrics) -> Point:
        broken = [c.violation(known[c.name]) for c in history.constraints if c.name in known]
        return (-sum(broken), *(objective.gain(known) for objective in self._objectives(history)))

    def _rungs(self, after: int, to: int) -> Iterator[int]:
        """Yield the rungs above one step and up to another."""
        rung = self.min_step * self.reduction**self.early_stopping_rate
        while rung <= to and (self.max_step is None or rung < self.max_step):
            if rung > after:
                yield rung
            rung *= self.reduction

    def _goes_on(self, history: History, trial: Trial, rung: int, point: Point) -> bool:
        ended = self._points_of_ended(history).get(rung, [])
        reached = [self._read(history, other).points for other in history.running if other.id != trial.id]
        running = [points[rung] for points in reached if rung in points]
        count = len(ended) + len(running) + 1
        return n_better(ended, running, point, self.by, self.spread) < max(1, count // self.reduction)

    def _read(self, history: History, trial: Trial, end: int | None = None) -> _Read:
        """Return what a trial's reports (the first ``end``, or all) say; where it runs, only what is new is read."""
        known = self._standings.get(history, "standings", _Standings).running
        reports, read = reports_of(trial.reports), known.get(trial.id, _Read())
        end = len(reports) if end is None else end
        if not (reports.continues(read.reports) and len(read.reports) <= end):
            read = _Read()  # the trial has been run again since, or more has been read
        needed = {objective.name for objective in self._objectives(history)} - trial.costs.keys()
        reached, points = read.step, dict[int, Point]()
        for step, metrics in reports[len(read.reports) : end]:
            if step > reached and needed <= metrics.keys():
                for rung in self._rungs(reached, step):
                    points[rung] = self._point(history, known_at(trial, metrics))
                reached = step
        found = _Read(reports, reached, {**read.points, **points} if points else read.points)
        if end == len(reports):
            known[trial.id] = found
        return found

    def _points_of_ended(self, history: History) -> Rungs:
        """Return what the ended trials reported; each is read once, because it does not change any more."""
        kept = self._standings.get(history, "standings", _Standings)
        if kept.interrupted:  # Ctrl-C came while trials were entered
            kept.ended, kept.rungs = 0, {}
        kept.interrupted = True
        for trial in history.finished_since(kept.ended):
            if trial.state is not TrialState.FAILED:
                for rung, point in self._read(history, trial).points.items():
                    insort(kept.rungs.setdefault(rung, []), point)
            kept.running.pop(trial.id, None)
        kept.ended = history.n_finished
        kept.interrupted = False
        return kept.rungs
