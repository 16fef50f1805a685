"""Learning rates and decay of a network's parameters."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from torch import nn

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


def test_all_but_norms_have_one_rate_by_default(network: PanopticNetwork) -> None:
    assert set(rates(Recipe(passes=1), network).values()) == {3e-3, 3e-2}
    assert set(rates(Recipe(passes=1, norm_factor=1.0), network).values()) == {3e-3}


def test_biases_and_norms_do_not_decay(network: PanopticNetwork) -> None:
    for group in make_optimizer(Recipe(passes=1), network).param_groups:
        assert all((p.ndim > 1) == (group["weight_decay"] > 0) for p in group["params"])


def test_with_sgd_all_but_biases_decay_as_published(network: PanopticNetwork) -> None:
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    for group in make_optimizer(Recipe(passes=1, optimizer="sgd"), network).param_groups:
        assert all(names[id(p)].endswith("bias") == (group["weight_decay"] == 0) for p in group["params"])


def test_each_kind_of_parameter_has_its_factor(network: PanopticNetwork) -> None:
    found = rates(Recipe(passes=1, learning_rate=1.0, bias_factor=2.0, norm_factor=5.0, offset_factor=0.1), network)

    def rate(*parts: str) -> float:
        (value,) = {value for name, value in found.items() if all(part in name for part in parts)}
        return value

    assert rate("backbone.stem.0.weight") == 1.0
    assert rate("backbone.stem.0.bias") == 2.0
    assert rate("backbone.stem.1.weight") == 5.0  # batch norm
    assert rate("backbone.stem.1.bias") == 10.0
    assert rate("neck", "layer_blocks.0.1.weight") == 5.0  # group norm
    assert rate("df3", "offset.weight") == pytest.approx(0.1)
    assert rate("df3", "offset.bias") == pytest.approx(0.2)
    assert rate("foreground_to_background", "squeeze.weight") == 1.0


def test_the_optimizer_is_fused_on_this_device(network: PanopticNetwork) -> None:
    for kind in ("adamw", "sgd"):
        optimizer = make_optimizer(Recipe(passes=1, optimizer=kind), network)  # type: ignore[arg-type]
        assert all(group["fused"] for group in optimizer.param_groups)


def test_where_torch_has_no_fused_optimizer_the_log_says_so(
    network: PanopticNetwork, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole = torch.optim.AdamW.__init__

    def without(self: torch.optim.AdamW, *given: Any, fused: bool, **options: Any) -> None:
        if fused:
            raise RuntimeError("`fused=True` requires all the params to be on supported devices")
        whole(self, *given, fused=fused, **options)

    monkeypatch.setattr(torch.optim.AdamW, "__init__", without)
    optimizer = make_optimizer(Recipe(passes=1), network)
    assert not any(group["fused"] for group in optimizer.param_groups)
    assert "not fused, so that its steps take longer: `fused=True` requires" in caplog.text


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_parameters_may_have_their_first_gradients_at_different_steps(kind: Literal["sgd", "adamw"]) -> None:
    """As the options of a supernet do: what they come to is what torch's plain optimizers give."""
    recipe = Recipe(passes=1, optimizer=kind, learning_rate=0.1, weight_decay=0.01)
    layers, plain = (nn.ModuleList(nn.Linear(3, 3) for _ in range(3)) for _ in range(2))
    plain.load_state_dict(layers.state_dict())
    optimizer = make_optimizer(recipe, layers)
    groups = [{**group, "params": []} for group in optimizer.param_groups]
    twins = dict(zip(layers.parameters(), plain.parameters(), strict=True))
    for group, found in zip(groups, optimizer.param_groups, strict=True):
        group |= {"params": [twins[one] for one in found["params"]], "fused": False, "foreach": False}
    expected = type(optimizer)(groups)
    for used in ((0, 1), (1, 2), (0,), (0, 1, 2)):
        for network, stepped in ((layers, optimizer), (plain, expected)):
            x = torch.linspace(-1, 1, 6).view(2, 3)
            for index in used:
                x = network[index](x)
            x.square().sum().backward()
            stepped.step()
            stepped.zero_grad(set_to_none=True)
    for one, other in twins.items():
        torch.testing.assert_close(one, other)
