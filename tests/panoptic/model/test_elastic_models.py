"""Every model of the table where widths and depths are choices: what a path computes is what its own network does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from autopanoptic.nas import ElasticLayer, FlopCount, LayerCosts, ParameterCount, Supernet, sort_channels
from autopanoptic.nas.supernet.dataflow import tensors_in
from autopanoptic.panoptic.configs.models import MODELS
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.operators.deform import FLOP_FORMULAS
from tests.gradients import without_gradient

RIVALS = [name for name in MODELS if name != "auto-panoptic"]


def elastic(name: str) -> PanopticConfig:
    model = MODELS[name]
    small: dict[str, Any] = {
        "space": "elastic", "stem_width": 4, "c2_widths": (8,), "c3_widths": (12, 16), "c4_widths": (20,),
        "c5_widths": (24,), "c3_depths": (1, 1), "c4_depths": (1, 1), "c5_depths": (1, 1),
        "pyramid_widths": (16, 32), "segmentation_widths": (18, 24), "mask_widths": (12, 24), "norm_groups": 4,
        "box_hidden": 16, "rpn_post_nms_test": 6, "detections_per_image": 4,
    }  # fmt: skip
    config = PanopticConfig.scenes(3, 2).to_json()
    return PanopticConfig.from_json({**config, **small, **model.parts, **model.network})


@pytest.fixture(scope="module", params=RIVALS)
def supernet(request: pytest.FixtureRequest) -> Supernet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Supernet(PanopticNetwork(elastic(request.param)))


def test_a_subnet_is_the_active_path_bit_for_bit(supernet: Supernet, make_batch: Callable[..., dict[str, Any]]) -> None:
    batch = make_batch([(64, 64), (50, 40)], [0, 0], 64)
    inputs = batch["images"], batch["sizes"], [(64, 64), (100, 80)]
    supernet.module.eval()
    with torch.no_grad():
        supernet.module.roi_heads.box_predictor.classes.bias[1] = 3  # type: ignore[union-attr]
    widths = set()
    for seed in range(4):
        architecture = supernet.space.sample(np.random.default_rng(seed))
        widths.add(architecture.get("segmentation.width"))
        supernet.activate(architecture)
        subnet = supernet.subnet(architecture).eval()
        assert not any(isinstance(module, ElasticLayer) for module in subnet.modules())
        with torch.no_grad():
            pairs = [(supernet.module(batch["images"]), subnet(batch["images"]))]
        pairs += zip(supernet.module.predict(*inputs), subnet.predict(*inputs), strict=True)  # type: ignore[operator]
        for path, alone in pairs:
            found, expected = list(tensors_in(path)), list(tensors_in(alone))
            assert len(found) == len(expected) > 0
            assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert len(widths) > 1


def test_the_narrowest_path_learns_in_every_active_parameter(
    supernet: Supernet, make_batch: Callable[..., dict[str, Any]]
) -> None:
    batch = make_batch([(64, 64), (50, 40)], [3, 2], 64)
    smallest = {choice.label: choice.options[0] for choice in supernet.space.choices}
    supernet.activate(supernet.space.canonical(smallest))
    network = supernet.module.train()
    network.zero_grad()
    losses = network.losses(**batch, generator=torch.Generator().manual_seed(0))
    assert all(loss.isfinite() for loss in losses.values())
    losses["total"].backward()
    assert without_gradient(supernet) == []


def test_costs_of_layers_add_up_to_those_of_the_whole_network(supernet: Supernet) -> None:
    with torch.device("meta"):
        own = Supernet(PanopticNetwork(supernet.module.config))
    image = torch.zeros(1, 3, 64, 64, device="meta")
    layers = LayerCosts(own, image, formulas=FLOP_FORMULAS)
    whole, parameters = FlopCount(own, image, formulas=FLOP_FORMULAS), ParameterCount(own)
    for seed in range(4):
        architecture = own.space.sample(np.random.default_rng(seed))
        assert layers(architecture) == whole(architecture)
        assert layers.parameters(architecture) == parameters(architecture)


def test_channels_are_sorted_without_changing_the_largest_network(supernet: Supernet) -> None:
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert set(sort_channels(supernet, [images])) >= {"segmentation.width"} & {c.label for c in supernet.space.choices}
