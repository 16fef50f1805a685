"""What one proposal is after, where a search has several objectives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from scipy import special

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Objective
from autopanoptic.strategies.bayesian.acquisition import Improvement, OverBest, log_expected_improvement
from autopanoptic.strategies.bayesian.gaussian_process import Array, GaussianProcess

ALONE = 0.5
"""How often a proposal is after the modelled objective alone, where the other is a known cost."""
BEYOND = 0.1
"""By which share of their range the reference point lies beyond the dearest cost: the best value counts there, too."""


@dataclass(frozen=True)
class Aim:
    """How much each objective matters to a proposal.

    Attributes:
        weights: by which the model's targets rank, shape (objectives,); 0 for an objective that is not looked at.
        known: the objective that is a cost known before an evaluation, where the aim is the front with it.
    """

    weights: Array
    known: Objective | None = None

    @property
    def modelled(self) -> int:
        """The number of objectives that the model is of."""
        return int(np.count_nonzero(self.weights))

    def improvement(self, space: SearchSpace, history: History, process: GaussianProcess) -> Improvement:
        """Return what is won over the posterior means of what has been tried."""
        if self.known is None:
            return OverBest(float(process.mean(process.encoded).max()))
        return _over_front(space, history, process, self.known)


def aim_of(space: SearchSpace, history: History, rng: np.random.Generator) -> Aim:
    """Return what the next proposal is after.

    One objective is the aim by itself. Several get random weights, uniform on the simplex, as in ParEGO (Knowles 2006).
    Where one of two is a cost that is known before an evaluation, the model is of the other. Half of the proposals are
    after the front of both, by its hypervolume, half after the other alone: most of the hypervolume is won where little
    is spent, and the best values would get few trials.
    """
    count, known = len(history.objectives), known_cost(space, history)
    if known is None:
        return Aim(rng.dirichlet(np.ones(count)) if count > 1 else np.ones(1))
    weights = np.array([float(objective is not known) for objective in history.objectives])
    return Aim(weights, None if rng.random() < ALONE else known)


def known_cost(space: SearchSpace, history: History) -> Objective | None:
    """Return the one of two objectives that is known before an evaluation; None where there is no such pair."""
    known = [objective for objective in history.objectives if objective.name in space.costs]
    return known[0] if len(known) == 1 and len(history.objectives) == 2 else None


class OverFront:
    """The expected improvement of the hypervolume of a front of values and costs, where the costs are known.

    A value improves the front at its own cost and at all above, up to the next that is better. So with a cost that
    needs no model the expected hypervolume improvement (Emmerich, Deutz, Klinkenberg 2011, "Hypervolume-based expected
    improvement: monotonicity properties and exact computation") is a sum, over the front's steps, of the expected
    improvement over the step's value times the width of what is left of the step.

    The reference point has the least value and lies a tenth of the costs' range beyond the dearest. Dearer
    architectures count as the dearest, and cheaper ones win at most one more range.

    Args:
        values: of what has been tried, more is better, shape (n,); at least one.
        costs: theirs, less is better, shape (n,).
        cost: of an architecture; NaN where it cannot be worked out, which promises nothing.
    """

    def __init__(self, values: Array, costs: Array, cost: Callable[[Architecture], float]) -> None:
        self._cost = cost
        span = float(np.ptp(costs)) or float(abs(costs).max()) or 1.0
        order = np.lexsort((-values, costs))
        best = np.maximum.accumulate(values[order])
        front = order[np.append(True, best[1:] > best[:-1])]
        self._cheapest, self._dearest = float(costs.min()) - span, float(costs.max())
        self._starts = np.append(self._cheapest, costs[front])
        self._ends = np.append(costs[front], self._dearest + BEYOND * span)
        self._levels = np.append(values.min(), values[front])

    def __call__(self, mean: Array, sd: Array, architectures: Iterable[Architecture]) -> Array:
        """Return the improvement, of values times costs."""
        costs = np.fromiter(map(self._cost, architectures), np.float64, len(mean))
        known = ~np.isnan(costs)
        found = np.full(len(costs), -np.inf)
        found[known] = self._at(mean[known], sd[known], costs[known])
        return found

    def bound(self, mean: Array, sd: Array) -> Array:
        """Return the improvement at the least cost that counts."""
        return self._at(mean, sd, np.full(len(mean), self._cheapest))

    def _at(self, mean: Array, sd: Array, costs: Array) -> Array:
        within = np.clip(costs, self._cheapest, self._dearest)
        widths = np.maximum(self._ends - np.maximum(self._starts, within[:, None]), 0)
        gains = log_expected_improvement(mean[:, None], sd[:, None], self._levels)
        return np.asarray(special.logsumexp(gains, axis=1, b=widths))


def _over_front(space: SearchSpace, history: History, process: GaussianProcess, known: Objective) -> Improvement:
    kept = [trial for trial in history.completed if not history.violation(trial)] or history.completed

    def cost(architecture: Architecture) -> float:
        try:
            return -known.gain({known.name: space.costs[known.name](architecture)})
        except ValueError:
            return math.nan

    # The function's values, not the trials' metrics: an evaluator may have reported others by the name.
    spent = np.array([cost(trial.architecture) for trial in kept])
    means = process.mean(space.encode(trial.architecture for trial in kept))
    told = ~np.isnan(spent)
    return OverFront(means[told], spent[told], cost) if told.any() else OverBest(float(means.max()))
