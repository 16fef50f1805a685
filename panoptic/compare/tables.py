"""A comparison for a terminal of 80 columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from autopanoptic.panoptic.compare.rows import Row
from autopanoptic.panoptic.compare.statistics import Mean
from autopanoptic.panoptic.compare.summary import Compared, Line, Summary

SHOWN = {"pq": "PQ", "pq_things": "PQ\nTh", "pq_stuff": "PQ\nSt", "mask_ap": "mask\nAP", "miou": "mIoU"}
"""Metrics of the table, and their headings."""
COSTS = ("M\npar.", "G\nFLOPs", "ms", "train\ns")
NAMES = {"pq": "PQ", "pq_things": "things", "pq_stuff": "stuff", "mask_ap": "AP", "miou": "mIoU"}
APART = 3
"""Categories that are named where the networks lie furthest apart."""


def line_of(row: Row) -> str:
    """Say what a training has come to."""
    found = [f"{NAMES[key]} {row.metrics[key]:.1f}" for key in NAMES if key in row.metrics]
    seconds = f", {row.training_seconds:.0f} s" if math.isfinite(row.training_seconds) else ""
    return f"{row.network}, seed {row.seed}: {', '.join(found)}{seconds}"


def networks_table(summary: Summary) -> Table:
    """Return a row for each network, and below each figure half of its 95% interval over the seeds."""
    counts = {len(line.seeds) for line in summary.lines}
    seeds = f"{min(counts)} to {max(counts)} seeds" if len(counts) > 1 else _counted(max(counts, default=0), "seed")
    table = Table(
        title=f"val, {summary.facts['images']['val']} images, mean of {seeds}",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("network", overflow="fold")
    for heading in (*SHOWN.values(), *COSTS):
        table.add_column(heading, justify="right", no_wrap=True)
    for line in summary.lines:
        table.add_row(
            escape(line.name), *(_value(line.metrics.get(key), "{:.1f}") for key in SHOWN), f"{line.mparams:.3g}",
            f"{line.gflops:.3g}", _value(line.latency_ms, "{:.0f}"), _value(line.seconds, "{:.0f}"),
        )  # fmt: skip
        below = "" if len(counts) == 1 else _counted(len(line.seeds), "seed")
        halves = [_half(line.metrics.get(key)) for key in SHOWN]
        if below or any(halves):
            table.add_row(below, *halves, style="dim")
    return table


def _value(mean: Mean | None, form: str) -> str:
    return "-" if mean is None else form.format(mean.value)


def _half(mean: Mean | None) -> str:
    return "" if mean is None or mean.half is None else f"±{mean.half:.1f}"


def differences_table(found: Sequence[Compared], title: str, other: Callable[[Compared], str] | None = None) -> Table:
    """Return PQ differences with their intervals over the images and over the seeds.

    Args:
        found: The differences.
        title: Of the table.
        other: Names what each is compared with; None where the title does.
    """
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("network", overflow="fold")
    if other is not None:
        table.add_column("minus", overflow="fold")
    for heading in ("PQ", "95% images", "95% seeds"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for one in found:
        images, seeds = one.difference.images, one.difference.seeds
        table.add_row(
            escape(one.one), *([] if other is None else [escape(other(one))]), signed(images.value),
            between(images.low, images.high),
            "one seed" if seeds.half is None else between(seeds.value - seeds.half, seeds.value + seeds.half),
            one.difference.reading,
        )  # fmt: skip
    return table


def signed(value: float) -> str:
    """Return a difference with its sign, of which a zero has none but plus."""
    return f"{round(value, 1) + 0.0:+.1f}"


def between(low: float, high: float) -> str:
    """Return an interval, or a dash where there is none."""
    if not math.isfinite(low):
        return "-"
    return f"[{round(low, 1) + 0.0:.1f}, {round(high, 1) + 0.0:.1f}]"


def tables_of(summary: Summary) -> Iterator[Table]:
    """Yield all tables of a comparison."""
    yield networks_table(summary)
    if summary.differences and summary.against is not None:
        yield differences_table(summary.differences, f"PQ minus that of {escape(summary.against)}, paired")
    if summary.equal_cost:
        yield differences_table(
            summary.equal_cost, "PQ minus that of the network made by hand of equal cost, paired", lambda one: one.other
        )


def notes_of(summary: Summary) -> Iterator[str]:
    """Yield what is to be said beside the tables: the ranks of searched networks, and what is lacking."""
    for line in summary.lines:
        if line.kind == "searched":
            yield rank_of(summary, line)
    if spread := spread_of(summary)[:APART]:
        found = ", ".join(f"{name} {low:.0f} to {high:.0f}" for name, low, high in spread)
        yield f"The categories in which the networks lie furthest apart, by their mean PQ: {found}."
    if summary.lacking:
        names = ", ".join(f"{name} seed {seed}" for name, seed in summary.lacking[:4])
        more = f" and {len(summary.lacking) - 4} more" if len(summary.lacking) > 4 else ""
        yield f"Not trained yet: {names}{more}."


def spread_of(summary: Summary) -> list[tuple[str, float, float]]:
    """Return the categories with the least and the greatest PQ of a network, the widest apart first.

    Of each network its mean over the seeds. Without a second network, and where one of them has not seen a category,
    there is nothing to compare.
    """
    networks = list(summary.categories.values())
    found = []
    for name in networks[0] if len(networks) > 1 else ():
        means = [sum(one[name]) / len(one[name]) for one in networks]
        if all(map(math.isfinite, means)):
            found.append((name, min(means), max(means)))
    return sorted(found, key=lambda one: one[1] - one[2])


def rank_of(summary: Summary, line: Line) -> str:
    """Say where a searched network stands, and how sure that is, whichever way."""
    names = [one.name for one in summary.lines]
    place = names.index(line.name) + 1
    gflops = [one.name for one in sorted(summary.lines, key=lambda one: one.gflops)].index(line.name) + 1
    count = len(names)
    what = f"{line.name}, found by a search: rank {place} of {count} by mean PQ, {gflops} of {count} by fewest GFLOPs"
    if summary.against == line.name:
        below = {one.one for one in summary.differences if one.difference.reading == "below"}
        unsure = [name for name in names if name != line.name and name not in below]
        rest = f"; not surely above {', '.join(unsure)}" if unsure else ", surely above all others"
        return f"{what}{rest}." if count > 1 else f"{what}."
    own = next((one for one in summary.differences if one.one == line.name), None)
    if own is None:
        return f"{what}."
    images = own.difference.images
    return (
        f"{what}; {signed(images.value)} PQ {between(images.low, images.high)} to {summary.against}, "
        f"{own.difference.reading}."
    )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
