"""Figures of the benchmarks, drawn by matplotlib without a display and without its global state."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.strategies.results import Results

# Okabe and Ito's colours, which colour-blind readers can tell apart, with black in front; the lines differ as well.
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#D55E00", "#0072B2", "#CC79A7", "#777777")
LINES = ("-", "--", "-.", ":")


def regret(results: Results, names: Sequence[str], path: Path, label: str) -> Path:
    """Draw the median regret against evaluations with the band between the quartiles, a panel for each problem."""
    figure, panels = _panels(results)
    for axes, problem in panels:
        _bands(axes, results, problem, names, steps=True)
        axes.set(xscale="log", xlabel="evaluations", title=problem)
        axes.set_yscale("symlog", linthresh=0.1, linscale=0.6)
        axes.set_ylim(0, None)
        axes.set_yticks([0, 0.1, 1, 10], ["0", "0.1", "1", "10"])
    return _finish(figure, label, path)


def share(results: Results, names: Sequence[str], path: Path, label: str) -> Path:
    """Draw the hypervolume's share against evaluations, a panel for each problem."""
    figure, panels = _panels(results)
    for axes, problem in panels:
        _bands(axes, results, problem, names, steps=False)
        axes.set(xscale="log", xlabel="evaluations", title=problem.replace(" and ", "\nand "))
        axes.set_ylim(0.5, 1)
    return _finish(figure, label, path)


def _panels(results: Results) -> tuple[Figure, list[tuple[Axes, str]]]:
    problems = results.problems
    figure = Figure(figsize=(max(7.5, 1.2 + 4.4 * len(problems)), 5.2), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(problems), sharey=True))
    return figure, list(zip(axes, problems, strict=True))


def _bands(axes: Axes, results: Results, problem: str, names: Sequence[str], steps: bool) -> None:
    """Draw the contestants among those names, of which each has its own colour and line in every figure."""
    for name, entry in results.of_problem(problem):
        if name in names:
            _band(axes, entry["curve"], names.index(name), name, steps)


def _band(axes: Axes, curve: dict[str, list[float | None]], index: int, name: str, steps: bool) -> None:
    colour = COLOURS[index % len(COLOURS)]
    counts = np.array(curve["evaluations"], dtype=float)
    low, middle, high = (np.array(curve[key], dtype=float) for key in ("q25", "median", "q75"))
    axes.fill_between(counts, low, high, step="post" if steps else None, color=colour, alpha=0.13, linewidth=0)
    line = LINES[index % len(LINES)]
    draw: Literal["steps-post", "default"] = "steps-post" if steps else "default"
    axes.plot(counts, middle, color=colour, linestyle=line, linewidth=1.8, drawstyle=draw, label=name)


def _finish(figure: Figure, label: str, path: Path) -> Path:
    axes = figure.axes
    axes[0].set_ylabel(label)
    for one in axes:
        one.grid(alpha=0.25)
        one.spines[["top", "right"]].set_visible(False)
    lines = {line.get_label(): line for one in axes for line in one.get_lines()}
    figure.legend(
        list(lines.values()),
        [str(name) for name in lines],
        loc="outside lower center",
        ncols=4 if len(figure.axes) > 1 else 3,
        frameon=False,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=110, metadata={"Software": None})
    return path
