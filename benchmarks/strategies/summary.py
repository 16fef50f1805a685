"""What is said of many runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.strategies.runner import Run

NEVER = 1e18
"""Stands for what did not happen within a run, beyond every number that can."""
QUARTILES = {"q25": 0.25, "median": 0.5, "q75": 0.75}


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Return mean, standard deviation (of the values, not of the mean), and quartiles."""
    found = np.asarray(values, dtype=float)
    return {"mean": float(found.mean()), "std": float(found.std()), **_quartiles(found)}


def _quartiles(values: NDArray[np.float64]) -> dict[str, float | None]:
    """Return the quartiles, None where one lies among what did not happen."""
    quantiles = {name: float(np.quantile(values, share)) for name, share in QUARTILES.items()}
    # Interpolated with NEVER, a quantile is far beyond what can happen as well.
    return {name: None if value > NEVER / 1e6 else value for name, value in quantiles.items()}


def budget(runs: Sequence[Run]) -> dict[str, Any]:
    """Summarise runs of :class:`Budget`."""
    datasets = list(runs[0]["test"])
    tests = {dataset: spread([run["test"][dataset] for run in runs]) for dataset in datasets}
    return {"summary": {"evaluations": spread([run["evaluations"] for run in runs]), "test": tests}}


def until_best(runs: Sequence[Run]) -> dict[str, Any]:
    """Summarise runs of :class:`UntilBest`.

    Where a run did not find the best, there is no mean; a quartile is None where it lies among such runs.
    """
    found = [run for run in runs if run["found"]]
    complete = len(found) == len(runs)
    counts = np.array([run["evaluations"] if run["found"] else NEVER for run in runs])
    return {
        "found": len(found),
        "mean": float(counts.mean()) if complete else None,
        "std": float(counts.std()) if complete else None,
        **_quartiles(counts),
        "mean_distinct": float(np.mean([run["distinct"] for run in runs])) if complete else None,
    }


def until_best_entry(runs: Sequence[Run], horizon: int) -> dict[str, Any]:
    """Return the summary, the single counts, and the regret's quartiles up to the horizon."""
    counts = grid(horizon)
    return {
        "summary": until_best(runs),
        "evaluations": [run["evaluations"] for run in runs],
        "curve": {"evaluations": counts, **regret_curve(runs, counts)},
    }


def front(runs: Sequence[Run], counts: Sequence[int]) -> dict[str, Any]:
    """Summarise runs of :class:`Front`, whose hypervolume was taken after so many evaluations."""
    return {"curve": {"evaluations": list(counts), **hypervolume_curve(runs)}}


def grid(horizon: int) -> list[int]:
    """Return numbers of evaluations up to the horizon, about evenly spaced in logarithm."""
    return sorted({round(value) for value in np.geomspace(1, horizon, 60)})


def regret_curve(runs: Sequence[Run], counts: Sequence[int]) -> dict[str, list[float | None]]:
    """Return the quartiles of the regret after so many evaluations; None where a run has nothing allowed yet."""
    regrets = np.array([_regrets(run, counts) for run in runs])
    curve: dict[str, list[float | None]] = {name: [] for name in QUARTILES}
    for column in regrets.T:
        for name, value in _quartiles(column).items():
            curve[name].append(value)
    return curve


def _regrets(run: Run, counts: Sequence[int]) -> list[float]:
    """Return the regret of a run after so many evaluations.

    Raises:
        ValueError: when the run ended before, without the best.
    """
    if not run["found"] and counts[-1] > run["evaluations"]:
        raise ValueError(
            f"The run of seed {run['seed']} ended after {run['evaluations']} evaluations without the best, so there is "
            f"no regret after {counts[-1]}: give a --horizon of at most the --cap."
        )
    at = [evaluation for evaluation, _ in run["improvements"]]
    regrets = [NEVER, *(regret for _, regret in run["improvements"])]
    return [regrets[index] for index in np.searchsorted(at, counts, side="right")]


def hypervolume_curve(runs: Sequence[Run]) -> dict[str, list[float | None]]:
    """Return the quartiles of the hypervolume at the checkpoints of :class:`Front`."""
    curve: dict[str, list[float | None]] = {name: [] for name in QUARTILES}
    for column in np.array([run["hypervolume"] for run in runs]).T:
        for name, value in _quartiles(column).items():
            curve[name].append(value)
    return curve


def cpu_ms(runs: Sequence[Run]) -> float:
    """Return the processor time of an evaluation, look-up and search together, in milliseconds."""
    seconds = sum(float(run["cpu_seconds"]) for run in runs)
    return 1e3 * seconds / max(1, sum(int(run["evaluations"]) for run in runs))
