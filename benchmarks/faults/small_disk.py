"""A disk that is truly full: a small tmpfs, in which a search has room for so many pages and no more.

Run as ``python -m benchmarks.faults.small_disk FOLDER SHAPES`` with a tmpfs at the folder; it prints how many
faults there were and how many were survived, as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from autopanoptic.nas import Choice, Journal, JournalError, RegularizedEvolution, Result, Search, SearchSpace
from autopanoptic.nas.journals.mending import Mending
from benchmarks.faults.count import Count
from benchmarks.faults.driver import score

ROOT = Path(__file__).parents[2]
SIZE = "256k"
ALONE = ("unshare", "--user", "--map-root-user", "--mount")
"""Gives a program a namespace of its own, in which it may mount whoever its user is, and which ends with it."""
MOUNT = f'mount -t tmpfs -o size={SIZE} none "$0"'
SHAPES = 24


def can_mount(folder: Path) -> bool:
    """Return whether this system lets a program mount a tmpfs for itself."""
    if shutil.which(ALONE[0]) is None:
        return False
    tried = subprocess.run([*ALONE, "sh", "-c", MOUNT, str(folder)], capture_output=True, check=False)
    return tried.returncode == 0


def small_disk(folder: Path, shapes: int = SHAPES) -> Count:
    """Let searches come to the end of a small disk, and return how often nothing that was written was lost by it.

    The search must end with an error that names the cause, the journal must hold what the search knows, and the search
    made again with more room must end as an uninterrupted one.

    Args:
        folder: over which the tmpfs is mounted, for the processes that do this alone.
        shapes: searches whose records have different lengths, so that the disk ends at other places in them.
    """
    command = [*ALONE, "sh", "-c", f'{MOUNT} && exec "$@"', str(folder)]
    module = [sys.executable, "-m", "benchmarks.faults.small_disk", str(folder), str(shapes)]
    ended = subprocess.run([*command, *module], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    faults, survived = json.loads(ended.stdout)
    return Count(
        f"A tmpfs of {SIZE} that has no page left for a search",
        "the search ends with an error that says so, nothing written before is lost, and the search goes on later",
        faults,
        survived,
    )


def _search(shape: int, journal: Path | None) -> Search:
    space = SearchSpace([Choice("c" * (index + shape), range(5)) for index in range(4)])
    return Search(space, RegularizedEvolution(4, 2), score, journal=journal)


def _fill(path: Path, pages: int) -> None:
    """Take all room of a disk but for so many pages."""
    size = os.sysconf("SC_PAGE_SIZE")
    left = os.statvfs(path.parent)
    path.write_bytes(bytes(left.f_bavail * left.f_frsize - pages * size))


def _survives(folder: Path, shape: int, pages: int, trials: int) -> bool | None:
    """Return whether a search lost nothing; None where it had room enough."""
    path, filler = folder / "j.jsonl", folder / "filler"
    search = _search(shape, path)
    _fill(filler, pages)
    try:
        search.run(trials, progress=False)
    except JournalError as problem:
        error = str(problem)
    else:
        return None
    finally:
        filler.unlink()
    known = not Journal(path).count or list(Result.from_journal(path).history) == list(search.history)
    whole = not Journal(path).count or not Mending(path).to_the_end().problems
    resumed, alone = _search(shape, path).run(trials, progress=False), _search(shape, None).run(trials, progress=False)
    same = [(t.architecture, t.metrics) for t in resumed.history] == [
        (t.architecture, t.metrics) for t in alone.history
    ]
    return "No space left on device" in error and known and whole and same


def main() -> None:
    folder, shapes = Path(sys.argv[1]), int(sys.argv[2])
    faults = survived = 0
    for shape in range(1, shapes + 1):
        pages = 0
        while (found := _survives(folder, shape, pages, trials=40)) is not None:
            faults, survived, pages = faults + 1, survived + found, pages + 1
            (folder / "j.jsonl").unlink()
        (folder / "j.jsonl").unlink()
    print(json.dumps([faults, survived]))


if __name__ == "__main__":
    main()
