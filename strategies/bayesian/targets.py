"""What the Gaussian process learns of the trials: their ranks, as normal scores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Objective
from autopanoptic.nas.trials.trial import Trial, TrialState
from autopanoptic.strategies.bayesian.gaussian_process import Array

AUGMENTATION = 0.05


def data_of(
    space: SearchSpace, history: History, trials: Sequence[Trial], weights: Array, most: int
) -> tuple[Array, Array]:
    """Return the encodings, shape (n, columns), and normal scores, shape (n,), of at most ``most`` trials."""
    targets = normal_scores(levels(history, trials, weights))
    rows = subset(targets, most)
    return space.encode(trials[row].architecture for row in rows), targets[rows]


def subset(targets: Array, most: int) -> NDArray[np.intp]:
    """Return the rows of the best ``most // 2`` targets and of as many others, evenly spread over the ranks."""
    if len(targets) <= most:
        return np.arange(len(targets))
    order = np.argsort(-targets, kind="stable")
    best, rest = order[: most // 2], order[most // 2 :]
    spread = np.linspace(0, len(rest) - 1, most - most // 2).round().astype(np.intp)
    return np.concatenate([best, rest[spread]])


def normal_scores(values: Array) -> Array:
    """Return the normal quantiles of the ranks, ``rank / (n + 1)``; equal values share their mean rank."""
    ranks = stats.rankdata(values)
    return np.asarray(special.ndtri(ranks / (len(ranks) + 1)))


def levels(history: History, trials: Sequence[Trial], weights: Array) -> Array:
    """Return a number for each completed or stopped trial by which it ranks, larger for better ones.

    Args:
        history: of the trials.
        trials: completed and stopped ones.
        weights: of the objectives, shape (objectives,). Where only one is not 0, a trial that was stopped ranks where
            it stood among the completed ones at the step where it was, see :func:`stood`; else as the worst. One whose
            last report breaks a constraint ranks by that, as completed ones do.
    """
    completed = [trial for trial in trials if trial.state is TrialState.COMPLETED]
    broken = {trial.id: history.violation(trial) for trial in completed}
    feasible = [trial for trial in completed if not broken[trial.id]]
    keys = {number: (0, -violation) for number, violation in broken.items()}
    utilities = dict(zip([trial.id for trial in feasible], _utilities(history, feasible, weights), strict=True))
    (places,) = np.nonzero(weights)
    if len(places) == 1:
        stopped = [trial for trial in trials if trial.state is TrialState.STOPPED]
        too_much = {trial.id: _broken_so_far(history, trial) for trial in stopped}
        keys |= {number: (0, -violation) for number, violation in too_much.items() if violation}
        kept = [trial for trial in stopped if not too_much[trial.id]]
        utilities |= stood(history.objectives[places[0]], kept, feasible)
    keys |= {number: (1, utility) for number, utility in utilities.items()}
    number_of = {key: number for number, key in enumerate(sorted(set(keys.values())))}
    return np.array([float(number_of[keys[trial.id]]) if trial.id in keys else 0.0 for trial in trials])


def _broken_so_far(history: History, trial: Trial) -> float:
    """Return by how much a stopped trial's costs and last report break the constraints that they tell of."""
    known = {**trial.costs, **(trial.reports[-1][1] if trial.reports else {})}
    return sum(bounds.violation(known[bounds.name]) for bounds in history.constraints if bounds.name in known)


def _utilities(history: History, trials: Sequence[Trial], weights: Array) -> list[float]:
    """Return the gain of trials, with several objectives minus the augmented Tchebycheff distance from the ideal."""
    gains = np.array([history.gains(trial) for trial in trials]).reshape(len(trials), len(weights))
    (places,) = np.nonzero(weights)
    if len(places) == 1 or not trials:
        return [float(gain) for gain in gains[:, places[0]]]
    span = np.ptp(gains, axis=0)
    losses = weights * (gains.max(0) - gains) / np.where(span > 0, span, 1)
    return [float(-value) for value in losses.max(1) + AUGMENTATION * losses.sum(1)]


def stood(objective: Objective, stopped: Sequence[Trial], completed: Sequence[Trial]) -> dict[int, float]:
    """Return what stopped trials would have won, by their ids, if they had kept their rank.

    Reports at different steps cannot be compared, and those on the way not with the value at the end. So each is given
    that quantile of the final values of the completed trials that reported at its last step which it had among their
    reports there; its last step is that of its last report with the objective. Trials without one, or where no other
    reported, are left out.

    Args:
        objective: which is compared.
        stopped: trials.
        completed: trials.
    """
    last = {
        trial.id: report
        for trial in stopped
        if (report := next((one for one in reversed(trial.reports) if objective.name in one[1]), None)) is not None
    }
    rivals: dict[int, list[tuple[float, float]]] = defaultdict(list)
    steps = {step for step, _ in last.values()}
    for trial in completed if steps else ():
        for step, metrics in trial.reports:
            if step in steps and objective.name in metrics:
                rivals[step].append((objective.gain(metrics), objective.gain(trial.metrics)))
    found = {}
    for number, (step, metrics) in last.items():
        if rivals[step]:
            there, final = np.array(rivals[step]).T
            found[number] = float(np.quantile(final, (there < objective.gain(metrics)).mean()))
    return found
