"""Racing: a candidate is measured chunk by chunk, and dropped when it cannot be among the best any more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autopanoptic.nas.evaluation.evaluator import Metrics
from autopanoptic.nas.stopping.base import Stopper, missing_objective
from autopanoptic.nas.stopping.bounds import Bet, Scores
from autopanoptic.nas.stopping.rivals import Rivals
from autopanoptic.nas.strategy import HistoryMemo, require_count
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Objective
from autopanoptic.nas.trials.reports import Reports
from autopanoptic.nas.trials.trial import Trial, reports_of

BOUNDS = ("normal", "betting")
BY = ("non-domination", "objectives")
SLACK = 1e-3
"""How far a chunk may lie outside its range, relative to it: more than running scores in single precision lose."""


@dataclass(frozen=True)
class Racing(Stopper):
    """Stops a candidate as soon as ``top`` completed trials are better than the upper confidence bound of its score.

    For evaluations that only measure, as those of a supernet's paths: the evaluator goes through the validation data in
    equal chunks and reports the score of all chunks so far under the objective's name. After each chunk the score that
    the candidate will have after ``steps`` is bounded from above, and compared with the completed trials that break no
    constraint, its rivals. While there are fewer than ``top`` of those, nothing is stopped. To race against the best is
    due to Maron and Moore 1994, "Hoeffding races".

    With one objective a candidate belongs among the best when fewer than ``top`` rivals are better. With several it
    belongs there, by ``by``:

    - ``"non-domination"``: when fewer than ``top`` rivals dominate it; with ``top=1`` when none does, so that it is
      on the front of the trials so far. It is stopped when ``top`` rivals are at least as good as its bounds in
      everything, and better in something.
    - ``"objectives"``: when in at least one objective fewer than ``top`` rivals are better. It is stopped when in each
      objective ``top`` rivals are better than its bound. That saves more, and loses the middle of a front.

    An objective that is a cost of the search, such as FLOPs, is known exactly from the first report on, and need not be
    reported: a candidate is then stopped for trials that cost no more and whose measured score is significantly better.
    So is, with ``"normal"``, an objective that has had one value in all reports.

    An architecture that belongs among the best is stopped at any of its chunks with a probability of at most ``error``:
    a wrong stop means that the bound of a measured objective fails, so with several of those the error is divided
    among them. That assumes that the score is the mean of the chunks' scores and that the chunks come in random order
    (shuffle the data set once), and, by ``bound``:

    - ``"normal"``: a chunk's scores are independent and normal. Student's t with the finite-population correction, the
      error divided over all looks: mean + t(m - 1, 1 - error / looks) * sd * sqrt((1 / m) (1 - m / n)) after m of n
      chunks. Means of many images are roughly normal. The bound errs more often than it says where a few chunks have
      far higher scores than the rest, and it stops a candidate whose scores do not vary at all.
    - ``"betting"``: a chunk's scores lie in [``low``, ``high``], and nothing else. Waudby-Smith and Ramdas 2024,
      "Estimating means of bounded random variables by betting", on sampling without replacement: the capital of a
      gambler who bets that the candidate falls short of the threshold exceeds 1 / error with a probability of at most
      ``error``, at any time, where it does not; 19 gamblers stake a fixed share of what they may and pool their
      capital. It is far tighter than the bounds of Hoeffding-Serfling and Bernstein-Serfling (Bardenet and Maillard
      2015), but needs dozens of chunks, and a range that is not much wider than the scores'. It takes one measured
      objective; all others must be costs.

    All candidates meet the chunks in the same order, so the errors of one search are not independent: an unlucky order
    hurts many. Panoptic quality, like any score that is no mean over images, satisfies the assumption approximately.
    Rivals' scores count as they were measured on all chunks, without an error of their own.

    Stopped trials are not ranked, and their scores are unknown to the strategy. What it loses is the order among the
    bad: a strategy that only looks at the best few, with as many of them as ``top`` or fewer, chooses as it would have
    without the rule, but for errors.

    Args:
        steps: the step with which an evaluation ends, in the unit of the reports; a multiple of the first report's.
        top: how many rivals must be better.
        error: the probability with which one of the best may be stopped, above 0 and below 1.
        bound: ``"normal"`` or ``"betting"``.
        low: the lowest score that a chunk can have; for ``"betting"`` only.
        high: the highest score that a chunk can have; for ``"betting"`` only.
        min_chunks: chunks (reports) before a candidate may be stopped, from 2.
        by: with several objectives, ``"non-domination"`` or ``"objectives"``.

    Raises:
        ValueError: for parameters that make no sense or do not fit together.
    """

    steps: int
    top: int = 10
    error: float = 0.05
    bound: str = "normal"
    low: float | None = None
    high: float | None = None
    min_chunks: int = 5
    by: str = "non-domination"
    _standings: HistoryMemo[_Standings] = field(default_factory=HistoryMemo, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require_count("Racing", "top", self.top)
        require_count("Racing", "min_chunks", self.min_chunks, low=2)
        require_count("Racing", "steps", self.steps, low=self.min_chunks + 1)
        if not isinstance(self.error, (int, float)) or not 0 < self.error < 1:
            raise ValueError(f"Racing needs error to be a number above 0 and below 1, not {self.error!r}.")
        if self.bound not in BOUNDS:
            raise ValueError(f"Racing has the bounds {' and '.join(BOUNDS)}, not {self.bound!r}.")
        if self.by not in BY:
            raise ValueError(f"Racing needs by to be {BY[0]!r} or {BY[1]!r}, not {self.by!r}.")
        if self.bound == "betting":
            self._range()
        elif self.low is not None or self.high is not None:
            raise ValueError('Racing regards low and high only with bound="betting"; leave them out.')

    def _range(self) -> tuple[float, float]:
        low, high = self.low, self.high
        if low is None or high is None or not -math.inf < low < high < math.inf:
            raise ValueError(
                f'Racing with bound="betting" needs the range of a chunk\'s score, such as low=0, high=100, not '
                f"low={low!r}, high={high!r}."
            )
        return low, high

    def should_stop(self, history: History, trial: Trial, step: int, metrics: Metrics) -> bool:
        """Return whether ``top`` rivals are better than the candidate's upper confidence bounds.

        Raises:
            ValueError: when the reports lack an objective that is no cost, are not after equal chunks, do not lead to
                ``steps``, a chunk's score lies outside the range that was given, or ``"betting"`` meets several
                measured objectives.
        """
        standings = self._standings.get(history, "standings", _Standings)
        read = self._read(history, trial, standings)
        rivals, total, seen = self._rivals(history, standings), self.steps // read.size, len(read.reports)
        if not self.min_chunks <= seen < total:
            return False
        if self.bound == "normal":
            bounds = self._upper_bounds(history, trial, read, total)
            return rivals.dominate(bounds) if self.by == "non-domination" else rivals.beat_in_each(bounds)
        index = next(index for index, scores in enumerate(read.measured) if scores is not None)
        costs = np.array([_cost(objective, trial) for objective in history.objectives])
        threshold = rivals.threshold(index, costs, in_each=self.by == "objectives")
        if threshold is None:
            return False
        bet = self._bet(history.objectives[index], read, total, threshold)
        standings.running[trial.id] = read._replace(bet=bet)
        return bet.capital >= 1 / self.error

    def _upper_bounds(self, history: History, trial: Trial, read: _Read, total: int) -> NDArray[np.float64]:
        varying = sum(scores is not None and not scores.constant for scores in read.measured)
        error = self.error / (total - self.min_chunks) / max(varying, 1)
        return np.array(
            [
                _cost(objective, trial) if scores is None else scores.upper_bound(len(read.reports), total, error)
                for objective, scores in zip(history.objectives, read.measured, strict=True)
            ]
        )

    def _rivals(self, history: History, standings: _Standings) -> Rivals:
        seen, rivals = standings.completed
        rivals = rivals or Rivals(self.top, len(history.objectives))
        if seen < history.n_completed:
            for trial in history.completed_since(seen):
                if not history.violation(trial):
                    rivals = rivals.joined_by(history.gains(trial))
            standings.completed = (history.n_completed, rivals)
        return rivals

    def _read(self, history: History, trial: Trial, standings: _Standings) -> _Read:
        """Return what a trial's reports say, of which only those are read that have come since the last time."""
        reports, read = reports_of(trial.reports), standings.running.get(trial.id)
        if read is None or not reports.continues(read.reports):
            read = self._first(history.objectives, trial, reports)
        for number, (step, metrics) in enumerate(reports[len(read.reports) :], len(read.reports) + 1):
            read = self._with(read, trial, history.objectives, number, step, metrics)
        standings.running[trial.id] = read = read._replace(reports=reports)
        standings.forget_ended(history)
        return read

    def _first(self, objectives: Sequence[Objective], trial: Trial, reports: Reports) -> _Read:
        step, metrics = reports[0]
        for objective in objectives:
            if objective.name not in metrics and objective.name not in trial.costs:
                raise missing_objective("Racing", objective.name, trial, step, metrics)
        names = [objective.name for objective in objectives if objective.name in metrics]
        if not names:
            raise ValueError(
                f"Racing needs an objective that is measured, but {[objective.name for objective in objectives]} are "
                "all costs, known before the evaluation. Search without it."
            )
        if self.bound == "betting" and len(names) > 1:
            raise ValueError(
                f'Racing with bound="betting" bounds one measured objective, but trial {trial.id} reported {names}. '
                "Give what is known before the evaluation to the search in costs= and do not report it, or use "
                'bound="normal".'
            )
        return _Read(step, measured=tuple(Scores() if o.name in metrics else None for o in objectives))

    def _with(
        self, read: _Read, trial: Trial, objectives: Sequence[Objective], number: int, step: int, metrics: Metrics
    ) -> _Read:
        self._check_step(read.size, number, step, trial)
        measured: list[Scores | None] = []
        for objective, scores in zip(objectives, read.measured, strict=True):
            if (scores is not None) != (objective.name in metrics):
                if objective.name not in metrics:
                    raise missing_objective("Racing", objective.name, trial, step, metrics)
                raise ValueError(
                    f"Racing needs {objective.name!r} in every report or in none; trial {trial.id} reported it at step "
                    f"{step}, but not before."
                )
            after = None if scores is None else scores.after(objective.gain(metrics), number)
            if after is not None and self.bound == "betting":
                self._check_range(trial, after.chunk if objective.direction == "max" else -after.chunk)
            measured.append(after)
        return read._replace(measured=tuple(measured))

    def _check_step(self, size: int, number: int, step: int, trial: Trial) -> None:
        if step != size * number or size < 1:
            raise ValueError(
                f"Racing needs a report after every chunk, all of one size, counted from 1; trial {trial.id} reported "
                f"after the steps {_steps(trial)}."
            )
        if self.steps % size or step > self.steps or self.steps // size <= self.min_chunks:
            raise ValueError(
                f"Racing with steps={self.steps} and min_chunks={self.min_chunks} needs more than {self.min_chunks} "
                f"equal chunks that end at step {self.steps}; trial {trial.id} reported after the steps "
                f"{_steps(trial)}. Let steps be the last one, or report more often."
            )

    def _bet(self, objective: Objective, read: _Read, total: int, threshold: float) -> Bet:
        """Return how the bet stands that the trial falls short of a threshold."""
        low, high = sorted(objective.gain({objective.name: end}) for end in self._range())
        final = (threshold - low) / (high - low)
        bet = read.bet if read.bet is not None and read.bet.final == final else Bet(final, total)
        means = [objective.gain(metrics) for _, metrics in read.reports[max(bet.seen - 1, 0) :]]
        sums = np.array(means) * np.arange(len(read.reports) - len(means) + 1, len(read.reports) + 1)
        chunks = np.diff(sums) if bet.seen else np.diff(sums, prepend=0.0)
        return bet.after(np.clip((chunks - low) / (high - low), 0, 1))

    def _check_range(self, trial: Trial, score: float) -> None:
        low, high = self._range()
        slack = SLACK * (high - low)
        if not low - slack <= score <= high + slack:
            raise ValueError(
                f"Racing was told that a chunk's score lies in [{low}, {high}], but trial {trial.id} has a chunk of "
                f'{score:g}. Widen the range, or use bound="normal" where the score is no mean over chunks.'
            )


def _cost(objective: Objective, trial: Trial) -> float:
    return objective.gain(trial.costs) if objective.name in trial.costs else math.nan


class _Read(NamedTuple):
    """What has been read of one running trial: each of its reports once."""

    size: int
    reports: Reports = Reports()
    measured: tuple[Scores | None, ...] = ()
    bet: Bet | None = None


class _Standings:
    """What has been read of a history."""

    def __init__(self) -> None:
        self.completed: tuple[int, Rivals | None] = (0, None)  # how many have been read, and what of them
        self.running: dict[int, _Read] = {}

    def forget_ended(self, history: History) -> None:
        """Drop the trials that run no more, now and then."""
        running = history.running
        if len(self.running) > 2 * len(running) + 8:
            self.running = {t.id: self.running[t.id] for t in running if t.id in self.running}


def _steps(trial: Trial) -> str:
    steps = [step for step, _ in trial.reports]
    return ", ".join(map(str, steps)) if len(steps) <= 8 else f"{', '.join(map(str, steps[:7]))}, ..., {steps[-1]}"
