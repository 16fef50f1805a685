"""The most that a candidate may cost, by the settings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from autopanoptic.nas import InfeasibleError, SearchSpace, Supernet
from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.search.strategies import family, hand_made
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.costs import HEADROOM, budget, costs, limits
from autopanoptic.panoptic.stages.networks import network_config
from autopanoptic.panoptic.stages.search import check_feasible, searched_space


def space_of(settings: Settings, datasets: Datasets) -> SearchSpace:
    with torch.device("meta"):
        return Supernet(PanopticNetwork(network_config(settings, datasets.train.categories))).space


def found(datasets: Datasets, changes: dict[str, Any]) -> float | None:
    settings = load_config("scenes", changes)
    return budget(settings, datasets, space_of(settings, datasets))


def test_a_share_is_that_of_the_network_made_by_hand(datasets: Datasets) -> None:
    settings = load_config("scenes")
    space = space_of(settings, datasets)
    gflops = costs(settings, datasets)["gflops"]
    prices = list(map(gflops, family(space)))
    whole = gflops(hand_made(space))
    assert budget(settings, datasets, space) == whole  # the main job's share is 1
    dearer = found(datasets, {"search.max_share": 2.0})
    assert dearer == sorted(prices, key=lambda price: abs(price - 2 * whole))[0]
    assert dearer != whole
    assert found(datasets, {"search.max_share": 0.01}) == min(prices)
    assert found(datasets, {"search.max_share": 9.0}) == max(prices)
    assert limits(settings, datasets, space) == {"gflops": (None, whole)}
    rng = np.random.default_rng(0)
    assert all(gflops(searched_space(settings, datasets).sample(rng)) <= whole for _ in range(20))


def test_gflops_that_are_given_take_the_place_of_a_share(datasets: Datasets) -> None:
    assert found(datasets, {"search.max_gflops": 0.2}) == 0.2


def test_a_share_that_leaves_no_candidates_is_refused_by_its_key(datasets: Datasets) -> None:
    tight = {"search.max_share": 0.5}  # the smallest network of these small images
    with pytest.raises(InfeasibleError, match=r"The limit is search\.max_share, 0\.5 of what .* or null for no limit$"):
        check_feasible(load_config("scenes", tight), datasets)
    with pytest.raises(InfeasibleError, match=r"Widen the constraint or the space\.$"):
        check_feasible(load_config("scenes", {**tight, "search.max_gflops": 0.01}), datasets)


@pytest.mark.parametrize("changes", [{"search.max_share": None}, {"search.space": "auto-panoptic"}])
def test_without_a_share_or_sizes_there_is_no_limit_but_the_family(datasets: Datasets, changes: dict[str, Any]) -> None:
    assert found(datasets, changes) is None
    settings = load_config("scenes", changes)
    space = space_of(settings, datasets)
    largest = max(map(costs(settings, datasets)["gflops"], family(space)))
    expected = {} if len(family(space)) == 1 else {"gflops": (None, HEADROOM * largest)}
    assert limits(settings, datasets, space) == expected


@pytest.mark.parametrize("config", ["photographs", "camvid"])
def test_other_data_are_searched_over_the_whole_range(datasets: Datasets, config: str) -> None:
    settings = load_config(config, {"data.path": "anywhere"})
    assert budget(settings, datasets, space_of(settings, datasets)) is None
