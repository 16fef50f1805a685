"""The search itself: its front, its history, and the options of its best quarter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from autopanoptic.nas import Result
from autopanoptic.nas.space.architecture import Option
from autopanoptic.nas.trials.trial import Trial, TrialState
from autopanoptic.panoptic.report.blocks import Block, Cell, Figure, Fold, Lacking, Paragraph, Section, Table
from autopanoptic.panoptic.report.images import drawn
from autopanoptic.panoptic.report.run import Run
from autopanoptic.panoptic.results.fronts import UNITS, Fronts, Point
from autopanoptic.panoptic.search.evaluator import error_name

BEST = 10
"""Candidates that are listed."""
ENDINGS = {
    "trials": "It ended after as many candidates as were asked for.",
    "seconds": "It ended when its time was up.",
    "strategy": "It ended when the strategy had nothing more to propose.",
}


def front_section(run: Run) -> Section:
    """Return the fronts of a search with a cost."""
    return Section("front", "Front", list(_front(run)))


def _front(run: Run) -> Iterator[Block]:
    fronts = run.fronts
    if run.settings.search.cost is None:
        yield Lacking("The run searched for quality alone, without a cost, so there is no front.")
        return
    if fronts is None:
        yield Lacking("The front is not known yet: the search, or the measuring beside it, has not ended.")
        return
    unit, summary = UNITS[fronts.cost], fronts.summary()
    alt = f"{fronts.title} against {unit} of the candidates on nas_val, with the front of each series. {summary}"
    yield Figure(
        drawn(partial(fronts.draw, searched=run.searched), alt), "Paths of the supernet, before any of them is trained"
    )
    yield _budgets(fronts)
    yield Paragraph(f"{summary} {fronts.budget_line(run.settings.search.finalists, run.settings.search.compared)}")


def _budgets(fronts: Fronts) -> Table:
    rows = []
    for budget in fronts.budgets():
        points = {name: fronts.at(name, budget, fronts.split) for name in fronts.series}
        top = max((point.value for point in points.values() if point is not None), default=None)
        rows.append((f"{budget:.3g}", [_point(point, fronts, top) for point in points.values()]))
    chosen = ", where none of them was chosen" if fronts.split == "val" else ""
    unit = UNITS[fronts.cost]
    caption = f"{fronts.title} on {fronts.split}{chosen}: the best path within a budget, ± its standard error"
    return Table(caption, (f"budget ({unit})", *fronts.series), rows)


def _point(point: Point | None, fronts: Fronts, top: float | None) -> Cell:
    if point is None:
        return Cell("-")
    error = "" if point.error is None else f" ± {point.error:.1f}"
    return Cell(f"{point.value:.1f}{error}", f"{point.cost:.3g} {UNITS[fronts.cost]}", best=point.value == top)


def history_section(run: Run) -> Section:
    """Return how the search went."""
    return Section("search", "Search", list(_history(run)))


def _history(run: Run) -> Iterator[Block]:
    result, objective = run.searched, run.objective
    best, completed = result.best, result.history.n_completed
    counts = {state: sum(trial.state is state for trial in result.history) for state in TrialState}
    others = [
        f"{counts[state]} {words}"
        for state, words in ((TrialState.STOPPED, "given up on the way"), (TrialState.FAILED, "failed"))
        if counts[state]
    ]
    yield Paragraph(
        f"{run.settings.search.strategy} measured {completed} candidates{_listed(others)}. "
        + ENDINGS.get(result.ended or "", "It has not ended yet.")
    )
    value = best.metrics[objective]
    alt = f"{objective} of each of {completed} candidates and the best so far; the best, {value:.1f}, is {best.id}."
    yield Figure(
        drawn(result.plot_history, alt), f"{objective} on nas_val by paths of the supernet, in the order of the search"
    )
    yield Fold(f"The first {min(BEST, completed)} candidates", [_candidates(result)])


def _listed(others: list[str]) -> str:
    return f"; {' and '.join(others)}" if others else ""


def _candidates(result: Result) -> Table:
    objectives = [one.name for one in result.history.objectives]
    names = [name for name in (*objectives, error_name(objectives[0]), "mparams") if name in result.best.metrics]
    rows = [(str(trial.id), _candidate(trial, names)) for trial in result.history.ranked()[:BEST]]
    columns = ("candidate", "architecture", *(name.replace("_", " ") for name in names))
    order = "those that no other dominates first" if len(objectives) > 1 else "best first"
    return Table(f"As paths of the supernet on nas_val, {order}", columns, rows, words=(1,))


def _candidate(trial: Trial, names: list[str]) -> list[Cell]:
    values = (trial.metrics.get(name) for name in names)
    return [Cell(trial.architecture.id), *(Cell("-" if value is None else f"{value:.4g}") for value in values)]


def options_section(run: Run) -> Section:
    """Return which options the best quarter of the candidates has."""
    top = max(1, run.searched.history.n_completed // 4)
    counts = run.searched.option_counts(top)
    whose = "the best candidate" if top == 1 else f"the best {top} of {run.searched.history.n_completed} candidates"
    alt = f"A bar for each of {len(counts)} choices, divided by how often {whose} took each option, as the table says."
    return Section(
        "options",
        "Options of the best quarter",
        [
            Figure(drawn(partial(run.searched.plot_options, top=top), alt), f"What {whose} are made of"),
            Fold("The same as a table", [_options(counts, whose)]),
        ],
    )


def _options(counts: Mapping[str, Mapping[Option, int]], whose: str) -> Table:
    rows = []
    for label, found in counts.items():
        total = sum(found.values())
        taken = sorted(found.items(), key=lambda item: -item[1])
        listed = ", ".join(f"{option} {count}" for option, count in taken if count)
        most = f"{taken[0][1] / total:.0%}" if total else "-"
        rows.append((label, (Cell(str(taken[0][0]) if total else "-"), Cell(most), Cell(listed or "-"))))
    caption = f"How often {whose} took each option; a choice that others switch off has none"
    return Table(caption, ("choice", "most often", "share", "all"), rows, words=(1, 3))
