"""How long a journal of many trials takes to open, and how much memory; and what an append reads and costs then.

Run as ``python -m benchmarks.journal_size [--trials 100000] [--choices 49] [--json FILE]``. A search and a result are
each opened in a process of their own, whose memory is the largest that the system has seen of it, Python included.
An append waits for the disk, which is most of ``ms_an_append``; ``cpu_ms_an_append`` is without it, but with what a run
takes that begins. ``docs/reliability.md`` quotes what ``--json benchmarks/results/journal_size.json`` has written
(``python -m benchmarks.faults --page``).
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import machine

OPEN = """
import json, os, resource, sys, time
from pathlib import Path
from autopanoptic.nas import Choice, RandomSearch, Result, Search, SearchSpace
kind, path, choices = sys.argv[1:]
space = SearchSpace([Choice(f"c{index}", range(10)) for index in range(int(choices))])
before, worked = time.perf_counter(), time.process_time()
if kind == "search":
    opened = Search(space, RandomSearch(), lambda architecture: 1.0, journal=path)
else:
    opened = Result.from_journal(path)
seconds, work = time.perf_counter() - before, time.process_time() - worked
unit = 2**20 if sys.platform == "darwin" else 2**10
found = {"opened": kind, "seconds": seconds, "cpu_seconds": work, "trials": len(opened.history),
         "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit}
if kind == "search":
    io = Path("/proc/self/io")
    read = lambda: int(io.read_text().split()[1]) if io.exists() else None
    already, before, worked, count = read(), time.perf_counter(), time.process_time(), opened.journal.count
    opened.run(len(opened.history) + 10, progress=False)
    seconds, work, count = time.perf_counter() - before, time.process_time() - worked, opened.journal.count - count
    found.update(ms_an_append=seconds / count * 1e3, cpu_ms_an_append=work / count * 1e3)
    found["bytes_read_by_appends"] = None if already is None else read() - already
print(json.dumps(found))
"""


def write_journal(path: Path, trials: int, choices: int) -> None:
    """Write the journal of a random search of so many trials, each completed before the next."""
    from autopanoptic.nas import Choice, RandomSearch, Search, SearchSpace

    space = SearchSpace([Choice(f"c{index}", range(10)) for index in range(choices)])
    with Search(space, RandomSearch(), journal=path) as search:
        search.ask()
    header = path.read_text().splitlines(keepends=True)[0]
    rng, seen = random.Random(0), set()
    with path.open("w") as file:
        file.write(header)
        for number in range(trials):
            while (row := tuple(rng.choices(range(10), k=choices))) in seen:
                pass
            seen.add(row)
            options, time = {f"c{index}": option for index, option in enumerate(row)}, 1.7e9 + number
            asked = {"event": "asked", "trial": number, "architecture": options, "time": time}
            ended = {"event": "completed", "trial": number, "metrics": {"value": rng.random()}, "seconds": 0.5}
            file.write(json.dumps(asked) + "\n" + json.dumps({**ended, "time": time + 0.5}) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--choices", type=int, default=49, help="of 10 options each")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.jsonl"
        write_journal(path, options.trials, options.choices)
        size = path.stat().st_size / 2**20
        print(f"{options.trials:,} trials of {options.choices} choices, {size:.0f} MB")
        found = []
        for kind in ("result", "search"):
            command = [sys.executable, "-c", OPEN, kind, str(path), str(options.choices)]
            found.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
            shown = (
                f"{name} {round(value, 2) if isinstance(value, float) else value}" for name, value in found[-1].items()
            )
            print(", ".join(shown), flush=True)
    if options.json:
        values = {
            "machine": machine(), "trials": options.trials, "choices": options.choices, "megabytes": size,
            "opened": found,
        }  # fmt: skip
        options.json.write_text(json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    main()
