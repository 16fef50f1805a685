"""Measures how far one driver goes, and writes ``docs/scaling.md``.

Run as ``python -m benchmarks.scaling [--only overhead utilisation batches real beyond]``; half an hour or so on
a core. Results go into ``benchmarks/results/scaling``; ``--page`` writes the page alone. ``--log FILE`` takes the
delays of the simulation from a journal, or from a table of NAS-Bench-201 (``.npz``), and keeps their quantiles.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.scaling.batches import ask_times, strategies
from benchmarks.scaling.beyond import (
    MEANS,
    delays_of_journal,
    delays_of_nasbench201,
    simulate_many,
    write_quantiles,
)
from benchmarks.scaling.overhead import contestants, measure
from benchmarks.scaling.real import in_processes, on_ray
from benchmarks.scaling.report import write_page
from benchmarks.scaling.utilisation import cases, simulate, uniform

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "scaling"
REAL_WORKERS, REAL_TRIALS = 8, 400


def overhead(trials: int) -> Iterator[dict[str, Any]]:
    """Yield what a trial costs in each library."""
    for contestant in contestants():
        yield measure(contestant, trials)


def utilisation(trials: int) -> Iterator[dict[str, Any]]:
    """Yield how busy simulated workers are."""
    for case in cases():
        yield simulate(case, "wall" if case.journal == "synced" else "processor", uniform(case))


def batches(trials: int) -> Iterator[dict[str, Any]]:
    """Yield what proposals take one by one, and many at once."""
    yield from map(ask_times, strategies())


def real(trials: int) -> Iterator[dict[str, Any]]:
    """Yield how busy workers are that exist."""
    yield in_processes(REAL_WORKERS, REAL_TRIALS)
    if find_spec("ray"):
        yield from on_ray(REAL_WORKERS, REAL_TRIALS)


def beyond(trials: int) -> Iterator[dict[str, Any]]:
    """Yield how busy thousands of workers are."""
    quantiles = json.loads((RESULTS / "delays.json").read_text())["quantiles"]
    for mean in MEANS:
        yield simulate_many(quantiles, mean)


PARTS: dict[str, Callable[[int], Iterator[dict[str, Any]]]] = {
    "overhead": overhead,
    "utilisation": utilisation,
    "batches": batches,
    "real": real,
    "beyond": beyond,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--trials", type=int, default=10_000, help="of the overhead")
    parser.add_argument("--log", type=Path, help="where delays come from")
    parser.add_argument("--page", action="store_true", help="write the page alone")
    options = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    if options.log is not None:
        table = options.log.suffix == ".npz"
        delays = (delays_of_nasbench201 if table else delays_of_journal)(options.log)
        source = "the training times of NAS-Bench-201's architectures" if table else f"the journal {options.log.name}"
        write_quantiles(delays, source, RESULTS / "delays.json")
    for name in () if options.page else options.only:
        rows = []
        for row in PARTS[name](options.trials):
            rows.append(row)
            print(json.dumps(row), flush=True)
            (RESULTS / f"{name}.json").write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")
    write_page(RESULTS, ROOT / "docs" / "scaling.md")


if __name__ == "__main__":
    main()
