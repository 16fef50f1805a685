"""Workers that are not there: evaluations end by a clock of their own, and nobody sleeps."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from typing import TypeAlias

from autopanoptic.nas import Architecture, Evaluator
from autopanoptic.nas.executors.base import OnReport, Outcome, run_one

Duration: TypeAlias = Callable[[int], float]
"""Takes a trial's id and returns how many seconds its evaluation takes."""


class SimulatedExecutor:
    """A discrete-event simulation of workers; only the driver's own time is real.

    The clock stands at the driver's real time while it works, multiplied by ``driver``, and jumps to the end of the
    next evaluation when the driver waits for one. A worker is idle from the end of an evaluation until the driver has
    given it the next.

    Args:
        workers: how many trials run at a time.
        duration: of each evaluation.
        driver: seconds of the clock that a second of the driver's work takes; 0 for a driver without costs, with which
            what happens depends on the durations alone.

    Attributes:
        now: the clock, in seconds since the start.
        busy: seconds that the workers have evaluated, all together, of evaluations that have been waited for.
    """

    def __init__(self, workers: int, duration: Duration, driver: float = 0.0) -> None:
        self.capacity = workers
        self._duration, self._driver = duration, driver
        self._ends: list[tuple[float, int, Architecture]] = []
        self.now = self.busy = 0.0

    def start(self, evaluator: Evaluator, on_report: OnReport, *, answers: bool = True) -> None:
        """Keep the evaluator."""
        self._evaluator, self._on_report = evaluator, on_report
        self._since = time.perf_counter()

    def _work(self) -> None:
        """Let the time pass that the driver has worked since it was looked at last."""
        now = time.perf_counter()
        self.now += (now - self._since) * self._driver
        self._since = now

    def submit(self, trial_id: int, architecture: Architecture) -> None:
        """Begin an evaluation now."""
        self._work()
        heapq.heappush(self._ends, (self.now + self._duration(trial_id), trial_id, architecture))

    def has_begun(self, trial_id: int) -> bool:
        """Return True: nothing needs to get ready."""
        return True

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """Return the evaluation that ends next."""
        self._work()
        if not self._ends or timeout == 0:
            return None
        end, trial_id, architecture = heapq.heappop(self._ends)
        self.now = max(self.now, end)
        self.busy += self._duration(trial_id)
        outcome = run_one(self._evaluator, trial_id, architecture, self._on_report)
        self._since = time.perf_counter()  # the evaluation's own time is not the driver's
        return outcome

    def abandon(self, trial_id: int) -> bool:
        """Return False: no evaluation takes longer than it shall."""
        return False

    def stop(self) -> None:
        """Forget what is under way."""
        self._ends.clear()
