"""Networks taken from one elastic supernet beside the same networks trained alone: examples/elastic_space.py, by seeds.

Run as ``python benchmarks/elastic_digits.py [--seeds N] [--json FILE]``. Each seed draws other training, validation and
test digits, other weights and other paths. For each of five budgets, equally spaced in the logarithm of FLOPs from the
smallest network to the largest, it gives the mean test accuracy of the best network within the budget, as it comes from
the supernet and trained alone with as many updates, and the difference with its standard error over the seeds.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
import warnings
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "elastic_space.py"


def example() -> Any:
    spec = spec_from_file_location("elastic_space", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def summary(runs: list[list[tuple[float, float, float]]]) -> list[dict[str, float]]:
    """Return the means over runs of each budget's row of (MFLOPs, accuracy from the supernet, accuracy alone)."""
    found = []
    for rows in zip(*runs, strict=True):
        mflops, shared, alone = (statistics.fmean(column) for column in zip(*rows, strict=True))
        differences = [row[1] - row[2] for row in rows]
        error = statistics.stdev(differences) / math.sqrt(len(rows)) if len(rows) > 1 else math.nan
        found.append(
            {"mflops": mflops, "supernet": shared, "alone": alone, "difference": shared - alone, "error": error}
        )  # fmt: skip
    return found


def show(budgets: list[dict[str, float]]) -> None:
    table = Table(title="test accuracy of the best network within each budget, in %")
    for column in ("MFLOPs", "from the supernet", "alone", "difference", "standard error"):
        table.add_column(column, justify="right")
    for row in budgets:
        table.add_row(
            f"{row['mflops']:.3f}", *(f"{row[key]:.2f}" for key in ("supernet", "alone", "difference", "error"))
        )
    Console().print(table)
    within = sum(row["difference"] >= -1 for row in budgets)
    print(f"within 1 point of the network trained alone at {within} of {len(budgets)} budgets")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="how many runs, of seeds 0, 1, ...")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", ".*does not have many workers")
    module, start = example(), time.process_time()
    runs = [module.main(seed) for seed in range(arguments.seeds)]
    seconds = (time.process_time() - start) / arguments.seeds
    budgets = summary(runs)
    show(budgets)
    print(f"{seconds:.0f} s of processor time a run")
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps({"runs": runs, "budgets": budgets, "seconds": seconds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
