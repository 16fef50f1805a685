"""Plots of a search as PNG files; drawn by matplotlib without a display and without its global state."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autopanoptic.nas.space.architecture import Option
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import TrialState

OPTIONS_PER_COLUMN = 28


def history(trials: History, path: Path) -> Path:
    """Draw the first objective of each trial and the best so far."""
    objective = trials.objectives[0]
    done = sorted(trials.completed, key=lambda trial: trial.id)
    numbers = [trial.id for trial in done]
    values = np.array([trial.metrics[objective.name] for trial in done])
    best = np.maximum.accumulate(values) if objective.direction == "max" else np.minimum.accumulate(values)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(numbers, values, "o", markersize=4, alpha=0.6, label="trial")
    axes.step(numbers, best, where="post", color="tab:red", label="best so far")
    lost = [trial.id for trial in trials.finished if trial.state is not TrialState.COMPLETED]
    if lost:
        axes.plot(lost, [0.02] * len(lost), "x", color="gray", transform=axes.get_xaxis_transform(), label="no result")
    axes.set(xlabel="trial", ylabel=objective.name)
    axes.legend()
    return _save(figure, path)


def pareto(trials: History, path: Path) -> Path:
    """Draw the first two objectives of all trials against each other, with the front that none dominates.

    Raises:
        ValueError: when there are fewer than two objectives.
    """
    if len(trials.objectives) < 2:
        raise ValueError(f"A Pareto plot needs two objectives; the search has {trials.objectives[0].name!r} alone.")
    ordinate, abscissa = trials.objectives[:2]
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.add_subplot()
    done = trials.completed
    front = sorted(trials.pareto(), key=lambda trial: trial.metrics[abscissa.name])
    axes.plot([t.metrics[abscissa.name] for t in done], [t.metrics[ordinate.name] for t in done], "o", alpha=0.4)
    axes.plot(
        [t.metrics[abscissa.name] for t in front],
        [t.metrics[ordinate.name] for t in front],
        "o-",
        color="tab:red",
        label="Pareto front",
    )
    axes.set(xlabel=f"{abscissa.name} ({abscissa.direction})", ylabel=f"{ordinate.name} ({ordinate.direction})")
    axes.legend()
    return _save(figure, path)


def options(counts: Mapping[str, Mapping[Option, int]], path: Path) -> Path:
    """Draw each choice as a bar, divided by how often its options stand; long lists fold into columns."""
    labels = list(counts)
    columns = max(1, -(-len(labels) // OPTIONS_PER_COLUMN))
    rows = max(1, -(-len(labels) // columns))
    figure = Figure(figsize=(6.5 * columns, 0.8 + 0.27 * rows), layout="constrained")
    for column, axes in enumerate(np.atleast_1d(figure.subplots(1, columns))):
        part = labels[column * rows : (column + 1) * rows]
        for row, label in enumerate(part):
            _bar(axes, row, counts[label])
        axes.set_yticks(range(len(part)), part)
        axes.set(xlim=(0, 1), ylim=(rows - 0.5, -0.5), xlabel="share of trials")
    return _save(figure, path)


def _bar(axes: Axes, row: int, counts: Mapping[Option, int]) -> None:
    total = sum(counts.values())
    left = 0.0
    for index, (option, count) in enumerate(counts.items()):
        if not count:
            continue
        width = count / total
        axes.barh(row, width, left=left, color=f"C{index % 10}", height=0.8)
        if width > 0.1:
            axes.text(left + width / 2, row, str(option), ha="center", va="center", fontsize=7)
        left += width


def _save(figure: Figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png")
    return path
