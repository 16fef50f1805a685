"""Plots of a search as PNG files; drawn by matplotlib without a display and without its global state."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from autopanoptic.nas.space.architecture import Option
from autopanoptic.nas.storage.files import whole
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import TrialState

OPTIONS_PER_COLUMN = 28
MOST_COLUMNS = 4
NARROWEST = 1 / 250
"""The least share of a bar that is drawn on its own, about a pixel; what is narrower is one gray part at its end."""


def history(trials: History, path: Path) -> Path:
    """Draw the first objective of each trial with the largest budget, and the best so far that breaks no constraint."""
    objective = trials.objectives[0]
    done = sorted(trials.leading, key=lambda trial: trial.id)
    numbers = [trial.id for trial in done]
    values = np.array([trial.metrics[objective.name] for trial in done])
    feasible = np.array([not trials.violation(trial) for trial in done], dtype=bool)
    best = best_so_far(values, feasible, objective.direction)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for some, label, color in ((feasible, "trial", "tab:blue"), (~feasible, "breaks a constraint", "gray")):
        if some.any():
            axes.plot(np.array(numbers)[some], values[some], "o", markersize=4, alpha=0.6, label=label, color=color)
    axes.step(numbers, best, where="post", color="tab:red", label="best so far")
    lost = [trial.id for trial in trials if trial.state in (TrialState.FAILED, TrialState.STOPPED)]
    if lost:
        axes.plot(lost, [0.02] * len(lost), "x", color="gray", transform=axes.get_xaxis_transform(), label="no result")
    axes.set(xlabel="trial", ylabel=_plain(objective.name))
    axes.legend()
    return _save(figure, path)


def best_so_far(values: NDArray[np.float64], feasible: NDArray[np.bool_], direction: str) -> NDArray[np.float64]:
    """Return the best of the values up to each of those that are feasible; NaN before the first of them."""
    worst, better = (-np.inf, np.maximum) if direction == "max" else (np.inf, np.minimum)
    best = better.accumulate(np.where(feasible, values, worst))
    return np.where(np.isfinite(best), best, np.nan)


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
    done = trials.leading
    front = sorted(trials.pareto(), key=lambda trial: trial.metrics[abscissa.name])
    axes.plot([t.metrics[abscissa.name] for t in done], [t.metrics[ordinate.name] for t in done], "o", alpha=0.4)
    axes.plot(
        [t.metrics[abscissa.name] for t in front],
        [t.metrics[ordinate.name] for t in front],
        "o-",
        color="tab:red",
        label="Pareto front",
    )
    axes.set(**{axis: _plain(f"{o.name} ({o.direction})") for axis, o in (("xlabel", abscissa), ("ylabel", ordinate))})
    axes.legend()
    return _save(figure, path)


def options(counts: Mapping[str, Mapping[Option, int]], path: Path) -> Path:
    """Draw each choice as a bar, divided by how often its options stand; long lists fold into columns.

    Of more choices than can be read, those are drawn whose options stand most unequally; the title says so.
    """
    return _save(options_figure(counts), path)


def options_figure(counts: Mapping[str, Mapping[Option, int]]) -> Figure:
    """Return the figure that :func:`options` writes."""
    labels = _most_decided(counts, OPTIONS_PER_COLUMN * MOST_COLUMNS)
    columns = max(1, -(-len(labels) // OPTIONS_PER_COLUMN))
    rows = max(1, -(-len(labels) // columns))
    figure = Figure(figsize=(6.5 * columns, 0.8 + 0.27 * rows), layout="constrained")
    for column, axes in enumerate(np.atleast_1d(figure.subplots(1, columns))):
        part = labels[column * rows : (column + 1) * rows]
        merged = [_bar(axes, row, counts[label]) for row, label in enumerate(part)]
        axes.set_yticks(range(len(part)), [_plain(label) for label in part])
        note = f" (gray: the options below {NARROWEST:.1%})" if any(merged) else ""
        axes.set(xlim=(0, 1), ylim=(rows - 0.5, -0.5), xlabel=f"share of trials{note}")
    if len(labels) < len(counts):
        figure.suptitle(f"{len(labels)} of {len(counts):,} choices: those whose options are used most unequally")
    return figure


def _most_decided(counts: Mapping[str, Mapping[Option, int]], most: int) -> list[str]:
    if len(counts) <= most:
        return list(counts)
    chosen = set(heapq.nlargest(most, counts, key=lambda label: _inequality(counts[label])))
    return [label for label in counts if label in chosen]


def _inequality(counts: Mapping[Option, int]) -> float:
    """Return 0 where all options stand equally often, 1 where one stands alone, -1 where none does."""
    total, even = sum(counts.values()), 1 / len(counts)
    if not total:
        return -1.0
    return (max(counts.values()) / total - even) / (1 - even) if len(counts) > 1 else 0.0


def _bar(axes: Axes, row: int, counts: Mapping[Option, int]) -> bool:
    """Draw a choice, and return whether options had to be merged."""
    total = max(1, sum(counts.values()))
    shares = {index: (option, count / total) for index, (option, count) in enumerate(counts.items())}
    seen = {index: found for index, found in shares.items() if found[1] >= NARROWEST}
    left, spans = 0.0, []
    for option, width in seen.values():
        if width > 0.1:
            axes.text(left + width / 2, row, _plain(str(option)), ha="center", va="center", fontsize=7)
        spans.append((left, width))
        left += width
    colors = [f"C{index % 10}" for index in seen]
    merged = any(0 < width < NARROWEST for _, width in shares.values())
    if merged:
        spans, colors = [*spans, (left, 1 - left)], [*colors, "lightgray"]
    axes.broken_barh(spans, (row - 0.4, 0.8), facecolors=colors)
    return merged


def _plain(text: str) -> str:
    """Return a text as matplotlib shall write it: a dollar sign begins no formula."""
    return text.replace("$", r"\$")


def _save(figure: Figure, path: Path) -> Path:
    with whole(path) as partial:
        figure.savefig(partial, format="png")
    return path
