"""Recipes: the paper's numbers, the schedule, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from autopanoptic.panoptic.pretraining.recipe import PretrainingRecipe
from autopanoptic.panoptic.pretraining.sources import recipe_of
from autopanoptic.panoptic.training.optimizer import make_optimizer


def test_the_papers_numbers() -> None:
    supernet, found = PretrainingRecipe.imagenet_supernet(), PretrainingRecipe.imagenet()
    assert (supernet.passes, supernet.batch_size, supernet.learning_rate) == (300_000, 1024, 0.5)
    assert (found.passes, found.batch_size, found.learning_rate) == (600_000, 512, 0.25)
    for one in (supernet, found):
        assert (one.optimizer, one.weight_decay, one.label_smoothing) == ("sgd", 4e-5, 0.1)
        assert (one.image_size, one.side, one.jitter, one.flip, one.least_area) == (224, 256, 0.4, 0.5, 0.08)
        assert (one.tail_width, one.dropout) == (1728, 0.2)
        assert [one.factor(step * one.passes // 4) for step in range(5)] == [1.0, 0.75, 0.5, 0.25, 0.0]


def test_warm_up_comes_before_the_fall() -> None:
    recipe = PretrainingRecipe(10, warmup=4)
    assert [recipe.factor(step) for step in range(11)] == pytest.approx(
        [0.25, 0.5, 0.75, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6, 0]
    )


def test_weights_of_one_dimension_do_not_decay() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    groups = make_optimizer(PretrainingRecipe.imagenet(), network).param_groups
    decays = {parameter.ndim: group["weight_decay"] for group in groups for parameter in group["params"]}
    assert decays == {4: 4e-5, 1: 0.0}
    assert torch.optim.SGD is type(make_optimizer(PretrainingRecipe.imagenet(), network))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"passes": 0}, "passes must be at least 1, not 0"),
        ({"image_size": 100}, "image_size must be a multiple of 32, .* not 100"),
        ({"label_smoothing": 1.0}, r"label_smoothing must lie in \[0, 1\), not 1.0"),
        ({"least_area": 0.0}, r"least_area must lie in \(0, 1\], not 0.0"),
        ({"warmup": 400}, "warmup=400 must be less than the 400 passes"),
        ({"learning_rate": -1.0}, "learning_rate must be a positive number"),
        ({"bins": 0}, "bins must be at least 1, not 0"),
        ({"bins": [5.0]}, r"bins are bounded by at least two ascending numbers, not \[5.0\]"),
        ({"bins": [5.0, 5.0]}, "at least two ascending numbers"),
        ({"bins": [1.0, math.inf]}, "at least two ascending numbers"),
        ({"flip": 2}, r"flip must lie in 0\.\.1, not 2"),
        ({"batch_size": "many"}, "recipe.batch_size: .*valid integer.* not 'many'"),
        ({"optimizer": "lamb"}, "recipe.optimizer: .*'sgd' or 'adamw', not 'lamb'"),
        ({"jiter": 0.1}, "recipe.jiter: unknown key; did you mean jitter?"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipe_of("small", changes, supernet=True)


def test_recipes_by_name() -> None:
    assert recipe_of("imagenet", {}, supernet=True) == PretrainingRecipe.imagenet_supernet()
    assert recipe_of("imagenet", {}, supernet=False) == PretrainingRecipe.imagenet()
    assert recipe_of("small", {"bins": [1, 2.5], "passes": 30}, supernet=True).bins == (1, 2.5)
    with pytest.raises(ValueError, match="there is no recipe 'large'; there are imagenet, small"):
        recipe_of("large", {}, supernet=True)
