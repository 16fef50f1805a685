"""Recipes: schedules, and what is refused."""

from __future__ import annotations

import json

import pytest

from autopanoptic.panoptic.training.recipe import Recipe


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
