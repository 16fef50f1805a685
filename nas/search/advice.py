"""What a search tells its user in the log."""

from __future__ import annotations

import logging

from autopanoptic.nas.budgets.schedule import Schedule
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.strategy import Strategy, exhausted
from autopanoptic.nas.trials.history import History

logger = logging.getLogger(__name__)


def warn_of_too_few(strategy: Strategy, schedule: Schedule | None, space: SearchSpace, trials: int | None) -> None:
    """Say what a strategy and a schedule have to say of so many trials."""
    if trials is None:
        return
    for advice in (strategy.advise(space, trials), None if schedule is None else schedule.advise(trials)):
        if advice is not None:
            logger.warning("%s", advice)


def warn_of_the_end(space: SearchSpace, history: History, trials: int) -> None:
    """Say why a strategy has ended a search before there were so many trials."""
    logger.warning("The search ended after %d of %d trials: %s.", len(history), trials, _why_no_more(space, history))


def _why_no_more(space: SearchSpace, history: History) -> str:
    if exhausted(space, history):
        return "every architecture of the space has been tried"
    return "the strategy proposes nothing more"
