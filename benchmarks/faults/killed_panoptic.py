"""``kill -9`` of ``autopanoptic panoptic train-supernet`` at random moments, also while it writes a checkpoint."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

from autopanoptic.panoptic.model.weights import read_tensors
from autopanoptic.panoptic.training.checkpoints import LAST, NEW, newest_checkpoint
from benchmarks.faults.count import Count
from benchmarks.faults.killed_training import same_bits

NAME = "killed"
EVERY = 4
OPTIONS = ("--quick", "--set", f"machine.checkpoint_every={EVERY}", "--set", "machine.threads=1")
COMMAND = "from autopanoptic.nas.cli import main; main()"
PAUSE = 0.005


def panoptic_training_killed(folder: Path, kills: int, seed: int = 0) -> Count:
    """Kill the training of a panoptic supernet so often, and return how many of the kills cost no checkpoint.

    Each kill comes at a random moment of the time until the next checkpoint, or while that is written. It is survived
    when the newest checkpoint is whole and no older than the newest before. At the end the weights must have the bits
    of the training that nobody has interrupted, or none counts.

    Args:
        folder: for the runs.
        kills: how many.
        seed: of the moments.

    Raises:
        RuntimeError: when the training ends before so many kills, or fails.
    """
    alone, killed = _Run(folder / "alone"), _Run(folder / "killed")
    alone.folder.mkdir()
    seconds = alone.to_the_end(*OPTIONS)
    shutil.copytree(alone.folder, killed.folder)  # its data are prepared
    shutil.rmtree(killed.supernet)
    rng, survived, in_writes, stands = random.Random(seed), 0, 0, 0
    for done in range(kills):
        writing = killed.until_killed(None if done % 2 else rng.uniform(0, seconds))
        if writing is None:
            raise RuntimeError(f"The training ended before {kills} kills; there were {done}.")
        in_writes, found = in_writes + writing, killed.passes
        survived += found >= stands
        stands = found
    killed.to_the_end()
    weights = [read_tensors(run.supernet / "supernet.pt") for run in (alone, killed)]
    return Count(
        "`kill -9` of `autopanoptic panoptic train-supernet --quick` at a random moment, "
        f"{in_writes} times while a checkpoint was written",
        "the last whole checkpoint is there, and the supernet's weights are bit for bit those of an uninterrupted "
        "training (on a CPU)",
        kills,
        survived if same_bits(*weights) else 0,
    )


class _Run:
    """A panoptic run, in a process of its own.

    Args:
        folder: in which the program runs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.supernet = folder / "runs" / NAME / "supernet"

    @property
    def passes(self) -> int:
        """Passes behind the newest whole checkpoints of all parts of the training."""
        newest = [newest_checkpoint(part) for part in self.supernet.glob("*/")]
        return sum(int(read_tensors(path)["state_dict"]["passes"]) for path in newest if path is not None)

    def to_the_end(self, *options: str) -> float:
        """Train, and return the seconds between two checkpoints."""
        with self._started(*options) as process:
            times = []
            while process.poll() is None:
                self._wait_for(process, LAST)
                times.append(time.monotonic())
        if process.returncode:
            raise RuntimeError(f"The training failed with exit code {process.returncode}.")
        return (times[-1] - times[0]) / max(1, len(times) - 1)

    def until_killed(self, seconds: float | None) -> bool | None:
        """Train until a kill, and return whether a checkpoint was being written.

        Args:
            seconds: behind the next checkpoint; None for a kill while that is written.

        Returns:
            None where it has ended before.
        """
        before = self._times(NEW)  # what an earlier kill has left
        with self._started() as process:
            if seconds is None:
                self._wait_for(process, NEW)
            else:
                self._wait_for(process, LAST)
                time.sleep(seconds)
            process.kill()
        return None if process.returncode == 0 else not self._times(NEW).items() <= before.items()

    def _times(self, name: str) -> dict[Path, int]:
        """Return when the checkpoints of that name were written, by path."""
        found = {}
        for path in self.supernet.glob(f"*/{name}"):
            try:
                found[path] = path.stat().st_mtime_ns
            except FileNotFoundError:  # it is just being moved
                continue
        return found

    def _wait_for(self, process: subprocess.Popen[bytes], name: str) -> None:
        """Wait until a checkpoint of that name has changed, or the program has ended."""
        before = self._times(name)
        while process.poll() is None and self._times(name).items() <= before.items():
            time.sleep(PAUSE)

    def _started(self, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", COMMAND, "panoptic", "train-supernet", "--name", NAME, *options]
        return subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
