"""``python -m benchmarks.smoke``; see benchmarks/pipeline_smoke.sh."""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.smoke.compare import differences
from benchmarks.smoke.plan import full, short
from benchmarks.smoke.walks import SmokeError, Times, disturbed, undisturbed


def main() -> int:
    parser = argparse.ArgumentParser(description="Every stage on scenes, undisturbed and killed: do both end alike?")
    parser.add_argument("--short", action="store_true", help="one program for most stages, about four minutes")
    parser.add_argument("--seed", type=int, default=0, help="decides the moments")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="a new folder for the runs; by default they are removed"
    )
    options = parser.parse_args()
    if options.keep is None:
        with tempfile.TemporaryDirectory() as folder:
            return smoke(Path(folder), options.seed, is_short=options.short)
    options.keep.mkdir(parents=True)
    return smoke(options.keep, options.seed, is_short=options.short)


def smoke(folder: Path, seed: int, *, is_short: bool) -> int:
    """Walk both ways at the same time, a core each, and compare where they end; return the exit code."""
    begun = time.monotonic()
    ways = {name: folder / name for name in ("undisturbed", "disturbed")}
    for way in ways.values():
        way.mkdir()
    steps, times, problems = short() if is_short else full(), Times(), []

    def say(line: str) -> None:
        print(f"{time.monotonic() - begun:6.0f} s  {line}", flush=True)

    def walk() -> None:
        try:
            undisturbed(steps, ways["undisturbed"], times, say)
        except SmokeError as error:
            problems.append(str(error))
            times.fail()

    thread = threading.Thread(target=walk)
    thread.start()
    try:
        disturbed(steps, ways["disturbed"], times, seed, say, interrupts=not is_short)
    except SmokeError as error:
        problems.append(str(error))
    thread.join()
    if not problems:
        problems, alike = differences(*ways.values())
        say(f"{alike} files are alike")
    for problem in problems:
        say(f"FAILED {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
