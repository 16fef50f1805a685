"""What a run searches with."""

from __future__ import annotations

import pytest

from autopanoptic.nas import Objective, SearchSpace
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.search.strategies import hand_made, strategy_of
from autopanoptic.panoptic.settings.search import STRATEGIES
from autopanoptic.panoptic.stages.networks import build


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return SearchSpace.from_module(build(PanopticConfig.scenes(3, 3), seed=0))


def test_the_hand_made_network_is_plain(space: SearchSpace) -> None:
    assert set(hand_made(space).values()) == {"shuffle3", "dw3", "r4"}
    assert len(hand_made(space)) == 19


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("trials", [13, 61, 200])
def test_every_strategy_fits_its_trials(space: SearchSpace, name: str, trials: int) -> None:
    strategy = strategy_of(name, trials, space)
    strategy.check(space, [Objective("pq")])
    assert strategy.advise(space, trials) is None


def test_path_priority_needs_a_cycle_and_an_answer(space: SearchSpace) -> None:
    with pytest.raises(ValueError, match="12 trials and one for its answer; trials is 12"):
        strategy_of("path-priority", 12, space)
