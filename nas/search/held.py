"""Results that ordered mode has not told of yet when a run is interrupted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autopanoptic.nas.evaluation.metrics import checked
from autopanoptic.nas.executors.base import Outcome

VOIDING = frozenset({"restarted", "evaluated", "completed", "paused", "failed", "stopped"})
"""The events of a trial with which what is held of it counts no more."""


class Held:
    """Keeps results until the turn of their trials comes, in the next run.

    Told of at the interruption, out of their turn, they would change what is proposed afterwards; forgotten, their
    trials would have to be evaluated again.
    """

    def __init__(self) -> None:
        self._outcomes: dict[int, Outcome] = {}

    def __contains__(self, trial_id: object) -> bool:
        return trial_id in self._outcomes

    def of(self, trial_id: int) -> Outcome | None:
        """Return the result of a trial that is running; None where none is held."""
        return self._outcomes.get(trial_id)

    def see(self, event: Mapping[str, Any]) -> None:
        """Take in an event of the search, as it happens or from its journal."""
        if event["event"] == "held":
            trial_id, seconds = event["trial"], event.get("seconds", 0.0)
            end = {name: event[name] for name in ("metrics", "error", "stopped") if name in event}
            self._outcomes[trial_id] = Outcome(trial_id, seconds=seconds, **end)
        elif event["event"] in VOIDING:
            self._outcomes.pop(event["trial"], None)


def values_of(outcome: Outcome) -> dict[str, Any]:
    """Return the values of the event by which a result is held; of metrics that are none, what is wrong with them."""
    if outcome.stopped:
        end: dict[str, Any] = {"stopped": True}
    elif outcome.error is not None:
        end = {"error": outcome.error}
    else:
        try:
            end = {"metrics": checked(outcome.metrics)}
        except ValueError as problem:  # of somebody's own executor, which has not looked at them
            end = {"error": str(problem)}
    return {"trial": outcome.trial_id, **end, "seconds": outcome.seconds}
