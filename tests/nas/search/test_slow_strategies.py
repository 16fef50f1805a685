"""A strategy that takes long to say that it has nothing keeps no result from being told."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
import pytest

from autopanoptic.nas import Architecture, Choice, History, RandomSearch, Search, SearchSpace
from autopanoptic.nas.search import loop
from benchmarks.scaling.simulated import SimulatedExecutor

SPACE = SearchSpace([Choice("a", range(6)), Choice("b", range(6))])
TRIALS = 5
PATIENCE = 5 * TRIALS
"""How often it may be asked for more."""


@dataclass(frozen=True)
class SlowToEnd(RandomSearch):
    """Proposes a few architectures at once, and takes its time to say that it has no more.

    Args:
        seconds: how long.
    """

    seconds: float = 0.0
    asked: list[int] = field(default_factory=list, compare=False)

    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture | None:
        if len(history) < TRIALS:
            return super().propose(space, history, rng)
        self.asked.append(len(history.running))
        assert len(self.asked) <= PATIENCE, "asked for ever"
        time.sleep(self.seconds)
        return None

    def proposes_ahead(self) -> bool:
        return False


@pytest.mark.parametrize("workers", [2, 3])
@pytest.mark.parametrize("ordered", [False, True])
def test_a_search_ends_whose_strategy_is_slow_to_end(ordered: bool, workers: int) -> None:
    executor = SimulatedExecutor(workers, lambda trial_id: 1.0 + trial_id % 2)
    strategy = SlowToEnd(seconds=2 * loop.SECONDS_BETWEEN_SYNCS)
    search = Search(SPACE, strategy, lambda architecture: float(architecture["a"]), executor=executor, ordered=ordered)
    result = search.run(trials=2 * TRIALS, progress=False)
    assert result.history.n_completed == TRIALS
    assert strategy.asked[-1] == 0
