"""Schedules and learning rates of a training."""

from __future__ import annotations

import json

import pytest
import torch

from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.training.recipe import Recipe


@pytest.fixture(scope="module")
def network() -> PanopticNetwork:
    with torch.device("meta"):
        return PanopticNetwork(PanopticConfig.scenes(3, 3))


def rates(recipe: Recipe, network: PanopticNetwork) -> dict[str, float]:
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    optimizer = recipe.make_optimizer(network)
    return {names[id(p)]: group["lr"] for group in optimizer.param_groups for p in group["params"]}


def test_every_parameter_is_trained_once(network: PanopticNetwork) -> None:
    optimizer = Recipe(passes=1).make_optimizer(network)
    found = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(found) == sorted(id(p) for p in network.parameters())


def test_one_update_per_path_has_one_rate(network: PanopticNetwork) -> None:
    assert set(rates(Recipe(passes=1), network).values()) == {3e-3}


def test_biases_and_norms_do_not_decay(network: PanopticNetwork) -> None:
    for group in Recipe(passes=1).make_optimizer(network).param_groups:
        assert all((p.ndim > 1) == (group["weight_decay"] > 0) for p in group["params"])


def test_cosine_with_warmup() -> None:
    recipe = Recipe(passes=100, warmup=10, warmup_factor=0.1)
    factors = [recipe.factor(update, 100) for update in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[10] == 1.0
    assert factors[55] == pytest.approx(0.5)
    assert factors[100] == pytest.approx(0.0)
    assert factors[:11] == sorted(factors[:11])
    assert factors[10:] == sorted(factors[10:], reverse=True)


def test_the_papers_steps() -> None:
    recipe = Recipe.coco_retrain()
    assert [round(recipe.factor(update, 90_000), 4) for update in (0, 500, 59_999, 60_000, 80_000)] == [
        0.1, 1.0, 1.0, 0.1, 0.01,
    ]  # fmt: skip


def test_the_papers_supernet_updates() -> None:
    assert Recipe.coco_supernet().updates(12) == 7500


@pytest.mark.parametrize("recipe", [Recipe(passes=3), Recipe.coco_supernet(), Recipe.coco_retrain()])
def test_json_round_trip(recipe: Recipe) -> None:
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"passes": 0}, "passes=0"),
        ({"passes": 1, "optimizer": "adam"}, "optimizer='adam'"),
        ({"passes": 1, "learning_rate": float("nan")}, "learning_rate=nan"),
        ({"passes": 1, "flip": 2.0}, "flip=2.0"),
    ],
)
def test_refusals(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe(**changes)  # type: ignore[arg-type]


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(ValueError, match="no field 'steps'"):
        Recipe.from_json({"passes": 1, "steps": 3})
