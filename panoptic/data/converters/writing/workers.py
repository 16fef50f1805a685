"""Work on many images, in this process or in several."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from autopanoptic.nas.executors.groups import end_with_parent

JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")

CHUNK = 8
"""Most images that a worker is given at once: as many are done again, per worker, after an interruption."""


@dataclass(frozen=True)
class Outcome(Generic[ResultT]):
    """What became of a job.

    Attributes:
        result: Its result; None if it failed.
        problem: Why it failed; None if it did not.
    """

    result: ResultT | None
    problem: str | None


def work(do: Callable[[JobT], ResultT], jobs: Sequence[JobT], workers: int) -> Iterator[Outcome[ResultT]]:
    """Do the jobs, and yield what became of each in their order.

    A job that raises OSError or ValueError has failed, and the others go on; any other error ends the work. Where the
    caller is interrupted, the workers end with it.

    Args:
        do: A function that worker processes can import, or a `functools.partial` of one.
        jobs: What it is called with; plain values.
        workers: Processes; 1 works in this one.

    Raises:
        ValueError: If there are fewer than one.
        ChildProcessError: If a worker process ended.
    """
    if workers < 1:
        raise ValueError(f"workers={workers}: at least 1 is needed, which is this process")
    attempt: Callable[[JobT], Outcome[ResultT]] = partial(_attempt, do)
    if workers == 1 or len(jobs) < 2:
        yield from map(attempt, jobs)
        return
    chunk = max(1, min(CHUNK, len(jobs) // workers))
    # Forked workers would inherit the locks of the thread that draws the bar.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(jobs)), mp_context=context, initializer=_begin)
    try:
        yield from pool.map(attempt, jobs, chunksize=chunk)
    except BrokenProcessPool as error:
        raise ChildProcessError(
            "a worker process has ended, killed perhaps for the memory it took, or because the program that starts it "
            "has no `if __name__ == '__main__':`; try again with fewer workers: what was done is kept"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """Leave Ctrl-C, which the terminal sends to all processes, to the one that started the others, and end with it.

    A pool's processes would wait for jobs for ever, since each holds both ends of the pipe that these come through.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


def _attempt(do: Callable[[JobT], ResultT], job: JobT) -> Outcome[ResultT]:
    try:
        return Outcome(do(job), None)
    except (OSError, ValueError) as error:
        return Outcome(None, str(error) or type(error).__name__)
