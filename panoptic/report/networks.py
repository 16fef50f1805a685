"""The compared networks: a table with intervals, and what the searched one is worth beside each other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from shlex import quote
from typing import Any

from autopanoptic.panoptic.quality.bootstrap import Estimate, bootstrap
from autopanoptic.panoptic.report.blocks import Block, Cell, Lacking, Paragraph, Section, Table
from autopanoptic.panoptic.report.measured import Measured
from autopanoptic.panoptic.report.run import Run
from autopanoptic.panoptic.stages.comparison import reading

QUALITIES = {"pq": "PQ", "pq_things": "PQ things", "pq_stuff": "PQ stuff", "sq": "SQ", "rq": "RQ"}
COSTS = {"gflops": ("GFLOPs", "{:.3g}"), "mparams": ("parameters", "{:.2f} M"), "latency_ms": ("latency", "{:.1f} ms")}


def networks_section(run: Run, measured: Measured) -> Section:
    """Return the comparison of the trained networks."""
    return Section("networks", "Compared networks", list(_blocks(run, measured)))


def _blocks(run: Run, measured: Measured) -> Iterator[Block]:
    if run.metrics is None:
        yield Lacking(f"The run has not compared its networks yet: it is not finished. {_way(run)}")
        return
    yield _table(run.networks, measured)
    if not run.compared:
        yield Lacking(f"These are the networks that `evaluate` has measured. {_way(run)}")
    if measured.lacking:
        yield Lacking(f"No intervals stand here. {measured.lacking}")
    differences = {name: Estimate.from_json(one) for name, one in run.metrics.get("searched_minus", {}).items()}
    if differences:
        yield _differences(differences)
        yield Paragraph(
            "Intervals are over the images alone, by the bootstrap, those of differences paired. Another seed of the "
            "trainings changes more."
        )
    finalists: Mapping[str, float] = run.metrics.get("finalists_on_nas_val") or {}
    if finalists:
        shown = ", ".join(f"{name} {value:.1f}" for name, value in finalists.items())
        yield Paragraph(
            f"The searched network is the best of {len(finalists)} trained finalists, by {run.objective} on nas_val: "
            f"{shown}. The others were trained once each."
        )
    screened: Mapping[str, float] = run.metrics.get("screened_on_nas_val") or {}
    if screened:
        yield Paragraph(
            f"Finalists were chosen by short trainings of {len(screened)} candidates, which came to "
            f"{min(screened.values()):.1f} to {max(screened.values()):.1f} {run.objective} on nas_val."
        )


def _way(run: Run) -> str:
    return (
        f"`autopanoptic panoptic evaluate {quote(run.name)}` measures what is trained, and `autopanoptic panoptic run "
        f"--resume --name {quote(run.name)}` trains and measures what it is to be compared with, too."
    )


def _table(networks: Mapping[str, Mapping[str, Any]], measured: Measured) -> Table:
    best = {key: _best([one[key] for one in networks.values() if one.get(key) is not None]) for key in QUALITIES}
    rows = []
    for name, one in networks.items():
        qualities = [_quality(one, key, best[key], measured, name) for key in QUALITIES]
        rows.append((name, [*qualities, *_costs(one)]))
    note = "" if measured.lacking else "; below each quality its 95% interval over the images"
    columns = ("network", *QUALITIES.values(), *(heading for heading, _ in COSTS.values()))
    return Table(f"On val, in percent{note}. The best of a column is bold.", columns, rows)


def _costs(one: Mapping[str, Any]) -> Iterator[Cell]:
    for key, (_, form) in COSTS.items():
        yield Cell(
            form.format(one[key]) if one.get(key) is not None else "-"
        )  # a latency is measured by the whole run alone


def _best(values: Sequence[float]) -> float | None:
    """Return the highest; None where all are alike, so that none stands out."""
    return max(values) if len(set(values)) > 1 else None


def _quality(one: Mapping[str, Any], key: str, best: float | None, measured: Measured, name: str) -> Cell:
    if one.get(key) is None:  # nothing of its group was seen
        return Cell("-")
    found = bootstrap(measured.counts[name], key) if name in measured.counts else None
    known = found is not None and math.isfinite(found.low)
    note = f"{found.low:.1f} to {found.high:.1f}" if found is not None and known else ""
    return Cell(f"{one[key]:.1f}", note, best=one[key] == best)


def _between(found: Estimate) -> str:
    return f"{_signed(found.low)} to {_signed(found.high)}" if math.isfinite(found.low) else "-"


def _differences(found: Mapping[str, Estimate]) -> Table:
    rows = [
        (
            f"searched minus {name}",
            (Cell(_signed(one.value)), Cell(_between(one)), Cell(reading(one))),
        )
        for name, one in found.items()
    ]
    images = next(iter(found.values())).images
    columns = ("networks", "PQ", "95% interval", "the searched network")
    return Table(f"Differences on the same {images} images of val", columns, rows, words=(3,))


def _signed(value: float) -> str:
    return f"{round(value, 1) + 0.0:+.1f}"  # a zero has no minus
