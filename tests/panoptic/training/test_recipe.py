"""Recipes: schedules, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from autopanoptic.panoptic.data.loading.normalization import CAFFE_BGR
from autopanoptic.panoptic.data.loading.transforms import Transform
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
        ({"passes": 0}, "passes must be at least 1, not 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
        ({"warmup": -1}, "warmup must be at least 0, not -1"),
        ({"optimizer": "adam"}, "optimizer must be 'adamw' or 'sgd', not 'adam'"),
        ({"schedule": "linear"}, "schedule must be 'cosine' or 'steps', not 'linear'"),
        ({"learning_rate": float("nan")}, "learning_rate must be a positive number, not nan"),
        ({"weight_decay": -1.0}, "weight_decay must be a number of at least 0, not -1.0"),
        ({"warmup_factor": 0.0}, r"warmup_factor must lie in \(0, 1\], not 0.0"),
        ({"clip": 0.0}, "clip must be positive, or None for no clipping, not 0.0"),
        ({"milestones": (2, 2)}, r"milestones must be updates from 1 on, .*, not \[2, 2\]"),
        ({"milestones": (0, 2)}, r"milestones must be updates from 1 on, .*, not \[0, 2\]"),
        ({"flip": 2.0}, "flip=2.0"),
    ],
)
def test_refusals(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(Recipe(passes=1), **changes)  # type: ignore[arg-type]


def test_numbers_of_numpy_are_numbers() -> None:
    assert Recipe(passes=np.int64(3), learning_rate=np.float32(0.5), clip=1).passes == 3


def test_a_field_that_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match="Recipe lacks the field 'passes'"):
        Recipe.from_json({"batch_size": 2})


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(ValueError, match="no field 'steps'"):
        Recipe.from_json({"passes": 1, "steps": 3})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ema": 1.0}, r"ema is a decay in \[0, 1\), 0 for no average, not 1.0"),
        ({"distillation": 1.1}, r"distillation must lie in 0..1, .*, not 1.1"),
        ({"distillation": -0.1}, r"distillation must lie in 0..1, .*, not -0.1"),
        ({"distillation": float("nan")}, r"distillation must lie in 0..1, .*, not nan"),
        ({"norm_factor": 0.0}, "norm_factor must be a positive number, not 0.0"),
        ({"offset_factor": float("nan")}, "offset_factor must be a positive number, not nan"),
        ({"scale_jitter": (1.2, 0.8)}, r"scale_jitter=\(1.2, 0.8\) must be the least and the largest"),
        ({"hue": 0.6}, r"hue=0.6 must lie in 0..0.5"),
        ({"contrast": -0.1}, r"contrast=-0.1 must lie in 0..1"),
        ({"validate_every": -1}, "validate_every must be a number of passes, or 0 for none, not -1"),
        ({"keep": "first", "validate_every": 2}, "keep must be 'last' or 'best', not 'first'"),
        ({"keep": "best"}, "keep='best' needs validate_every"),
        ({"batch_size": 2.5}, "batch_size must be a whole number, not 2.5"),
        ({"warmup": True}, "warmup must be a whole number, not True"),
        ({"accumulate": 1}, "accumulate must be True or False, not 1"),
        ({"clip": "10"}, "clip must be a number, not '10'"),
        ({"learning_rate": None}, "learning_rate must be a number, not None"),
        ({"milestones": (3.5,)}, r"milestones must be of the kind tuple\[int, \.\.\.\], not \(3.5,\)"),
        ({"scale_jitter": (1.0,)}, r"scale_jitter must be of the kind tuple\[float, float\], not \(1.0,\)"),
        ({"schedule": "steps"}, "schedule='steps' needs milestones"),
    ],
)
def test_refusals_of_a_single_field(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe(passes=1, **changes)  # type: ignore[arg-type]


def test_the_augmentation_reaches_the_transform() -> None:
    recipe = Recipe(passes=1, flip=0.1, scale_jitter=(0.5, 2.0), brightness=0.2, contrast=0.3, saturation=0.4, hue=0.05)
    given = Transform(64, 128, flip=0.9, normalization=CAFFE_BGR)
    assert recipe.augmented(given) == Transform(64, 128, 0.1, (0.5, 2.0), 0.2, 0.3, 0.4, 0.05, CAFFE_BGR)
