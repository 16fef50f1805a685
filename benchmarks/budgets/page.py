"""Writes the figures of docs/guide/budgets.md from the results; no number is typed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.budgets.curves import FULL
from benchmarks.budgets.measure import rows_of

BEGIN = "<!-- Written by `python -m benchmarks.budgets` from benchmarks/results/budgets, up to the next comment. -->"
END = "<!-- The end of what is written. -->"
WORDS = """`python -m benchmarks.budgets --table nasbench201.npz`: epochs until a fully trained architecture is as good
as what random search finds with {full} full trainings of {epochs} epochs (the median of {seeds} seeds, {target:.2f}%;
the mean over seeds, {limit:,} where it was not found). The curves of NAS-Bench-201's CIFAR-10 go through what was
measured after 12 and after 200 epochs; between these they are made up."""
HEAD = "| contestant | begun | epochs to the target | reached | ratio |\n|---|---|---|---|---|\n"


def write_figures(results: Path, page: Path) -> None:
    """Replace what stands between the page's two comments by what the results say.

    Raises:
        FileNotFoundError: when there are no results.
        ValueError: when the page lacks the comments.
    """
    text = page.read_text()
    if BEGIN not in text or END not in text:
        raise ValueError(f"{page} needs the lines {BEGIN!r} and {END!r}, between which the figures go.")
    before, _, others = text.partition(BEGIN)
    after = others.partition(END)[2]
    found = json.loads((results / "nasbench201.json").read_text())
    page.write_text(f"{before}{BEGIN}\n\n{_figures(found)}\n{END}{after}")


def _figures(found: Mapping[str, Any]) -> str:
    words = WORDS.format(**found, epochs=FULL, limit=found["full"] * FULL)
    lines = [
        f"| {row.contestant} | {row.begun:.0f} | {row.epochs_to_target:,.0f} | {row.reached:.0%} | {row.ratio:.2f} |\n"
        for row in rows_of(found)
    ]
    return f"{words}\n\n{HEAD}{''.join(lines)}"
