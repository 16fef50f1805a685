"""Counts the faults that searches survive, and writes ``docs/reliability.md``.

Run as ``python -m benchmarks.faults [--kills 100] [--files 10000]``; ten minutes or so on one core. Each count goes
into ``benchmarks/results/faults``. ``--page`` writes the page alone, from the counts that are there.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.faults.count import Count
from benchmarks.faults.cutting import cut
from benchmarks.faults.full_disk import full
from benchmarks.faults.killing import killed
from benchmarks.faults.page import write_page
from benchmarks.faults.strangers import strangers

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "faults"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="of the driver, at most 400")
    parser.add_argument("--files", type=int, default=10_000, help="of strangers")
    parser.add_argument("--page", action="store_true", help="write the page alone")
    options = parser.parse_args()
    faults: dict[str, Callable[[Path], Count]] = {
        "cut": cut,
        "full_disk": full,
        "killed": lambda folder: killed(folder, options.kills),
        "strangers": lambda folder: strangers(folder, options.files),
    }
    for name, inject in () if options.page else faults.items():
        with tempfile.TemporaryDirectory() as folder:
            count = inject(Path(folder))
        print(f"{count.survived:,} of {count.faults:,} survived: {count.fault}", flush=True)
        count.save(RESULTS / f"{name}.json")
    write_page(RESULTS, ROOT / "docs" / "reliability.md")


if __name__ == "__main__":
    main()
