"""Trials that do not all end well, for the tests of strategies."""

from __future__ import annotations

from autopanoptic.nas.trials.trial import Trial, TrialState
from autopanoptic.strategies.testing.simulation import Outcome, completed


def some_fail(trial: Trial) -> Outcome:
    """Every fourth trial fails."""
    return (TrialState.FAILED, {}) if trial.id % 4 == 1 else completed(trial)


def some_end_early(trial: Trial) -> Outcome:
    """Of four trials one fails and one is stopped without a value."""
    states = {1: TrialState.FAILED, 2: TrialState.STOPPED}
    return (states[trial.id % 4], {}) if trial.id % 4 in states else completed(trial)
