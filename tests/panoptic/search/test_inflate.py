from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from autopanoptic.nas import Architecture, Supernet
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.search.inflate import inflate


@pytest.fixture(scope="module")
def warm(config: PanopticConfig, make_batch: Callable[..., dict[str, Any]]) -> Supernet:
    """A supernet whose first path has been trained a little, inflated."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = PanopticNetwork(config)
    supernet = Supernet(network)
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    batch = make_batch([(96, 96)] * 2, [2, 2])
    for step in range(6):
        optimizer.zero_grad()
        network.losses(**batch, generator=torch.Generator().manual_seed(step))["total"].backward()
        optimizer.step()
    inflate(network, first_path(supernet, {"b2f.p2": "r16"}))
    network.eval()
    return supernet


def first_path(supernet: Supernet, changes: dict[str, str]) -> Architecture:
    return supernet.space.canonical({**{c.label: c.options[0] for c in supernet.space.choices}, **changes})


def difference(supernet: Supernet, changes: dict[str, str]) -> float:
    """Relative difference of the outputs after changing the trained path."""
    images = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(5))
    outputs = []
    for choices in ({"b2f.p2": "r16"}, {"b2f.p2": "r16", **changes}):
        supernet.activate(first_path(supernet, choices))
        with torch.no_grad():
            out = supernet.module(images)
        outputs.append(torch.cat((out.segmentation.flatten(), out.mask_logits.flatten())))
    expected, found = outputs
    return float((found - expected).norm() / expected.norm())


def labels(supernet: Supernet, *parts: str) -> list[str]:
    return [choice.label for choice in supernet.space.choices if choice.label.split(".")[0] in parts]


@pytest.mark.parametrize("option", ["shuffle5", "shuffle7"])
def test_larger_blocks_are_the_trained_ones(warm: Supernet, option: str) -> None:
    assert difference(warm, dict.fromkeys(labels(warm, "backbone"), option)) < 1e-5


@pytest.mark.parametrize("option", ["dw5", "df3", "df5"])
def test_head_layers_are_the_trained_ones(warm: Supernet, option: str) -> None:
    assert difference(warm, dict.fromkeys(labels(warm, "mask", "segmentation"), option)) < 1e-5


def test_xception_blocks_with_stride_1_are_the_trained_ones(warm: Supernet) -> None:
    assert difference(warm, {"backbone.2": "xception3", "backbone.4": "xception3"}) < 1e-4


def test_fusion_units_with_more_hidden_units_are_the_trained_ones(warm: Supernet) -> None:
    for option in ("r4", "r8"):
        assert difference(warm, {"b2f.p2": option}) < 1e-5


@pytest.mark.parametrize(("option", "parts"), [("xception3", ["backbone"]), ("at3", ["mask", "segmentation"])])
def test_approximate_options_are_closer_than_fresh_ones(
    warm: Supernet, network: PanopticNetwork, option: str, parts: list[str]
) -> None:
    inflated = difference(warm, dict.fromkeys(labels(warm, *parts), option))
    fresh = Supernet(PanopticNetwork(network.config))
    state = {k: v.clone() for k, v in warm.module.state_dict().items() if f".{option}." not in k}
    fresh.module.load_state_dict(state, strict=False)
    fresh.module.eval()
    assert 0 < inflated < 0.7 * difference(fresh, dict.fromkeys(labels(fresh, *parts), option))


def test_fewer_hidden_units_keep_the_strongest(warm: Supernet) -> None:
    network = PanopticNetwork(warm.module.config)
    choice = network.background_to_foreground.units["p3"]
    with torch.no_grad():
        choice["r4"].excite.weight.zero_()
        choice["r4"].excite.weight[:, 5] = 1
    inflate(network, first_path(warm, {}))
    pooled = torch.randn(2, choice["r4"].squeeze.in_features)
    torch.testing.assert_close(choice["r16"](pooled), choice["r4"](pooled))


def test_necks_take_over_what_they_share(config: PanopticConfig) -> None:
    network = PanopticNetwork(replace(config, neck="search"))
    inflate(network, first_path(Supernet(network), {}))
    fpn, panet, bifpn = (network.neck.pyramid[name] for name in ("fpn", "panet", "bifpn"))
    for name, tensor in fpn.state_dict().items():
        assert torch.equal(tensor, panet.state_dict()[name])
    assert torch.equal(fpn.fpn.inner_blocks[2][0].weight, bifpn.lateral[2][0].weight)


@pytest.mark.parametrize(("label", "option"), [("backbone.1", "shuffle5"), ("mask.0", "at3")])
def test_a_path_that_cannot_be_inflated_is_refused(warm: Supernet, label: str, option: str) -> None:
    with pytest.raises(ValueError, match=f"{label} = '{option}'"):
        inflate(warm.module, first_path(warm, {label: option}))  # type: ignore[arg-type]
