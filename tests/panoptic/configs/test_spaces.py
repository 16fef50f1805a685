"""What a config may leave out because it goes with what it gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autopanoptic.panoptic.configs.config import (
    load_config,
)
from autopanoptic.panoptic.configs.layers import shipped
from autopanoptic.panoptic.configs.spaces import with_strategy
from autopanoptic.panoptic.training.recipe import Recipe

SHIPPED = shipped()
QUICK = [name for name in SHIPPED if name not in ("ade20k", "cityscapes", "coco")]


def test_a_strategy_for_two_objectives_brings_a_cost() -> None:
    found = load_config("scenes", {"search.space": "auto-panoptic", "search.strategy": "nsga2"}).search
    assert (found.strategy, found.cost) == ("nsga2", "gflops")


@pytest.mark.parametrize("name", ["warmup", "largest"])
def test_a_first_path_has_what_goes_with_its_own_length(name: str) -> None:
    found = getattr(load_config("coco", {f"{name}.passes": 150, "supernet.validate_every": 12}), name)
    assert found is not None
    assert (found.optimizer, found.learning_rate, found.clip) == ("sgd", 0.02, None)
    assert (found.warmup, found.milestones, found.validate_every) == (20, (), 0)


@pytest.mark.parametrize("name", ["scenes", "coco"])
def test_a_space_brings_its_strategy_and_cost(name: str) -> None:
    """One option or key is enough to search any space."""
    found = [load_config(name, {"search.space": space}).search for space in ("elastic", "published", "auto-panoptic")]
    assert [(one.strategy, one.cost) for one in found] == [("bayesian", "gflops")] * 2 + [("path-priority", None)]
    many = load_config(name, {"search.space": "elastic", "search.trials": 101}).search
    assert (many.strategy, many.cost) == ("nsga2", "gflops")
    timed = load_config(name, {"search.space": "elastic", "search.cost": "latency_ms"}).search
    assert (timed.strategy, timed.cost) == ("nsga2", "latency_ms")
    alone = load_config(name, {"search.space": "elastic", "search.strategy": "path-priority"}).search
    assert (alone.strategy, alone.cost) == ("path-priority", None)


def test_a_config_without_trials_has_the_strategy_of_their_default() -> None:
    assert with_strategy({"search": {"space": "elastic"}})["search"]["strategy"] == "bayesian"


def test_the_main_job_searches_for_a_front() -> None:
    scenes = load_config("scenes")
    assert (scenes.search.space, scenes.search.strategy, scenes.search.cost) == ("elastic", "bayesian", "gflops")
    assert (scenes.search.racing, scenes.warmup, scenes.init) == (None, None, "supernet")


@pytest.mark.parametrize("space", ["elastic", "published", "auto-panoptic"])
def test_a_cost_brings_a_strategy(space: str) -> None:
    for cost, strategy in (("gflops", "bayesian"), ("latency_ms", "nsga2"), (None, "path-priority")):
        assert load_config("scenes", {"search": {"space": space, "cost": cost}}).search.strategy == strategy


@pytest.mark.parametrize(("name", "quick"), [*((name, False) for name in SHIPPED), *((name, True) for name in QUICK)])
@pytest.mark.parametrize("space", ["elastic", "published", "auto-panoptic"])
def test_every_config_trains_the_supernet_of_either_space_in_whole_cycles(name: str, quick: bool, space: str) -> None:
    found = load_config(name, {"search.space": space}, quick=quick)
    assert found.warmup is None
    cycle = found.random_paths + 2 * found.sandwich if space == "elastic" else 12
    assert found.supernet.passes % cycle == 0
    assert found.search.trials >= 13  # a cycle of path-priority, and its answer


def test_a_warm_up_is_as_the_supernets_training_but_for_its_length() -> None:
    changes = {"supernet": {"batch_size": 3, "distillation": 0.5, "learning_rate": 0.01}, "warmup": {"passes": 5}}
    found = load_config("scenes", {**changes, "sandwich": True})
    assert found.warmup == replace(found.supernet, passes=5, distillation=0.0)
    own = load_config("memorise", {"warmup": {"passes": 5, "flip": 0.25}})
    assert own.warmup == replace(own.supernet, passes=5, flip=0.25)
    assert load_config("coco", {"warmup.passes": 5}).warmup == replace(Recipe.coco_supernet(), passes=5, warmup=20)


def test_what_a_file_gives_for_the_search_stands(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("base: scenes\nsearch: {strategy: evolution, cost: null}\n")
    found = load_config(tmp_path / "mine.yaml").search
    assert (found.space, found.strategy, found.cost) == ("elastic", "evolution", None)


def test_the_space_of_components_takes_widths_where_its_own_are_fixed() -> None:
    found = load_config("scenes", {"search.space": "published", "network.sizes": "fixed", "width": "300m"})
    network = found.network_for(3, 2)
    assert (network.elastic, network.stage_widths, network.space) == (False, (64, 160, 320, 640), "published")
    assert load_config("scenes", {"search.space": "published"}).network_for(3, 2).elastic
