"""Racing: a candidate is measured chunk by chunk, and dropped when it cannot be among the best any more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from autopanoptic.nas.evaluation.evaluator import Metrics
from autopanoptic.nas.stopping.base import Stopper
from autopanoptic.nas.strategy import HistoryMemo, require_count
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Objective
from autopanoptic.nas.trials.trial import Trial

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
    _thresholds: HistoryMemo[float | None] = field(default_factory=HistoryMemo, init=False, repr=False, compare=False)

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
        if len(objectives) > 1:
            names = [objective.name for objective in objectives]
            raise ValueError(
                f"Racing compares trials by one objective, not by {names}. Make one the objective and give the others "
                "as constraints, or search without it."
            )

    def should_stop(self, history: History, trial: Trial, step: int, metrics: Metrics) -> bool:
        """Return whether the candidate's upper confidence bound is below the threshold.

        Raises:
            ValueError: when the reports lack the objective, are not after equal chunks, do not lead to ``steps``, or
                a chunk's score lies outside the range that was given.
        """
        objective = history.objectives[0]
        chunks, total = self._chunks(trial, objective), self._total(trial)
        threshold = self._thresholds.get(history, history.n_completed, lambda: self._threshold(history))
        if threshold is None or not self.min_chunks <= len(chunks) < total:
            return False
        if self.bound == "normal":
            return normal_upper_bound(chunks, total, self.error / (total - self.min_chunks)) < threshold
        low, high = sorted(objective.gain({objective.name: end}) for end in self._range())
        scaled = np.clip((chunks - low) / (high - low), 0, 1)
        return betting_capital(scaled, total, (threshold - low) / (high - low)) >= 1 / self.error

    def _threshold(self, history: History) -> float | None:
        """Return the gain of the ``top``-th best trial; None while there are fewer within the constraints."""
        best = history.ranked()[: self.top]
        if len(best) < self.top or history.violation(best[-1]):
            return None
        return history.gains(best[-1])[0]

    def _total(self, trial: Trial) -> int:
        """Return the number of chunks of a whole evaluation."""
        steps = [step for step, _ in trial.reports]
        size = steps[0]
        if steps != [size * number for number in range(1, len(steps) + 1)] or size < 1:
            raise ValueError(
                f"Racing needs a report after every chunk, all of one size, counted from 1; trial {trial.id} reported "
                f"after the steps {_short(steps)}."
            )
        if self.steps % size or steps[-1] > self.steps or self.steps // size <= self.min_chunks:
            raise ValueError(
                f"Racing with steps={self.steps} and min_chunks={self.min_chunks} needs more than {self.min_chunks} "
                f"equal chunks that end at step {self.steps}; trial {trial.id} reported after the steps "
                f"{_short(steps)}. Let steps be the last one, or report more often."
            )
        return self.steps // size

    def _chunks(self, trial: Trial, objective: Objective) -> NDArray[np.float64]:
        """Return the gain of each chunk, of which the reports give the running means."""
        for step, metrics in trial.reports:
            if objective.name not in metrics:
                raise ValueError(
                    f"Racing compares trials by {objective.name!r}, but trial {trial.id} reported only "
                    f"{sorted(metrics)} at step {step}. Report the score of all chunks so far under that name."
                )
        means = np.array([objective.gain(metrics) for _, metrics in trial.reports])
        chunks = np.diff(means * np.arange(1, len(means) + 1), prepend=0.0)
        if self.bound == "betting":
            self._check_range(trial, chunks if objective.direction == "max" else -chunks)
        return chunks

    def _check_range(self, trial: Trial, scores: NDArray[np.float64]) -> None:
        low, high = self._range()
        slack = SLACK * (high - low)
        outside = scores[(scores < low - slack) | (scores > high + slack)]
        if len(outside):
            raise ValueError(
                f"Racing was told that a chunk's score lies in [{low}, {high}], but trial {trial.id} has a chunk of "
                f'{outside[0]:g}. Widen the range, or use bound="normal" where the score is no mean over chunks.'
            )


def normal_upper_bound(chunks: NDArray[np.float64], total: int, error: float) -> float:
    """Return what the mean of a whole population exceeds with a probability of ``error``.

    Args:
        chunks: (m,) values drawn without replacement, at least 2; the population's are independent and normal.
        total: the size of the population.
        error: above 0 and below 1.
    """
    from scipy.special import stdtrit

    seen = len(chunks)
    deviation = math.sqrt(chunks.var(ddof=1) / seen * (1 - seen / total))
    return float(chunks.mean() + stdtrit(seen - 1, 1 - error) * deviation)


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
    sums = np.concatenate(([0.0], chunks.cumsum()))
    if sums[-1] + total - len(chunks) < total * final - ROUNDING:
        return math.inf
    # The mean of the chunks to come, were it to be `final`; below 1, because the largest stake is 1 / (1 - ahead).
    ahead = np.minimum((total * final - sums[:-1]) / (total - np.arange(len(chunks))), 1 - ROUNDING)
    growth = 1 + FRACTIONS[:, None] * (ahead - chunks) / (1 - ahead)
    return float(growth.prod(axis=1).mean())


def _short(steps: Sequence[int]) -> str:
    return ", ".join(map(str, steps)) if len(steps) <= 8 else f"{', '.join(map(str, steps[:7]))}, ..., {steps[-1]}"
