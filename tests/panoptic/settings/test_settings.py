"""Settings of a run, made by a program that no YAML stands behind."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.search.strategies import strategy_of
from autopanoptic.panoptic.settings.data import DataSettings
from autopanoptic.panoptic.settings.machine import MachineSettings
from autopanoptic.panoptic.settings.search import OF_ONE_OBJECTIVE, STRATEGIES, SearchSettings
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.training.recipe import Recipe

RECIPE = Recipe(passes=1)


def test_recipes_alone_are_needed() -> None:
    settings = Settings(supernet=RECIPE, retrain=RECIPE)
    assert settings.network_for(3, 2) == PanopticConfig(num_things=3, num_stuff=2)
    assert (settings.init, settings.search.space, settings.search.cost) == ("scratch", "auto-panoptic", None)


def test_a_distillation_needs_the_space_whose_largest_path_teaches() -> None:
    soft = replace(RECIPE, distillation=0.5)
    elastic = SearchSettings(space="elastic")
    assert Settings(supernet=soft, retrain=RECIPE, search=elastic).supernet.distillation == 0.5
    with pytest.raises(ValueError, match=r"supernet.distillation=0.5: .* search.space is auto-panoptic"):
        Settings(supernet=soft, retrain=RECIPE)
    for name in ("retrain", "warmup", "largest"):
        recipes: Any = {"supernet": soft, "retrain": RECIPE, name: soft}
        with pytest.raises(ValueError, match=rf"{name}.distillation=0.5: .* one network trains"):
            Settings(**recipes, search=elastic)


def test_without_the_sandwich_there_is_no_teacher_and_there_must_be_random_paths() -> None:
    given: dict[str, Any] = {
        "supernet": RECIPE, "retrain": RECIPE, "search": SearchSettings(space="elastic"), "sandwich": False
    }  # fmt: skip
    assert Settings(**given, random_paths=1).random_paths == 1
    with pytest.raises(ValueError, match="random_paths must be at least 1, not 0"):
        Settings(**given, random_paths=0)
    with pytest.raises(ValueError, match=r"supernet.distillation=0.5: .* sandwich is false"):
        Settings(**{**given, "supernet": replace(RECIPE, distillation=0.5)})


def test_the_configs_that_ship_are_the_presets_of_programs() -> None:
    coco, scenes = load_config("coco"), load_config("scenes")
    assert (coco.supernet, coco.retrain) == (Recipe.coco_supernet(), Recipe.coco_retrain())
    assert coco.network_for(80, 53) == PanopticConfig.coco()
    assert coco.network_for(80, 53, retrained=True) == PanopticConfig.coco(searched=True)
    assert scenes.network_for(3, 2) == replace(PanopticConfig.scenes(3, 2), space="elastic")
    assert scenes.retrain == Recipe(passes=scenes.retrain.passes)


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        (SearchSettings(), {"strategy": "grid"}, "strategy must be one of path-priority, .*, not 'grid'"),
        (SearchSettings(), {"objective": "map"}, "objective must be one of pq, .*, not 'map'"),
        (SearchSettings(), {"objective": None}, "objective must be one of pq, .*, not None"),
        (SearchSettings(), {"cost": "flops"}, "cost must be one of gflops, latency_ms, not 'flops'"),
        (SearchSettings(), {"trials": 1}, "trials must be at least 2, not 1"),
        (SearchSettings(), {"finalists": 0}, "finalists must be at least 1, not 0"),
        (SearchSettings(), {"max_gflops": -1.0}, "max_gflops must be positive, not -1.0; null is no limit"),
        (SearchSettings(), {"max_share": math.inf}, "max_share must be positive, not inf; null is no limit"),
        (SearchSettings(), {"max_share": math.nan}, "max_share must be positive, not nan; null is no limit"),
        (DataSettings(), {"orientation": "upright"}, "orientation must be one of apply, ignore, not 'upright'"),
        (
            DataSettings(long_side=256),
            {"short_side": 384},
            "long_side=256, .* is less than short_side=384, .*; change both",
        ),
        (DataSettings(), {"long_side": 8}, "long_side must be at least 32, not 8"),
        (MachineSettings(), {"memory": -1}, "memory must be at least 0, not -1"),
        (MachineSettings(), {"evaluation_batch": 0}, "evaluation_batch must be at least 1, not 0"),
        (MachineSettings(), {"precision": "16"}, "precision must be one of 32-true, bf16-mixed, not '16'"),
        (Settings(supernet=RECIPE, retrain=RECIPE), {"seed": -1}, "seed must be at least 0, not -1"),
        (Settings(supernet=RECIPE, retrain=RECIPE), {"init_part": "head"}, "init_part must be one of all, backbone"),
    ],
)
def test_refusals(section: Any, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(section, **changes)


@pytest.mark.parametrize("name", STRATEGIES)
def test_strategies_are_refused_with_a_number_of_objectives_that_they_cannot_have(name: Any) -> None:
    one, two = ({"strategy": name, "cost": cost} for cost in (None, "gflops"))
    if name != "nsga2":
        SearchSettings(**one)
    else:
        with pytest.raises(ValueError, match="nsga2 is for two objectives"):
            SearchSettings(**one)
    if name not in OF_ONE_OBJECTIVE:
        SearchSettings(**two)
    else:
        with pytest.raises(ValueError, match="takes one objective, but cost is gflops"):
            SearchSettings(**two)


def test_the_strategies_of_one_objective_say_so_themselves() -> None:
    from autopanoptic.nas import Choice, Objective, SearchSpace

    space = SearchSpace([Choice("a", [1, 2])])
    objectives = [Objective("pq"), Objective("gflops", "min")]
    for name in STRATEGIES:
        strategy = strategy_of(name, 61, space)
        if name in OF_ONE_OBJECTIVE:
            with pytest.raises(ValueError, match="objective"):
                strategy.check(space, objectives)
        else:
            strategy.check(space, objectives)


def test_scenes_are_needed_where_there_is_no_path() -> None:
    with pytest.raises(ValueError, match=r"data\.path is missing: give a folder"):
        load_config("camvid").data.require_scenes()
    assert load_config("scenes", {"data.scenes.train": 9}).data.require_scenes().train == 9
