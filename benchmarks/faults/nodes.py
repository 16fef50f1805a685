"""A node of a Ray cluster is lost in the middle of a search, and another joins."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from autopanoptic.nas import Architecture, Choice, RandomSearch, RayExecutor, Result, Search, SearchSpace
from benchmarks.faults.cluster import ROOT, cluster
from benchmarks.faults.count import Count

SPACE = SearchSpace([Choice("a", range(10_000))])
NODES, WORKERS, CPUS = 3, 4, 2
SECONDS, SECONDS_WHILE_WAITING = 0.1, 1.0


class OnNodes:
    """Writes down on which node it is, and is slower until all that there shall be have been seen.

    Args:
        folder: gets a file for each node.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, architecture: Architecture) -> float:
        """Return the architecture's number."""
        import ray

        (self.folder / ray.get_runtime_context().get_node_id()).touch()
        waits = (self.folder / "removed").exists() and len(os.listdir(self.folder)) <= NODES
        time.sleep(SECONDS_WHILE_WAITING if waits else SECONDS)
        return float(architecture["a"])


def node_lost(folder: Path, trials: int = 400) -> Count:
    """Lose one of two nodes halfway, let another join, and return whether the ordered search noticed nothing.

    The history must be that of a search in one process, and the node that joined must have evaluated.
    """
    seen, journal = folder / "nodes", folder / "nodes.jsonl"
    seen.mkdir()
    with cluster(CPUS, CPUS) as nodes:
        command = [sys.executable, "-m", "benchmarks.faults.nodes", str(journal), str(seen), str(trials)]
        with subprocess.Popen(command, cwd=ROOT) as process:
            try:
                while process.poll() is None and _ended(journal) < trials // 2:
                    time.sleep(0.1)
                (seen / "removed").touch()
                nodes.tell("remove")
                nodes.tell(f"add {CPUS}")
                process.wait(600)
            finally:
                process.kill()
            if process.returncode:
                raise RuntimeError(f"The search failed with exit code {process.returncode}.")
    found = [trial.metrics["value"] for trial in Result.from_journal(journal).history]
    alone = Search(SPACE, RandomSearch(), lambda architecture: float(architecture["a"])).run(trials, progress=False)
    same = found == [trial.metrics["value"] for trial in alone.history]
    return Count(
        f"One of two nodes of a Ray cluster lost halfway through an ordered random search of {trials} trials; "
        "another joins",
        "the history is that of one process, and the node that joins takes trials",
        1,
        int(same and len(os.listdir(seen)) == NODES + 1),
    )


def _ended(journal: Path) -> int:
    return journal.read_bytes().count(b'"event": "completed"') if journal.exists() else 0


def main() -> None:
    journal, seen, trials = sys.argv[1:]
    executor = RayExecutor(workers=WORKERS)
    search = Search(SPACE, RandomSearch(), OnNodes(Path(seen)), executor=executor, ordered=True, journal=journal)
    search.run(int(trials), progress=False)


if __name__ == "__main__":
    main()
