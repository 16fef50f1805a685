"""What a search has found."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from autopanoptic.nas.costs.table import constraints_of
from autopanoptic.nas.results.budget import best_within
from autopanoptic.nas.results.described import described
from autopanoptic.nas.space.architecture import Option
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.storage.events import end_of, replay
from autopanoptic.nas.storage.files import whole
from autopanoptic.nas.storage.reading import Reading
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.pareto import hypervolume
from autopanoptic.nas.trials.trial import Trial


class Result:
    """What a search has found so far.

    It can be pickled and copied. A pickled one keeps the choices of its space, as one read from a journal does, but not
    the functions on it (constraints on costs, ``canonical``), which may not travel.

    Args:
        space: the search space.
        history: the search's trials.
        ended: why the search ended: ``"trials"`` (as many as asked for), ``"seconds"`` (the time was up) or
            ``"strategy"`` (it has nothing more to propose, as where every architecture has been tried); None while it
            runs, and after an interruption.
    """

    def __init__(self, space: SearchSpace, history: History, ended: str | None = None) -> None:
        self.space = space
        self.history = history
        self.ended = ended

    def __repr__(self) -> str:
        best = self.history.best
        completed = self.history.n_completed
        return f"Result({len(self.history)} trials, {completed} completed, ended={self.ended!r}, best={best})"

    def __getstate__(self) -> dict[str, Any]:
        return {"space": self.space.to_json(), "history": self.history, "ended": self.ended}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.space = SearchSpace.from_json(state["space"])
        self.history, self.ended = state["history"], state["ended"]

    def __deepcopy__(self, memo: dict[int, Any]) -> Result:
        return Result(self.space, deepcopy(self.history, memo), self.ended)

    @classmethod
    def from_journal(cls, path: str | Path) -> Result:
        """Read the result of a finished or running search from its journal.

        Raises:
            FileNotFoundError: when there is no such file.
            JournalError: when it is damaged or empty.
        """
        if not Path(path).exists():
            raise FileNotFoundError(f"There is no journal {path}.")
        space, history = described(path, Reading(Path(path)).header())
        reading = Reading(Path(path), space=space)
        replay(history, reading, space)
        return cls(space, history, end_of(reading.last))

    @property
    def best(self) -> Trial:
        """The best completed trial by the first objective that breaks no constraint, the earliest of equals.

        In a search with budgets only trials of the largest budget are compared: the completed ones, and while there is
        none, those that were measured with the largest budget so far (:attr:`History.leading`).

        Raises:
            ValueError: when no trial completed or was measured, or all that did break a constraint.
        """
        best, leading = self.history.best, self.history.leading
        if best is None and leading:
            nearest = self.history.ranked()[0]
            limits = " and ".join(map(str, self.history.constraints))
            what = "completed" if self.history.n_completed else "measured"
            raise ValueError(
                f"None of the {len(leading)} {what} trials keeps {limits}; trial {nearest.id} comes "
                f"nearest, with {dict(nearest.metrics)}."
            )
        if best is None:
            raise ValueError(f"None of the {len(self.history)} trials completed, so there is no best one.")
        return best

    def best_within(
        self, bounds: Mapping[str, tuple[float | None, float | None]], objective: str | None = None
    ) -> Trial:
        """Return the best completed trial whose metrics and costs lie within bounds, the earliest of equals.

        Trials that break a constraint of the search are left out as well.

        Args:
            bounds: (low, high) by the name of a metric or cost, either may be None: ``{"gflops": (None, 0.2)}``.
            objective: which of the search's objectives is compared; the first by default.

        Raises:
            ValueError: when no trial completed, no objective or no metric has that name, or no trial lies within the
                bounds; names the one that comes nearest.
        """
        return best_within(self.history, constraints_of(bounds), objective)

    def pareto(self) -> list[Trial]:
        """Return the completed trials that break no constraint and that no other dominates, in order of the trials.

        In a search with budgets: of the trials that :attr:`best` is taken from.
        """
        return self.history.pareto()

    def hypervolume(self, reference: Mapping[str, float]) -> float:
        """Return the volume of objective values that the Pareto front dominates, up to a reference point.

        Args:
            reference: a value of every objective, in its own unit, that is just not good enough any more, such as
                ``{"accuracy": 60, "latency_ms": 40}``. Trials that are worse than it in anything add nothing.

        Raises:
            ValueError: when the names are not those of the objectives, or a value is not finite.
        """
        names = [objective.name for objective in self.history.objectives]
        if set(reference) != set(names):
            raise ValueError(f"The reference needs a value of each objective of {names}, not of {list(reference)}.")
        corner = [objective.gain(reference) for objective in self.history.objectives]
        return hypervolume([self.history.gains(trial) for trial in self.pareto()], corner)

    def rows(self) -> list[dict[str, Any]]:
        """Return one dictionary per trial: trial, state, seconds, its metrics, and its options by label.

        In a search with budgets also the largest ``budget`` of the trial, at which its metrics were measured.
        Behind them stand the standard errors of metrics that are means of several evaluations, as in ``"accuracy
        (standard error)"``, and the attributes. A metric, a label or an attribute whose name is taken by what stands
        before it is marked, as in ``"seconds (metric)"``.
        """
        rows, metrics = [], {name for trial in self.history for name in trial.metrics}
        for trial in self.history:
            row: dict[str, Any] = {"trial": trial.id, "state": trial.state.value, "seconds": trial.seconds}
            if trial.budget is not None:
                row["budget"] = trial.reached
            taken = set(row)
            row.update({_marked(name, "metric", taken): value for name, value in trial.metrics.items()})
            taken |= metrics
            row.update({_marked(name, "option", taken): value for name, value in trial.architecture.items()})
            row.update({f"{name} (standard error)": value for name, value in trial.standard_errors.items()})
            row.update(_attributes(trial.attributes, set(row) | taken))
            rows.append(row)
        return rows

    def table(self) -> Any:
        """Return :meth:`rows` as a ``pandas.DataFrame``, or as they are where pandas is not installed."""
        try:
            import pandas
        except ImportError:
            return self.rows()
        return pandas.DataFrame(self.rows())

    def option_counts(self, top: int | None = None) -> dict[str, dict[Option, int]]:
        """Return how often each option of each choice stands among the best completed trials.

        In a search with budgets: among those that :attr:`best` is taken from.

        Args:
            top: how many of the best, at least 1; all that can be compared by default.

        Raises:
            ValueError: when ``top`` is less.
        """
        if top is not None and top < 1:
            raise ValueError(f"top must be at least 1, not {top}.")
        ranked = self.history.ranked()[:top]
        counts = {choice.label: Counter(dict.fromkeys(choice.options, 0)) for choice in self.space.choices}
        for trial in ranked:
            for label, option in trial.architecture.items():
                counts[label][option] += 1
        return {label: dict(counter) for label, counter in counts.items()}

    def to_json(self, path: str | Path | None = None) -> dict[str, Any]:
        """Return everything as a JSON object, and write it to a file where a path is given."""
        best = self.history.best
        values = {
            "objectives": {objective.name: objective.direction for objective in self.history.objectives},
            "space": self.space.to_json(),
            "ended": self.ended,
            "best": None if best is None else best.id,
            "pareto": [trial.id for trial in self.pareto()],
            "trials": [
                {
                    "id": trial.id,
                    "state": trial.state.value,
                    "architecture": trial.architecture.to_json(),
                    "metrics": dict(trial.metrics),
                    "seconds": trial.seconds,
                    "error": trial.error,
                    **_budgets(trial),
                    **_evaluations(trial),
                    "attributes": dict(trial.attributes),
                }
                for trial in self.history
            ],
        }
        if path is not None:
            with whole(path) as partial:
                partial.write_text(json.dumps(values, indent=1) + "\n")
        return values

    def plot_history(self, path: str | Path) -> Path:
        """Draw the first objective of each trial and the best so far, as a PNG file."""
        from autopanoptic.nas.results import plots

        return plots.history(self.history, Path(path))

    def plot_pareto(self, path: str | Path) -> Path:
        """Draw two metrics of all trials against each other, with the Pareto front, as a PNG file.

        Raises:
            ValueError: when the search has fewer than two objectives.
        """
        from autopanoptic.nas.results import plots

        return plots.pareto(self.history, Path(path))

    def plot_options(self, path: str | Path, top: int | None = None) -> Path:
        """Draw how often each option stands among the ``top`` best trials, as a PNG file."""
        from autopanoptic.nas.results import plots

        return plots.options(self.option_counts(top), Path(path))


def _budgets(trial: Trial) -> dict[str, Any]:
    if trial.budget is None:
        return {}
    rungs = [{"budget": rung.budget, "metrics": dict(rung.metrics), "seconds": rung.seconds} for rung in trial.rungs]
    return {"budget": trial.reached, "rungs": rungs}


def _evaluations(trial: Trial) -> dict[str, Any]:
    if not trial.evaluations:
        return {}
    evaluations = [{"metrics": dict(one.metrics), "seconds": one.seconds} for one in trial.evaluations]
    return {"evaluations": evaluations, "standard_errors": trial.standard_errors}


def _marked(name: str, kind: str, taken: set[str]) -> str:
    return f"{name} ({kind})" if name in taken else name


def _attributes(attributes: Mapping[str, Any], taken: set[str]) -> dict[str, Any]:
    """Return attributes by columns that nothing else has: one that is marked does not take another's name either."""
    columns: dict[str, Any] = {}
    for name, value in attributes.items():
        column = name
        while column in taken or column in columns or (column != name and column in attributes):
            column = f"{column} (attribute)"
        columns[column] = value
    return columns
