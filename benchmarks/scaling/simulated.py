"""Workers that are not there: evaluations end by a clock of their own, and nobody sleeps."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import TypeAlias

from autopanoptic.nas import Architecture, Context, Evaluator
from autopanoptic.nas.executors.base import NO_CONTEXT, OnAttribute, OnReport, Outcome, not_kept, run_one

Duration: TypeAlias = Callable[[int], float]
"""Takes a trial's id and returns how many seconds its evaluation takes."""
Interval: TypeAlias = tuple[float, float]
"""When an evaluation began and ended, in seconds."""


class SimulatedExecutor:
    """A discrete-event simulation of workers; only the driver's own time is real.

    The simulated time goes on by the driver's real time while it works, and jumps to the end of the next evaluation
    when it waits for one. A worker is idle from the end of an evaluation until the driver has given it the next.

    Args:
        workers: how many trials run at a time.
        duration: of each evaluation.
        clock: measures the driver's work, such as ``time.perf_counter``. None for a driver that takes no time, with
            which what happens depends on the durations alone.

    Attributes:
        now: the simulated time, in seconds since the start.
        intervals: when each evaluation began and ended, in the order in which they ended.
    """

    def __init__(self, workers: int, duration: Duration, clock: Callable[[], float] | None = None) -> None:
        self.capacity = workers
        self._duration, self._clock = duration, clock or (lambda: 0.0)
        self._running: list[tuple[float, int, float, Architecture, Context]] = []
        self.now = 0.0
        self.intervals: list[Interval] = []

    def start(
        self,
        evaluator: Evaluator,
        on_report: OnReport,
        *,
        answers: bool = True,
        on_attribute: OnAttribute = not_kept,
    ) -> None:
        """Keep the evaluator."""
        self._evaluator, self._on_report, self._on_attribute = evaluator, on_report, on_attribute
        self._since = self._clock()

    def _work(self) -> None:
        """Let the time pass that the driver has worked since this was called last."""
        now = self._clock()
        self.now += now - self._since
        self._since = now

    def submit(self, trial_id: int, architecture: Architecture, context: Context = NO_CONTEXT) -> None:
        """Begin an evaluation now."""
        self._work()
        end = self.now + self._duration(trial_id)
        heapq.heappush(self._running, (end, trial_id, self.now, architecture, context))

    def has_begun(self, trial_id: int) -> bool:
        """Return True: nothing needs to get ready."""
        return True

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """Return the evaluation that ends next; with a timeout of 0, if it has."""
        self._work()
        if not self._running or (timeout == 0 and self._running[0][0] > self.now):
            return None
        end, trial_id, begin, architecture, context = heapq.heappop(self._running)
        self.now = max(self.now, end)
        self.intervals.append((begin, end))
        outcome = run_one(self._evaluator, trial_id, architecture, self._on_report, context, self._on_attribute)
        self._since = self._clock()  # the evaluation's own work is not the driver's
        return outcome

    def abandon(self, trial_id: int) -> bool:
        """Return False: no evaluation takes longer than it shall."""
        return False

    def stop(self) -> None:
        """Forget what is under way."""
        self._running.clear()


def busy_share(intervals: list[Interval], workers: int) -> float:
    """Return which part of the workers' time is evaluation, from a tenth of the search to nine tenths.

    Its beginning and its end are left out, where workers have not got the first trial yet or do not get another.

    Args:
        intervals: when each evaluation began and ended.
        workers: how many there are.
    """
    first, last = min(begin for begin, _ in intervals), max(end for _, end in intervals)
    low, high = first + (last - first) / 10, last - (last - first) / 10
    busy = sum(max(0.0, min(end, high) - max(begin, low)) for begin, end in intervals)
    return busy / (workers * (high - low))
