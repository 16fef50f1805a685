"""Writes docs/scaling.md from the results; no number is typed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

HEAD = """# How far one driver goes

<!-- Written by `python -m benchmarks.scaling --page` from benchmarks/results/scaling. Do not edit. -->

One program, the driver, asks the strategy, writes the journal and hands out trials. What that takes is time in which a
worker may wait. The space has 49 choices of 10 options; an evaluation costs next to nothing or sleeps, so that all that
is measured is the driver. Measured on {cores} cores ({cpu}): seconds of the processor are the driver's own, but for
what a crowded cache costs; wall-clock seconds show other work as well. Under each table stands the load of
the machine as its last row was measured."""
LOAD = "Load of the machine: {load:.1f} on {cores} cores."
OVERHEAD = """## One trial after another

Random search unless it says otherwise, milliseconds a trial, all in one run. Ratios are to the first row, by the
processor's time."""
UTILISATION = """## How busy workers are

A discrete-event simulation: evaluations take 50% to 150% of their mean by a clock of their own, and the driver's real
time passes on it, so that a worker is idle from the end of a trial until the driver has given it the next. The first
and the last tenth of a search do not count. "written" is a journal without fsync, "synced" one with it, where the
driver's time is the wall's: it waits for the disk once for all results that have come meanwhile."""
GENERATIONS = """`Evolution`, `NSGA2` and `PathPriority`'s answers wait for whole generations, as their papers have
them: at a generation's end workers wait for its slowest trial, whatever the driver does. Take a population of several
times the workers, or `RegularizedEvolution`, which never waits."""
BATCHES = """## Many proposals at once

`ask(k)` after {told} trials: milliseconds of the processor for one proposal and for {batch} at once, without a journal.
`BayesianOptimization` learns its model once for a batch; the others have no model, and propose one after another."""
REAL = """## Real workers

Trials that sleep for a tenth of a second in real workers on this machine; idle is the mean time between two trials of a
worker. The last row has no line of this library in its loop: the same tasks, on the same Ray, are given to actors of
their own, each the next one as soon as `ray.wait` says that it is free. What it takes is Ray's; what `RayExecutor`
takes beyond it is ours. Ray's own start is not counted."""
BEYOND = """## Where a single driver ends

{workers:,} simulated workers; delays are drawn from a log ({source};
{delays:,} delays), scaled to a mean. "keeps busy" is how many workers the driver could serve without a pause. Each
worker has {each} trials on average, and the first and the last tenth of the search, where workers wait for a first
trial or have had their last, do not count. What
would come then: several drivers, each with a search and a seed of its own, whose journals warm-start each other
(`warm_start`); or several trials at a time for a worker."""
COMMANDS = """```bash
python -m benchmarks.scaling                    # all of it
python -m benchmarks.scaling --only overhead    # a part
```"""


def write_page(results: Path, page: Path) -> None:
    """Write the page from the files of a folder; parts that have not been measured are left out.

    Raises:
        FileNotFoundError: when nothing has been measured.
    """
    found = {path.stem: json.loads(path.read_text()) for path in sorted(results.glob("*.json"))}
    measured = [name for name in SECTIONS if name in found]
    if not measured:
        raise FileNotFoundError(f"{results} has no results. Run `python -m benchmarks.scaling`.")
    parts = [HEAD.format(**found[measured[0]]["machine"])]
    for name in measured:
        words, rows_of, after = SECTIONS[name]
        rows = found[name]["rows"]
        parts += [words.format(**{**rows[0], "each": _each(rows[0]), **found.get("delays", {})}), rows_of(rows)]
        parts += [LOAD.format(**found[name]["machine"]), *after]
    page.write_text("\n\n".join([*parts, COMMANDS]) + "\n")


def _each(row: dict[str, Any]) -> int:
    return int(row.get("trials", 0)) // int(row.get("workers", 1))


def table(head: str, rows: Iterable[Iterable[str]]) -> str:
    """Return a table whose first column is text and whose others are numbers."""
    names = head.split("|")
    lines = [" | ".join(names), " | ".join(["---"] + ["---:"] * (len(names) - 1)), *(" | ".join(row) for row in rows)]
    return "\n".join(f"| {line} |" for line in lines)


def _overhead(rows: list[dict[str, Any]]) -> str:
    first = rows[0]["cpu_ms"]
    return table(
        "search|trials|processor, ms|wall, ms|ratio",
        (
            (row["name"], f"{row['trials']:,}", f"{row['cpu_ms']:.3f}", f"{row['wall_ms']:.3f}", _ratio(row, first))
            for row in rows
        ),
    )


def _ratio(row: dict[str, Any], first: float) -> str:
    return f"{row['cpu_ms'] / first:.1f}"


def _utilisation(rows: list[dict[str, Any]]) -> str:
    return table(
        "strategy|workers|seconds a trial|journal|driver's time|ms a trial|busy",
        (
            (
                f"`{row['strategy'].split('(')[0]}`" + _population(row["strategy"]),
                f"{row['workers']}",
                f"{row['seconds']:g}",
                row["journal"],
                row["clock"],
                f"{row['ms_a_trial']:.2f}",
                f"{row['busy']:.1%}",
            )
            for row in rows
        ),
    )


def _population(strategy: str) -> str:
    inside = strategy.partition("(")[2].rstrip(")").split(", ")
    return next((f", {one.replace('=', ' ')}" for one in inside if one.startswith("population")), "")


def _batches(rows: list[dict[str, Any]]) -> str:
    return table(
        "strategy|one, ms|batch, ms|batch, ms a proposal|batch / one",
        (
            (
                f"`{row['strategy'].split('(')[0]}`" + _population(row["strategy"]),
                f"{row['one_ms']:.2f}",
                f"{row['batch_ms']:.2f}",
                f"{row['batch_ms'] / row['batch']:.2f}",
                f"{row['batch_ms'] / row['one_ms']:.1f}",
            )
            for row in rows
        ),
    )


def _real(rows: list[dict[str, Any]]) -> str:
    return table(
        "executor|workers|trials|busy|idle, ms a trial|driver, ms of the processor a trial",
        (
            (
                f"`{row['executor']}`" if row["executor"].isidentifier() else row["executor"],
                f"{row['workers']}",
                f"{row['trials']:,}",
                f"{row['busy']:.1%}",
                f"{row['idle_ms']:.1f}",
                f"{row['driver_ms']:.2f}",
            )
            for row in rows
        ),
    )


def _beyond(rows: list[dict[str, Any]]) -> str:
    return table(
        "mean seconds of a trial|ms a trial|busy|keeps busy, workers",
        (
            (
                f"{row['seconds']:g}",
                f"{row['ms_a_trial']:.2f}",
                f"{row['busy']:.1%}",
                f"{row['keeps_busy']:,.0f} workers",
            )
            for row in rows
        ),
    )


SECTIONS: dict[str, tuple[str, Callable[[list[dict[str, Any]]], str], list[str]]] = {
    "overhead": (OVERHEAD, _overhead, []),
    "utilisation": (UTILISATION, _utilisation, [GENERATIONS]),
    "batches": (BATCHES, _batches, []),
    "real": (REAL, _real, []),
    "beyond": (BEYOND, _beyond, []),
}
"""Of each file of results: its words, what makes a table of its rows, and what follows."""
