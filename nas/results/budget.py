"""The best trial for a budget."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Constraint, Objective
from autopanoptic.nas.trials.trial import Trial


def best_within(history: History, bounds: Sequence[Constraint], objective: str | None) -> Trial:
    """Return the best completed trial within bounds; see :meth:`Result.best_within`."""
    if not history.leading:
        raise ValueError(f"None of the {len(history)} trials completed, so there is none to choose.")
    main = _objective(history, objective)
    trials = _measured(history.leading, bounds)
    broken = {trial.id: _violation(history, trial, bounds) for trial in trials}
    fitting = [trial for trial in trials if not broken[trial.id]]
    if fitting:
        return max(fitting, key=lambda trial: (main.gain(trial.metrics), -trial.id))
    nearest = min(trials, key=lambda trial: (broken[trial.id], -main.gain(trial.metrics), trial.id))
    limits = " and ".join(map(str, (*bounds, *history.constraints)))
    named = dict.fromkeys([main.name, *(bound.name for bound in (*bounds, *history.constraints))])
    values = ", ".join(f"{name} = {nearest.metrics[name]:g}" for name in named)
    raise ValueError(
        f"None of the {len(trials)} completed trials keeps {limits}; trial {nearest.id} comes nearest, with {values}. "
        "Widen the bounds, or search longer or within them (constraints=)."
    )


def _objective(history: History, name: str | None) -> Objective:
    if name is None:
        return history.objectives[0]
    for objective in history.objectives:
        if objective.name == name:
            return objective
    raise ValueError(f"The search has no objective {name!r}; it has {[one.name for one in history.objectives]}.")


def _measured(trials: Sequence[Trial], bounds: Sequence[Constraint]) -> list[Trial]:
    """Return the trials that have all bounded metrics."""
    for bound in bounds:
        if not any(bound.name in trial.metrics for trial in trials):
            known = sorted({name for trial in trials for name in trial.metrics})
            near = get_close_matches(bound.name, known, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"No completed trial has a metric {bound.name!r}; they have {known}.{hint}")
    found = [trial for trial in trials if all(bound.name in trial.metrics for bound in bounds)]
    if not found:
        raise ValueError(f"No completed trial has all of {[bound.name for bound in bounds]}.")
    return found


def _violation(history: History, trial: Trial, bounds: Sequence[Constraint]) -> float:
    return history.violation(trial) + sum(bound.violation(trial.metrics[bound.name]) for bound in bounds)
