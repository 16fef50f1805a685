"""What callbacks that keep a log have in common."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.reports import PartialResult
from autopanoptic.nas.trials.trial import Trial, TrialState

DESCRIBING = ("strategy", "stopper", "schedule", "objectives", "constraints", "seed", "version")
"""The settings of a search that a log tells."""


def require(packages: Sequence[str], who: str, extra: str) -> None:
    """Refuse what needs packages that are not installed.

    Raises:
        ImportError: names them, and the extra that installs them.
    """
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise ImportError(f'{who} needs {" and ".join(missing)}. Install it by: pip install "autopanoptic[{extra}]"')


def described(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return what a log tells of a search: its settings as texts."""
    found = {name: settings[name] for name in DESCRIBING if settings.get(name) is not None}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in found.items()}


def curve(trial: Trial) -> list[PartialResult]:
    """Return what is known of a trial by step: its reports, and its metrics at the budgets where it was paused."""
    reported = {step for step, _ in trial.reports}
    pauses = trial.rungs[:-1] if trial.state is TrialState.COMPLETED else trial.rungs
    return [*trial.reports, *((r.budget, r.metrics) for r in pauses if r.budget not in reported)]


class Tally:
    """The figures of a search as its trials end, each in constant time.

    Attributes:
        step: how many trials have ended.
        best: the best of them by the main objective that breaks no constraint; None where there is none.
    """

    def __init__(self) -> None:
        self.step = 0
        self.best: Trial | None = None
        self._counts: Counter[str] = Counter()

    def see(self, history: History, trial: Trial) -> dict[str, float]:
        """Count a trial that has ended, and return what to log of it.

        Returns:
            The trial's metrics; ``trial/id`` and ``trial/seconds``; how many trials have completed, failed and been
            stopped (``trials/completed`` and so on), and ``best/NAME``, the best so far of the main objective.
        """
        self.step += 1
        self._counts[trial.state.value] += 1
        if trial.state is TrialState.COMPLETED and not history.violation(trial) and self._is_better(history, trial):
            self.best = trial
        counts = {f"trials/{state}": float(count) for state, count in self._counts.items()}
        figures = {**trial.metrics, "trial/id": float(trial.id), "trial/seconds": trial.seconds, **counts}
        main = history.objectives[0].name
        return figures if self.best is None else {**figures, f"best/{main}": self.best.metrics[main]}

    def _is_better(self, history: History, trial: Trial) -> bool:
        main = history.objectives[0]
        return self.best is None or main.gain(trial.metrics) > main.gain(self.best.metrics)
