"""What a run searches with."""

from __future__ import annotations

import pytest

from autopanoptic.nas import Choice, Objective, SearchSpace
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.search.strategies import family, hand_made, strategy_of
from autopanoptic.panoptic.stages.networks import build
from autopanoptic.panoptic.stages.settings import STRATEGIES


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


def test_the_family_is_one_network_scaled_in_width_and_depth() -> None:
    sizes = SearchSpace(
        [
            Choice("backbone.c2.width", [16, 24, 32, 48, 64]),
            Choice("mask.depth", [1, 2, 3]),
            Choice("mask.0", ["dw5", "dw3"]),
            Choice("mask.2", ["dw5", "dw3"], ("mask.depth", 3)),
        ]
    )
    made = [dict(member) for member in family(sizes)]
    assert [member["backbone.c2.width"] for member in made] == [16, 24, 32, 48, 64]
    assert [member["mask.depth"] for member in made] == [1, 2, 2, 3, 3]
    assert all(member["mask.0"] == "dw3" for member in made)
    assert [member.get("mask.2") for member in made] == [None, None, None, "dw3", "dw3"]
    assert hand_made(sizes) == made[1]


def test_a_family_without_widths_is_the_hand_made_network_alone() -> None:
    operators = SearchSpace([Choice("backbone.0", ["shuffle5", "shuffle3"]), Choice("neck", ["panet", "fpn"])])
    assert family(operators) == [hand_made(operators)] == [{"backbone.0": "shuffle3", "neck": "fpn"}]
    two = SearchSpace([Choice("mask.width", [16, 32])])
    assert [dict(member) for member in family(two)] == [{"mask.width": 16}, {"mask.width": 32}]
