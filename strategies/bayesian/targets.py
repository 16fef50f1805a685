"""What the Gaussian process learns of the trials: their ranks, as normal scores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.trials.history import History
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
        weights: of the objectives, shape (objectives,). A trial that was stopped ranks where it stood among the
            completed ones at the step where it was, see :func:`stood`; else as the worst. One whose last report breaks
            a constraint ranks by that, as completed ones do.
    """
    completed = [trial for trial in trials if trial.state is TrialState.COMPLETED]
    stopped = [trial for trial in trials if trial.state is TrialState.STOPPED]
    broken = {trial.id: history.violation(trial) for trial in completed}
    broken |= {trial.id: _broken_so_far(history, trial) for trial in stopped}
    feasible = [trial for trial in completed if not broken[trial.id]]
    keys: dict[int, tuple[float, ...]] = {number: (0, -much) for number, much in broken.items() if much}
    utilities = utilities_of(np.array([history.gains(trial) for trial in feasible]), weights)
    final = dict(zip([trial.id for trial in feasible], utilities, strict=True))
    keys |= {number: (1, utility, 0) for number, utility in final.items()}
    places = stood(history, weights, [trial for trial in stopped if not broken[trial.id]], final)
    keys |= {number: (1, *place) for number, place in places.items()}
    number_of = {key: number for number, key in enumerate(sorted(set(keys.values())))}
    return np.array([float(number_of[keys[trial.id]]) if trial.id in keys else 0.0 for trial in trials])


def _broken_so_far(history: History, trial: Trial) -> float:
    """Return by how much a stopped trial's costs and last report break the constraints that they tell of."""
    known = {**trial.costs, **(trial.reports[-1][1] if trial.reports else {})}
    return sum(bounds.violation(known[bounds.name]) for bounds in history.constraints if bounds.name in known)


def utilities_of(gains: Array, weights: Array) -> list[float]:
    """Return a number by which gains, shape (n, objectives), are compared with each other.

    The gain, with several weights that are not 0 minus the augmented Tchebycheff distance from the ideal.
    """
    (places,) = np.nonzero(weights)
    if not len(gains):
        return []
    if len(places) == 1:
        return [float(gain) for gain in gains[:, places[0]]]
    span = np.ptp(gains, axis=0)
    losses = weights * (gains.max(0) - gains) / np.where(span > 0, span, 1)
    return [float(-value) for value in losses.max(1) + AUGMENTATION * losses.sum(1)]


Place: TypeAlias = tuple[float, int, int, float]
"""The final utility of the completed trials that is a trial's, -1 where it is below all of them, its step, and its
utility there. Less is worse; utilities of different steps are only compared where the steps are equal."""


def stood(history: History, weights: Array, stopped: Sequence[Trial], final: Mapping[int, float]) -> dict[int, Place]:
    """Return by their ids where stopped trials would rank if they had kept the place that they had.

    Reports at different steps cannot be compared, and those on the way not with the value at the end. So each is given
    that quantile of the final utilities of the completed trials that reported at its last step which it had among their
    reports there; its last step is that of its last report with the objectives. Those that stood at one place rank by
    their reports, if these are of one step: one that came further is better. So what stood below all is worse than all.
    Trials without a report, or where no other reported, are left out.

    Args:
        history: of the trials.
        weights: of the objectives, shape (objectives,); only those count whose weight is not 0.
        stopped: trials.
        final: the utilities of completed trials at their ends, by their ids.
    """
    last = {trial.id: found[-1] for trial in stopped if (found := _reported(history, weights, trial))}
    there: dict[int, dict[int, Array]] = defaultdict(dict)
    for number, (step, gains) in last.items():
        there[step][number] = gains
    rivals: dict[int, dict[int, Array]] = defaultdict(dict)
    for number in final if there else ():
        for step, gains in _reported(history, weights, history[number]):
            rivals[step][number] = gains
    places: dict[int, Place] = {}
    for step in there.keys() & rivals.keys():
        ends = [final[number] for number in rivals[step]]
        places |= _places(step, there[step], list(rivals[step].values()), ends, weights)
    return places


def _reported(history: History, weights: Array, trial: Trial) -> list[tuple[int, Array]]:
    """Return the steps at which a trial reported all objectives that count, and its gains there; 0 for the others."""
    counting = [(place, history.objectives[place]) for place in np.flatnonzero(weights)]
    found = []
    for step, metrics in trial.reports:
        known = {**trial.costs, **metrics}
        if all(objective.name in known for _, objective in counting):
            gains = np.zeros(len(weights))
            for place, objective in counting:
                gains[place] = objective.gain(known)
            found.append((step, gains))
    return found


def _places(
    step: int, stopped: Mapping[int, Array], rivals: Sequence[Array], ends: Sequence[float], weights: Array
) -> dict[int, Place]:
    both = utilities_of(np.array([*stopped.values(), *rivals]), weights)
    own, others = both[: len(stopped)], np.array(both[len(stopped) :])
    places: dict[int, Place] = {}
    for number, utility in zip(stopped, own, strict=True):
        share = float((others < utility).mean())
        below = -1 if utility < others.min() else 0
        places[number] = (float(np.quantile(ends, share)), below, step, utility)
    return places
