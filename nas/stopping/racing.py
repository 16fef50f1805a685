"""Racing: a candidate is measured chunk by chunk, and dropped when it cannot be among the best any more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autopanoptic.nas.evaluation.evaluator import Metrics
from autopanoptic.nas.stopping.base import Stopper, require_one_objective
from autopanoptic.nas.strategy import HistoryMemo, require_count
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Objective
from autopanoptic.nas.trials.reports import Reports
from autopanoptic.nas.trials.trial import Trial, reports_of

BOUNDS = ("normal", "betting")
FRACTIONS = np.linspace(0.05, 0.95, 19)
ROUNDING = 1e-9
"""Beyond what sums of a few thousand scores in [0, 1] lose in double precision."""
SLACK = 1e-3
"""How far a chunk may lie outside its range, relative to it: more than running scores in single precision lose."""


@dataclass(frozen=True)
class Racing(Stopper):
    """Stops a candidate as soon as the upper confidence bound of its final score is below the ``top``-th best score.

    For evaluations that only measure, as those of a supernet's paths: the evaluator goes through the validation data in
    equal chunks and reports the score of all chunks so far under the objective's name. After each chunk the score that
    the candidate will have after ``steps`` is bounded from above, and compared with the ``top``-th best completed trial
    that breaks no constraint. While there are fewer than ``top`` of those, nothing is stopped. To race against the best
    is due to Maron and Moore 1994, "Hoeffding races".

    An architecture whose final score is, or ties with, one of the ``top`` best so far is stopped at any of its chunks
    with a probability of at most ``error``. That assumes that the score is the mean of the chunks' scores and that the
    chunks come in random order (shuffle the data set once), and, by ``bound``:

    - ``"normal"``: a chunk's scores are independent and normal. Student's t with the finite-population correction, the
      error divided over all looks: mean + t(m - 1, 1 - error / looks) * sd * sqrt((1 / m) (1 - m / n)) after m of n
      chunks. Means of many images are roughly normal. The bound errs more often than it says where a few chunks have
      far higher scores than the rest, and it stops a candidate whose scores do not vary at all.
    - ``"betting"``: a chunk's scores lie in [``low``, ``high``], and nothing else. Waudby-Smith and Ramdas 2024,
      "Estimating means of bounded random variables by betting", on sampling without replacement: the capital of a
      gambler who bets that the candidate falls short of the threshold exceeds 1 / error with a probability of at most
      ``error``, at any time, where it does not; 19 gamblers stake a fixed share of what they may and pool their
      capital. It is far tighter than the bounds of Hoeffding-Serfling and Bernstein-Serfling (Bardenet and Maillard
      2015), but needs dozens of chunks, and a range that is not much wider than the scores'.

    All candidates meet the chunks in the same order, so the errors of one search are not independent: an unlucky order
    hurts many. Panoptic quality, like any score that is no mean over images, satisfies the assumption approximately.

    Stopped trials are not ranked, and their scores are unknown to the strategy. What it loses is the order among the
    bad: a strategy that only looks at the best few, with as many of them as ``top`` or fewer, chooses as it would have
    without the rule, but for errors.

    Args:
        steps: the step with which an evaluation ends, in the unit of the reports; a multiple of the first report's.
        top: how many of the best trials a candidate races against.
        error: the probability with which one of the best may be stopped, above 0 and below 1.
        bound: ``"normal"`` or ``"betting"``.
        low: the lowest score that a chunk can have; for ``"betting"`` only.
        high: the highest score that a chunk can have; for ``"betting"`` only.
        min_chunks: chunks (reports) before a candidate may be stopped, from 2.

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
    _standings: HistoryMemo[_Standings] = field(default_factory=HistoryMemo, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require_count("Racing", "top", self.top)
        require_count("Racing", "min_chunks", self.min_chunks, low=2)
        require_count("Racing", "steps", self.steps, low=self.min_chunks + 1)
        if not isinstance(self.error, (int, float)) or not 0 < self.error < 1:
            raise ValueError(f"Racing needs error to be a number above 0 and below 1, not {self.error!r}.")
        if self.bound not in BOUNDS:
            raise ValueError(f"Racing has the bounds {' and '.join(BOUNDS)}, not {self.bound!r}.")
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

    def check(self, objectives: Sequence[Objective]) -> None:
        """Refuse several objectives: a trial that is beaten in one may be the best in another.

        Raises:
            ValueError: names them.
        """
        require_one_objective("Racing", objectives)

    def should_stop(self, history: History, trial: Trial, step: int, metrics: Metrics) -> bool:
        """Return whether the candidate's upper confidence bound is below the threshold.

        Raises:
            ValueError: when the reports lack the objective, are not after equal chunks, do not lead to ``steps``, or
                a chunk's score lies outside the range that was given.
        """
        standings = self._standings.get(history, "standings", _Standings)
        read = self._read(history, trial, standings)
        threshold, total, seen = self._threshold(history, standings), self.steps // read.size, len(read.reports)
        if threshold is None or not self.min_chunks <= seen < total:
            return False
        if self.bound == "normal":
            error = self.error / (total - self.min_chunks)
            return upper_bound(read.mean, read.squares / (seen - 1), seen, total, error) < threshold
        bet = self._bet(history.objectives[0], read, total, threshold)
        standings.running[trial.id] = read._replace(bet=bet)
        return bet.capital >= 1 / self.error

    def _threshold(self, history: History, standings: _Standings) -> float | None:
        """Return the gain of the ``top``-th best trial; None while there are fewer within the constraints."""
        seen, best = standings.completed
        if seen < history.n_completed:
            new = [history.gains(t)[0] for t in history.completed_since(seen) if not history.violation(t)]
            best = sorted([*best, *new], reverse=True)[: self.top]
            standings.completed = (history.n_completed, best)
        return best[-1] if len(best) == self.top else None

    def _read(self, history: History, trial: Trial, standings: _Standings) -> _Read:
        """Return what a trial's reports say, of which only those are read that have come since the last time."""
        reports, read = reports_of(trial.reports), standings.running.get(trial.id)
        if read is None or not reports.continues(read.reports):
            read = _Read(reports[0][0])
        for number, (step, metrics) in enumerate(reports[len(read.reports) :], len(read.reports) + 1):
            read = self._with(read, trial, history.objectives[0], number, step, metrics)
        standings.running[trial.id] = read = read._replace(reports=reports)
        standings.forget_ended(history)
        return read

    def _with(self, read: _Read, trial: Trial, objective: Objective, number: int, step: int, metrics: Metrics) -> _Read:
        if objective.name not in metrics:
            raise ValueError(
                f"Racing compares trials by {objective.name!r}, but trial {trial.id} reported only "
                f"{sorted(metrics)} at step {step}. Report the score of all chunks so far under that name."
            )
        self._check_step(read.size, number, step, trial)
        # The reports give the running means.
        total = objective.gain(metrics) * number
        chunk = total - read.total
        if self.bound == "betting":
            self._check_range(trial, chunk if objective.direction == "max" else -chunk)
        # Welford 1962, "Note on a method for calculating corrected sums of squares and products".
        mean = read.mean + (chunk - read.mean) / number
        squares = read.squares + (chunk - read.mean) * (chunk - mean)
        return read._replace(total=total, mean=mean, squares=squares)

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


class Bet(NamedTuple):
    """A bet that the mean of a population is below a value, as it stands after some of the population.

    Attributes:
        final: the value, in [0, 1].
        total: the size of the population.
        seen: how many of it have been seen.
        sum: their sum.
        growth: (19,) by what each gambler's capital has grown.
    """

    final: float
    total: int
    seen: int = 0
    sum: float = 0.0
    growth: NDArray[np.float64] = np.ones(len(FRACTIONS))

    def after(self, chunks: NDArray[np.float64]) -> Bet:
        """Return the bet after more chunks, in [0, 1]."""
        sums = self.sum + np.concatenate(([0.0], chunks.cumsum()))
        left = self.total - self.seen - np.arange(len(chunks))
        # The mean of the chunks to come, were it to be `final`; below 1, as the largest stake is 1 / (1 - ahead).
        ahead = np.minimum((self.total * self.final - sums[:-1]) / left, 1 - ROUNDING)
        growth = 1 + FRACTIONS[:, None] * (ahead - chunks) / (1 - ahead)
        return self._replace(
            seen=self.seen + len(chunks), sum=float(sums[-1]), growth=self.growth * growth.prod(axis=1)
        )

    @property
    def capital(self) -> float:
        """The gamblers' mean capital; infinity when the rest cannot bring the mean up to ``final``."""
        if self.sum + self.total - self.seen < self.total * self.final - ROUNDING:
            return math.inf
        return float(self.growth.mean())


class _Read(NamedTuple):
    """What has been read of one running trial: each of its reports once."""

    size: int
    reports: Reports = Reports()
    total: float = 0.0
    mean: float = 0.0
    squares: float = 0.0
    bet: Bet | None = None


class _Standings:
    """What has been read of a history."""

    def __init__(self) -> None:
        self.completed: tuple[int, list[float]] = (0, [])  # how many have been read, and the best of them
        self.running: dict[int, _Read] = {}

    def forget_ended(self, history: History) -> None:
        """Drop the trials that run no more, now and then."""
        running = history.running
        if len(self.running) > 2 * len(running) + 8:
            self.running = {t.id: self.running[t.id] for t in running if t.id in self.running}


def normal_upper_bound(chunks: NDArray[np.float64], total: int, error: float) -> float:
    """Return what the mean of a whole population exceeds with a probability of ``error``.

    Args:
        chunks: (m,) values drawn without replacement, at least 2; the population's are independent and normal.
        total: the size of the population.
        error: above 0 and below 1.
    """
    return upper_bound(float(chunks.mean()), float(chunks.var(ddof=1)), len(chunks), total, error)


def upper_bound(mean: float, variance: float, seen: int, total: int, error: float) -> float:
    """Return :func:`normal_upper_bound` of ``seen`` values of which the mean and the variance are known."""
    from scipy.special import stdtrit

    deviation = math.sqrt(max(variance, 0.0) / seen * (1 - seen / total))
    return float(mean + stdtrit(seen - 1, 1 - error) * deviation)


def betting_capital(chunks: NDArray[np.float64], total: int, final: float) -> float:
    """Return the capital, at first 1, of a gambler who bets that a population's mean is below ``final``.

    Where the mean is ``final`` or more it ever reaches c with a probability of at most 1 / c. It grows with ``final``.

    Args:
        chunks: (m,) values in [0, 1] in the order in which they were drawn without replacement.
        total: the size of the population.
        final: the mean that is in question.

    Returns:
        Infinity when the rest cannot bring the mean up to ``final``.
    """
    return Bet(final, total).after(chunks).capital


def _steps(trial: Trial) -> str:
    steps = [step for step, _ in trial.reports]
    return ", ".join(map(str, steps)) if len(steps) <= 8 else f"{', '.join(map(str, steps[:7]))}, ..., {steps[-1]}"
