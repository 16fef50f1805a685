"""Counts the faults that searches and trainings survive, and writes ``docs/reliability.md``.

Run as ``python -m benchmarks.faults [--kills 100] [--files 10000] [--only NAME ...]``; half an hour or so on one core.
Each count goes into ``benchmarks/results/faults``. ``--page`` writes the page alone, from the counts that are there.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.faults.cluster import cluster
from benchmarks.faults.count import Count
from benchmarks.faults.cutting import cut
from benchmarks.faults.driver import WORKERS
from benchmarks.faults.full_disk import full
from benchmarks.faults.full_disk_training import full_in_training
from benchmarks.faults.killed_panoptic import panoptic_training_killed
from benchmarks.faults.killed_training import training_killed
from benchmarks.faults.killing import killed
from benchmarks.faults.nodes import node_lost
from benchmarks.faults.page import write_page
from benchmarks.faults.small_disk import can_mount, small_disk
from benchmarks.faults.strangers import strangers
from benchmarks.faults.workers import workers_killed

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "faults"
JOURNAL_SIZE = ROOT / "benchmarks" / "results" / "journal_size.json"
KILLS_OF_WORKERS = 30
KILLS_OF_TRAININGS, KILLS_OF_PANOPTIC_TRAININGS = 20, 4


def killed_on_cluster(folder: Path, kills: int) -> Count:
    """Kill drivers that are connected to a cluster, which outlives them."""
    with cluster(WORKERS):
        return killed(folder, kills, "ray")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="of the driver, at most 400")
    parser.add_argument("--files", type=int, default=10_000, help="of strangers")
    parser.add_argument("--only", nargs="+", default=[], help="of the kinds of faults")
    parser.add_argument("--page", action="store_true", help="write the page alone")
    options = parser.parse_args()
    faults: dict[str, Callable[[Path], Count]] = {
        "cut": cut,
        "full_disk": full,
        "full_disk_training": full_in_training,
        "killed": lambda folder: killed(folder, options.kills),
        "killed_processes": lambda folder: killed(folder, options.kills // 2, "processes"),
        "killed_ray": lambda folder: killed_on_cluster(folder, options.kills // 5),
        "killed_training": partial(training_killed, kills=KILLS_OF_TRAININGS),
        "killed_training_panoptic": partial(panoptic_training_killed, kills=KILLS_OF_PANOPTIC_TRAININGS),
        "nodes": node_lost,
        "strangers": lambda folder: strangers(folder, options.files),
        "workers_processes": partial(workers_killed, kills=KILLS_OF_WORKERS, executor="processes"),
        "workers_ray": partial(workers_killed, kills=KILLS_OF_WORKERS, executor="ray"),
    }
    if can_mount(Path(tempfile.gettempdir())):
        faults["full_tmpfs"] = small_disk
    for name in () if options.page else options.only or faults:
        with tempfile.TemporaryDirectory() as folder:
            count = faults[name](Path(folder))
        print(f"{count.survived:,} of {count.faults:,} survived: {count.fault}", flush=True)
        count.save(RESULTS / f"{name}.json")
    write_page(RESULTS, JOURNAL_SIZE, ROOT / "docs" / "reliability.md")


if __name__ == "__main__":
    main()
