"""Learning rates and decay of a network's parameters."""

from __future__ import annotations

import pytest
import torch

from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.training.optimizer import make_optimizer
from autopanoptic.panoptic.training.recipe import Recipe


@pytest.fixture(scope="module")
def network() -> PanopticNetwork:
    with torch.device("meta"):
        return PanopticNetwork(PanopticConfig.scenes(3, 3))


def rates(recipe: Recipe, network: PanopticNetwork) -> dict[str, float]:
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    optimizer = make_optimizer(recipe, network)
    return {names[id(p)]: group["lr"] for group in optimizer.param_groups for p in group["params"]}


def test_every_parameter_is_trained_once(network: PanopticNetwork) -> None:
    optimizer = make_optimizer(Recipe(passes=1), network)
    found = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(found) == sorted(id(p) for p in network.parameters())


def test_one_update_per_path_has_one_rate(network: PanopticNetwork) -> None:
    assert set(rates(Recipe(passes=1), network).values()) == {3e-3}


def test_biases_and_norms_do_not_decay(network: PanopticNetwork) -> None:
    for group in make_optimizer(Recipe(passes=1), network).param_groups:
        assert all((p.ndim > 1) == (group["weight_decay"] > 0) for p in group["params"])
