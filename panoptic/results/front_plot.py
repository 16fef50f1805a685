"""A picture of fronts: what networks are worth against what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from autopanoptic.nas.storage.files import whole

STYLES = {"searched": ("#d62728", "o"), "hand-made": ("#1f77b4", "s"), "random": ("#7f7f7f", "^")}
"""Color and marker of what runs compare."""


@dataclass(frozen=True)
class Series:
    """Points of one kind, cheapest first.

    Attributes:
        costs: (N,)
        values: (N,)
        errors: (N,) standard errors of the values; None where none is known.
    """

    costs: Sequence[float]
    values: Sequence[float]
    errors: Sequence[float] | None = None


def draw_fronts(
    series: Mapping[str, Series],
    path: str | Path,
    *,
    cost: str,
    value: str,
    title: str = "",
    budget: float | None = None,
    others: Series | None = None,
    below: Mapping[str, Series] | None = None,
) -> Path:
    """Draw series of points against their cost as a PNG file, with bars of one standard error.

    Args:
        series: By their names.
        path: Where to write the picture; its folder is made.
        cost: Names the costs with their unit.
        value: Names the values with their unit.
        title: A line above.
        budget: A cost to mark.
        others: Points that stand on no front, drawn faintly.
        below: Points of the series that lie below their fronts, by the same names, drawn without a line.
    """
    figure = Figure(figsize=(7, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    if others is not None:
        axes.plot(others.costs, others.values, ".", color="#d62728", alpha=0.2, markersize=5, label="all candidates")
    if budget is not None:
        axes.axvline(budget, color="0.75", linestyle="--", linewidth=1, zorder=0, label="budget")
    for name, points in series.items():
        color, marker = STYLES.get(name, (None, "o"))
        axes.errorbar(
            points.costs, points.values, points.errors, label=name, color=color, marker=marker, markersize=5,
            linewidth=1.3, elinewidth=0.8, capsize=2,
        )  # fmt: skip
    for name, points in (below or {}).items():
        color, marker = STYLES.get(name, (None, "o"))
        axes.errorbar(
            points.costs, points.values, points.errors, color=color, marker=marker, markersize=5, linestyle="none",
            elinewidth=0.8, capsize=2, alpha=0.5,
        )  # fmt: skip
    axes.set(xlabel=cost, ylabel=value)
    axes.set_ylim(bottom=max(0.0, axes.get_ylim()[0]))  # nothing is worth less
    axes.grid(alpha=0.25)
    axes.legend()
    if title:
        axes.set_title(title.replace("$", r"\$"), fontsize=11)
    with whole(path) as partial:
        figure.savefig(partial, format="png", dpi=100)
    return Path(path)
