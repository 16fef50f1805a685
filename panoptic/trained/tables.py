"""What was measured, for a terminal of 80 columns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from rich import box
from rich.markup import escape
from rich.table import Table

from autopanoptic.panoptic.quality.bootstrap import Estimate
from autopanoptic.panoptic.trained.evaluation import Evaluation, NetworkEvaluation

SHOWN = {
    "pq": "PQ", "pq_things": "PQ\nthings", "pq_stuff": "PQ\nstuff", "sq": "SQ", "rq": "RQ", "box_ap": "box\nAP",
    "mask_ap": "mask\nAP", "miou": "mIoU",
}  # fmt: skip
"""Metrics of the table, and their headings."""
COMPARED = {"pq": "PQ", "box_ap": "box AP", "mask_ap": "mask AP", "miou": "mIoU"}


def summary(evaluation: Evaluation) -> Table:
    """Return a row for each network, and below each figure its standard error over the images."""
    table = Table(title=f"{evaluation.split}, {evaluation.images} images", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("network", overflow="fold")
    for heading in SHOWN.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for name, one in evaluation.networks.items():
        metrics = one.metrics()
        table.add_row(escape(name), *(f"{metrics[key]:.1f}" if key in metrics else "-" for key in SHOWN))
        table.add_row("", *(_error(one.estimates.get(key)) for key in SHOWN), style="dim")
    return table


def _error(found: Estimate | None) -> str:
    return "" if found is None or not math.isfinite(found.standard_error) else f"±{found.standard_error:.1f}"


def differences(evaluation: Evaluation) -> Table:
    """Return how the first network differs from each other, and below each difference its 95% interval."""
    first = next(iter(evaluation.networks))
    table = Table(
        title=f"{escape(first)} minus another, 95% over the images, paired", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    table.add_column("other", overflow="fold")
    for heading in COMPARED.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for name, found in evaluation.differences.items():
        known = [found.get(metric) for metric in COMPARED]
        table.add_row(escape(name), *("-" if one is None else f"{_plain(one.value):+.1f}" for one in known))
        table.add_row("", *("" if one is None else _interval(one) for one in known), style="dim")
    return table


def _interval(found: Estimate) -> str:
    return f"[{_plain(found.low):.1f}, {_plain(found.high):.1f}]" if math.isfinite(found.low) else "-"


def _plain(value: float) -> float:
    """Without the sign of a zero."""
    return round(value, 1) + 0.0


def by_class(evaluation: Evaluation, name: str) -> Table:
    """Return a row for each class of the data, with what one network is worth on it, and below them their means."""
    one = evaluation.networks[name]
    table = Table(title=f"{escape(name)}, class by class", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("class", overflow="fold")
    for heading in ("kind", "truth", "PQ", "SQ", "RQ", "box\nAP", "mask\nAP", "IoU"):
        table.add_column(heading, justify="left" if heading == "kind" else "right", no_wrap=True)
    for category in evaluation.categories:
        quality = one.quality.per_category[category.id]
        values = (quality.pq, quality.sq, quality.rq, *_others(one, category.id))
        table.add_row(
            escape(category.name), "thing" if category.isthing else "stuff", str(quality.tp + quality.fn),
            *(_percent(value) for value in values),
        )  # fmt: skip
    if one.semantic is not None and not math.isnan(one.semantic.things):
        table.add_row("any thing", "", "", *[""] * 5, _percent(one.semantic.things), style="dim")
    table.add_section()
    means = {"all": one.quality.all, "things": one.quality.things, "stuff": one.quality.stuff}
    for kind, mean in means.items():
        table.add_row(kind, "", "", *(_percent(value) for value in (mean.pq, mean.sq, mean.rq)), *[""] * 3)
    return table


def _others(one: NetworkEvaluation, category: int) -> Iterator[float]:
    for report in (one.precision.get("box"), one.precision.get("mask")):
        yield math.nan if report is None else report.per_category.get(category, math.nan)
    known: Mapping[int, float] = {} if one.semantic is None else one.semantic.per_category
    yield known.get(category, math.nan)


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f}"
