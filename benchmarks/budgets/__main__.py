"""How many epochs schedules of budgets need for what random search finds with full trainings.

Run as ``python -m benchmarks.budgets [--table nasbench201.npz] [--full 100] [--seeds 20]``. Everybody
gets the same number of epochs, enough for ``--full`` full trainings, and evaluates in one process. The target is what
random search with full trainings has found at the end, the median over the seeds. The table tells after how many
epochs, on average over the seeds, a contestant has trained an architecture in full that is at least as good (all its
epochs where it has not), the ratio of random search's epochs to these, and the best at the end.

Without a table the curves are made up: architectures of 8 choices of 5 options have final accuracies and speeds of
learning that are not related to each other, and noise. With one of NAS-Bench-201 they go through what was measured
after 12 epochs and after 200 (one run each, CIFAR-10's validation half) by a power law of the number of epochs: between
these two, and below, they are made up as well. 12 and 200 epochs are trainings of their own there, with learning rates
that end at 0.

Optuna's ``SuccessiveHalvingPruner`` (with its random sampler) and Ray Tune's ``AsyncHyperBandScheduler`` take part
where they are installed. Both end trials where ours are paused. Of Ray Tune only the rule that decides is run, in the
order in which one worker reports, as its own processes would take longer than all epochs here.

What each seed gave goes into ``benchmarks/results/budgets``, and the table of NAS-Bench-201 into
``docs/guide/budgets.md``; ``--page`` writes the page alone, from what is there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.budgets.contestants import contestants
from benchmarks.budgets.curves import FULL, made_up, of_table
from benchmarks.budgets.measure import measured, rows_of
from benchmarks.budgets.page import write_figures

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "budgets"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, help="of NAS-Bench-201; made-up curves without")
    parser.add_argument("--full", type=int, default=100, help="full trainings that the epochs are enough for")
    parser.add_argument("--seeds", type=int, default=20, help="searches of each")
    parser.add_argument("--page", action="store_true", help="write the page alone")
    given = parser.parse_args()
    if not given.page:
        curves = made_up() if given.table is None else of_table(given.table)
        found = measured(curves, contestants(), given.full, given.seeds)
        show(found)
        RESULTS.mkdir(parents=True, exist_ok=True)
        path = RESULTS / ("made_up.json" if given.table is None else "nasbench201.json")
        path.write_text(json.dumps(found, indent=1) + "\n")
    write_figures(RESULTS, ROOT / "docs" / "guide" / "budgets.md")


def show(found: Mapping[str, Any]) -> None:
    """Print the table."""
    title = f"{found['full'] * FULL} epochs, {found['seeds']} seeds, target {found['target']:.2f}%"
    table = Table(title=title)
    for heading in ("contestant", "begun", "epochs to the target", "reached", "ratio", "best at the end"):
        table.add_column(heading, justify="left" if heading == "contestant" else "right")
    for row in rows_of(found):
        numbers = (f"{row.begun:.0f}", f"{row.epochs_to_target:.0f}", f"{row.reached:.0%}", f"{row.ratio:.2f}")
        table.add_row(row.contestant, *numbers, f"{row.best:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
