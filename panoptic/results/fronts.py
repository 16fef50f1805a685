"""What a search with a cost has found: its front beside the family of a network made by hand and that of random draws.

All are paths of one supernet, measured on the same images with the same batches for their batch norms.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from autopanoptic.nas import Architecture, Result
from autopanoptic.nas.trials.trial import Trial
from autopanoptic.panoptic.results.front_plot import Series, draw_fronts
from autopanoptic.panoptic.results.json_files import write_object
from autopanoptic.panoptic.search.evaluator import error_name

FRONT = "front.json"
SEARCHED, HAND_MADE, RANDOM = "searched", "hand-made", "random"
UNITS = {"gflops": "GFLOPs", "latency_ms": "ms"}
MOST_ROWS = 5
"""Members of the family whose costs are shown as budgets."""
TOLERANCE = 1e-9
"""Relative, by which a cost may exceed a budget that is another network's cost."""


@dataclass(frozen=True)
class Point:
    """A path of the supernet.

    Attributes:
        architecture: Which it is.
        cost: In the unit of the search's cost.
        value: Its objective on nas_val, in percent.
        error: Standard error of that over the images; None where it is not known.
    """

    architecture: Architecture
    cost: float
    value: float
    error: float | None


@dataclass(frozen=True)
class Fronts:
    """The fronts of a run.

    Attributes:
        objective: The metric that is maximised.
        cost: Name of the cost that is minimised.
        images: Of nas_val.
        budget: Of the cost, at which networks are trained further.
        series: The points by who chose them, cheapest first: of the search and of the random draws those that no
            other of theirs dominates, of the family all.
        on_val: What the `offered` ones are on val, by which none of them was chosen.
    """

    objective: str
    cost: str
    images: int
    budget: float
    series: Mapping[str, tuple[Point, ...]]
    on_val: tuple[Point, ...] = ()

    @classmethod
    def of(
        cls, searched: Result, drawn: Result | None, family: Result, *, images: int, limit: float | None = None
    ) -> Fronts:
        """Take the fronts of three searches with the same two objectives.

        Args:
            searched: Of the search.
            drawn: Of the random draws; None to leave them out.
            family: Of the networks made by hand.
            images: Number of images that they were measured on.
            limit: The most that a network may cost. It is the budget then; without it the budget is what that member
                of the family costs that is nearest to the geometric mean of its cheapest and its dearest. Neither
                depends on what any network is worth.
        """
        objective, cost = (one.name for one in searched.history.objectives)
        series = {
            SEARCHED: _points(searched.pareto(), objective, cost),
            HAND_MADE: _points(family.history.completed, objective, cost),
        }
        if drawn is not None:
            series[RANDOM] = _points(drawn.pareto(), objective, cost)
        budget = middle_of([point.cost for point in series[HAND_MADE]]) if limit is None else limit
        return cls(objective, cost, images, budget, series)

    def best(self, name: str, budget: float | None = None) -> Point | None:
        """Return the best point of a series within a budget, by default the run's; None where none keeps it."""
        most = (self.budget if budget is None else budget) * (1 + TOLERANCE)
        kept = [point for point in self.series[name] if point.cost <= most]
        return max(kept, key=lambda point: point.value, default=None)

    def chosen(self, name: str) -> Point:
        """Return what a series has to offer at the budget.

        That is its best point within it, of the family its dearest, since that is what scaling by hand would take; and
        the cheapest where none keeps it.
        """
        kept = [point for point in self.series[name] if point.cost <= self.budget * (1 + TOLERANCE)]
        if not kept:
            return self.series[name][0]
        return kept[-1] if name == HAND_MADE else max(kept, key=lambda point: point.value)

    def budgets(self) -> list[float]:
        """Return costs at which the series are compared: those of members of the family, of many a few."""
        costs = [point.cost for point in self.series[HAND_MADE]]
        if len(costs) <= MOST_ROWS:
            return costs
        return [costs[round(place * (len(costs) - 1) / (MOST_ROWS - 1))] for place in range(MOST_ROWS)]

    def offered(self) -> list[Architecture]:
        """Return the architectures that are the best of a series within one of the budgets."""
        best = (self.best(series, budget) for series in self.series for budget in self.budgets())
        return list(dict.fromkeys(point.architecture for point in best if point is not None))

    def with_val(self, measured: Result) -> Fronts:
        """Return the fronts with what `offered` ones were on val, in a search of theirs."""
        return replace(self, on_val=_points(measured.history.completed, self.objective, self.cost))

    def table(self, split: str = "nas_val") -> Table:
        """Return the comparison at each budget for a terminal of 80 columns.

        Args:
            split: ``"nas_val"``, on which all were chosen, or ``"val"``, on which the same ones were measured again.
        """
        unit = UNITS[self.cost]
        title = (
            f"{self.title} on nas_val by paths of the supernet, best within a budget ({unit})"
            if split == "nas_val"
            else "The same paths on val, where none of them was chosen"
        )
        found = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, title_justify="left")
        found.add_column("budget", justify="right")
        for series in self.series:
            found.add_column(series, justify="right", no_wrap=True)
        for budget in self.budgets():
            points = {series: self.at(series, budget, split) for series in self.series}
            top = max((point.value for point in points.values() if point is not None), default=None)
            cells = ["-" if point is None else _cell(point, bold=point.value == top) for point in points.values()]
            found.add_row(f"{budget:.3g}", *cells)
        return found

    def summary(self) -> str:
        """Say at how many budgets the search's front lies above the others by more than a standard error of its own.

        That is on val, where it is known.
        """
        parts = [
            f"above the {other} one at {self.above(other)} of {len(self.compared_at(other))}"
            for other in self.series
            if other != SEARCHED
        ]
        return (
            f"On {self.split} the searched front lies {' and '.join(parts)} budgets with another network of its, by "
            "more than a standard error."
        )

    def compared_at(self, other: str) -> list[float]:
        """Return the budgets at which another front is compared: the first, and those at which it rises.

        Where it does not, it has what it had at the budget before, which would be counted again.

        Args:
            other: A series.
        """
        best = {budget: self.best(other, budget) for budget in self.budgets()}
        steps = zip([None, *best.values()], best.items(), strict=False)
        return [budget for place, (before, (budget, now)) in enumerate(steps) if place == 0 or now != before]

    def above(self, other: str, errors: float = 1.0) -> int:
        """Return at how many budgets of `compared_at` the search's front lies above another.

        Args:
            other: A series.
            errors: By more than so many standard errors of its own; with 0 it is counted how often it is higher at all.
        """
        return sum(self._above(other, budget, self.split, errors) for budget in self.compared_at(other))

    @property
    def title(self) -> str:
        """The objective as it is written."""
        quality, *kind = self.objective.split("_")
        return " ".join([quality.upper(), *kind])

    @property
    def split(self) -> str:
        """The split that decides how the fronts compare."""
        return "val" if self.on_val else "nas_val"

    def budget_line(self, finalists: int = 1, others: Sequence[str] = (RANDOM, HAND_MADE)) -> str:
        """Say what the budget is, and who does not keep it.

        Args:
            finalists: How many candidates of the search are trained.
            others: The series of which one network is trained.
        """
        dearer = [name for name in self.series if self.best(name) is None]
        rest = f"; {' and '.join(dearer)} cannot keep it and take the cheapest" if dearer else ""
        own = f"{'one network' if finalists == 1 else f'{finalists} finalists'} of the search"
        if len(others) > 1:
            who = "one network of each is" if finalists == 1 else f"{own} and one network of each of the others are"
        elif others:
            who = f"{own} and one {others[0]} network are"
        else:
            who = f"{own} {'is' if finalists == 1 else 'are'}"
        return f"At {self.budget:.3g} {UNITS[self.cost]} {who} trained further{rest}."

    def draw(self, path: Path, searched: Result) -> None:
        """Draw the fronts, what of the family lies below its own, and faintly all candidates of the search."""
        done = searched.history.completed
        everything = Series([t.metrics[self.cost] for t in done], [t.metrics[self.objective] for t in done])
        parted = {name: _parted(points) for name, points in self.series.items()}
        draw_fronts(
            {name: _series(front) for name, (front, _) in parted.items()},
            path,
            cost=UNITS[self.cost],
            value=f"{self.title} on nas_val, {self.images} images, %; bars: one standard error",
            budget=self.budget,
            others=everything,
            below={name: _series(rest) for name, (_, rest) in parted.items() if rest},
        )

    def at(self, series: str, budget: float, split: str) -> Point | None:
        """Return the best point of a series within a budget by nas_val, as it is on a split; None where none is."""
        best = self.best(series, budget)
        if best is None or split == "nas_val":
            return best
        found = next((point for point in self.on_val if point.architecture == best.architecture), None)
        # A cost that is measured was measured again.
        return None if found is None else replace(found, cost=best.cost)

    def _above(self, other: str, budget: float, split: str, errors: float) -> bool:
        own, others = self.at(SEARCHED, budget, split), self.at(other, budget, split)
        return own is not None and (others is None or own.value - others.value > errors * (own.error or 0.0))

    def to_json(self) -> dict[str, Any]:
        """Return everything as a JSON object."""
        return {
            "objective": self.objective,
            "cost": self.cost,
            "images": self.images,
            "budget": self.budget,
            "series": {name: [_to_json(point) for point in points] for name, points in self.series.items()},
            "on_val": [_to_json(point) for point in self.on_val],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Fronts:
        """Return what `to_json` was given."""
        series = {name: tuple(_from_json(one) for one in points) for name, points in values["series"].items()}
        on_val = tuple(_from_json(one) for one in values["on_val"])
        return cls(values["objective"], values["cost"], values["images"], values["budget"], series, on_val)

    def save(self, folder: Path) -> None:
        """Write ``front.json`` to a run's folder."""
        write_object(folder / FRONT, self.to_json())

    @classmethod
    def load(cls, folder: Path) -> Fronts:
        """Read a run's ``front.json``.

        Raises:
            FileNotFoundError: If the run has none, as where it searched without a cost.
            ValueError: If it is damaged.
        """
        path = folder / FRONT
        if not path.exists():
            raise FileNotFoundError(f"there is no {path}: the run has not ended its search, or searched without a cost")
        try:
            return cls.from_json(json.loads(path.read_bytes()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is damaged: {error!r}") from error


def middle_of(costs: Sequence[float]) -> float:
    """Return which of some positive costs is nearest to the geometric mean of the least and the largest.

    It is the budget of a run whose settings have none, of the costs of the hand-made family.
    """
    middle = math.sqrt(min(costs) * max(costs))
    return min(costs, key=lambda cost: abs(math.log(cost / middle)))


def _points(trials: Iterable[Trial], objective: str, cost: str) -> tuple[Point, ...]:
    points = [
        Point(
            trial.architecture, trial.metrics[cost], trial.metrics[objective], trial.metrics.get(error_name(objective))
        )
        for trial in trials
    ]
    return tuple(sorted(points, key=lambda point: (point.cost, -point.value)))


def _parted(points: Sequence[Point]) -> tuple[list[Point], list[Point]]:
    """Return which points, cheapest first, are better than all cheaper ones, and the rest."""
    front: list[Point] = []
    for point in points:
        if not front or point.value > front[-1].value:
            front.append(point)
    return front, [point for point in points if point not in front]


def _series(points: Sequence[Point]) -> Series:
    errors = [point.error for point in points if point.error is not None]
    return Series(
        [point.cost for point in points],
        [point.value for point in points],
        errors if len(errors) == len(points) else None,
    )


def _cell(point: Point, *, bold: bool) -> str:
    error = "" if point.error is None else f" ± {point.error:.1f}"
    text = f"{point.value:.1f}{error} ({point.cost:.3g})"
    return f"[bold]{text}[/bold]" if bold else text


def _to_json(point: Point) -> dict[str, Any]:
    return {
        "architecture": point.architecture.to_json(),
        "cost": point.cost,
        "value": point.value,
        "standard_error": point.error,
    }


def _from_json(values: Mapping[str, Any]) -> Point:
    return Point(Architecture(values["architecture"]), values["cost"], values["value"], values["standard_error"])
