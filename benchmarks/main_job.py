"""What is the main job's search worth? A table of finished runs of ``make search`` with several seeds.

For each run: its seconds, the PQ on val of the three networks that were trained at its budget with their GFLOPs, the
differences with 95% intervals over val's images, and at how many budgets the searched front of paths lies above the
hand-made family's on val at all, and in parentheses by more than a standard error. The smallest budget is that of the
smallest network, in which they cannot differ. Then the mean differences over the runs with 95% intervals over the
seeds (Student's t).

Run as ``python -m benchmarks.main_job runs/A runs/B ... [--json FILE]``, or with ``--json FILE`` alone to print what
was kept there.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats

from autopanoptic.panoptic.results.fronts import HAND_MADE, RANDOM, SEARCHED, Fronts
from autopanoptic.panoptic.run.folder import load_run

NETWORKS = (SEARCHED, RANDOM, HAND_MADE)
KEPT = ("pq", "gflops", "architecture")
"""Of each network, the last one so that it can be trained again; what was kept before has none."""


def read(folder: Path) -> dict[str, Any]:
    """Return what the table says of a run.

    Raises:
        FileNotFoundError: If the run has not ended.
    """
    path = folder / "metrics.json"
    if not path.exists():
        raise FileNotFoundError(f"{path}: the run has not ended; go on with panoptic_search.py --resume")
    metrics, fronts = json.loads(path.read_text()), Fronts.load(folder)
    return {
        "seed": load_run(folder).seed,
        "seconds": round(sum(metrics["seconds"].values())),
        "budget": fronts.budget,
        "networks": {name: {key: metrics["networks"][name][key] for key in KEPT} for name in NETWORKS},
        "differences": metrics["searched_minus"],
        "front_above": {other: fronts.above(other) for other in (HAND_MADE, RANDOM)},
        "front_higher": {other: fronts.above(other, errors=0) for other in (HAND_MADE, RANDOM)},
        "compared": {other: len(fronts.compared_at(other)) for other in (HAND_MADE, RANDOM)},
        "budgets": len(fronts.budgets()),
    }


def table(runs: list[dict[str, Any]]) -> Table:
    """Return a row for each run."""
    found = Table(title="make search; PQ on val, % (GFLOPs); differences with 95% over the images")
    for name in ("seed", "s", *NETWORKS, "- random", "- hand-made", "front above hand-made"):
        found.add_column(name, justify="right")
    for run in runs:
        cells = [f"{run['networks'][name]['pq']:.1f} ({run['networks'][name]['gflops']:.3g})" for name in NETWORKS]
        differences = [_difference(run["differences"].get(name)) for name in (RANDOM, HAND_MADE)]
        higher = run.get("front_higher", {}).get(HAND_MADE, "?")  # unknown of two runs that were kept before
        # What was kept before counted budgets at which the other front does not rise, too.
        budgets = run["compared"][HAND_MADE] if "compared" in run else run["budgets"]
        front = f"{higher} ({run['front_above'][HAND_MADE]}) of {budgets}"
        found.add_row(str(run["seed"]), str(run["seconds"]), *cells, *differences, front)
    return found


def _difference(found: dict[str, float] | None) -> str:
    return "the same" if found is None else f"{found['value']:+.1f} [{found['low']:.1f}, {found['high']:.1f}]"


def summary(runs: list[dict[str, Any]]) -> list[str]:
    """Return the mean differences, and how often the searched network was below beyond the images."""
    lines = []
    for other in (RANDOM, HAND_MADE):
        pairs = [run["differences"].get(other, {"value": 0.0, "high": 0.0}) for run in runs]
        values = [pair["value"] for pair in pairs]
        below = sum(pair["high"] < 0 for pair in pairs)
        interval = ""
        if len(values) > 1 and np.std(values) > 0:
            low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
            interval = f" [{low:.1f}, {high:.1f}]"
        lines.append(
            f"searched - {other}: {np.mean(values):+.1f}{interval} over {len(runs)} seeds; below beyond the images in "
            f"{below}"
        )
    return lines


def main() -> None:
    """Print the table of some runs, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="*", help="folders of finished runs")
    parser.add_argument("--json", type=Path, help="where the figures are kept")
    asked = parser.parse_args()
    if not asked.runs and asked.json is None:
        parser.error("give folders of runs, or --json with what was kept")
    runs = [read(folder) for folder in asked.runs] or json.loads(asked.json.read_text())
    if asked.runs and asked.json is not None:
        asked.json.write_text(json.dumps(runs, indent=1) + "\n")
    Console(width=140).print(table(runs), *summary(runs), sep="\n")


if __name__ == "__main__":
    main()
