"""Every model of the table as a network: it learns in all its parameters, predicts, and is read as it was written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autopanoptic.nas import Supernet
from autopanoptic.panoptic.configs.models import MODELS
from autopanoptic.panoptic.model import truth
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.heads.deformable_segmentation import DeformableSegmentation
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.semantic import upsnet
from autopanoptic.panoptic.results.saved import load_network, new_network, save_network
from tests.gradients import without_gradient

RIVALS = [name for name in MODELS if name != "auto-panoptic"]


def config_of(config: PanopticConfig, name: str, **changes: Any) -> PanopticConfig:
    model = MODELS[name]
    return PanopticConfig.from_json({**config.to_json(), **model.parts, **model.network, **changes})


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=RIVALS)
def rival(request: pytest.FixtureRequest, config: PanopticConfig) -> PanopticNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PanopticNetwork(config_of(config, request.param))


def test_only_the_backbone_is_left_to_search(rival: PanopticNetwork) -> None:
    space = Supernet(rival).space
    assert {choice.label.split(".")[0] for choice in space.choices} == {"backbone"}
    with torch.device("meta"):
        fixed = PanopticNetwork(replace(rival.config, backbone="resnet50"))
    assert Supernet(fixed).space.choices == ()


def test_every_parameter_learns_and_the_total_is_weighed(
    rival: PanopticNetwork, make_batch: Callable[..., dict[str, Any]]
) -> None:
    supernet = Supernet(rival)
    supernet.activate(supernet.space.sample(np.random.default_rng(0)))
    losses = rival.losses(**make_batch([(96, 96), (80, 70)], [3, 2]), generator=seeded(0))
    assert all(loss.isfinite() and loss.dim() == 0 for loss in losses.values())
    weights = rival.config.loss_weights()
    total = sum(weights.get(name, 1.0) * loss for name, loss in losses.items() if name != "total")
    torch.testing.assert_close(losses["total"], total)
    losses["total"].backward()
    assert without_gradient(supernet) == []


def test_images_without_things_and_without_stuff_are_trained_on(
    rival: PanopticNetwork, make_batch: Callable[..., dict[str, Any]]
) -> None:
    batch = make_batch([(96, 96)] * 2, [0, 1])
    batch["semantic"].fill_(255)
    losses = rival.losses(**batch, generator=seeded(0))
    assert all(loss.isfinite() for loss in losses.values())
    losses["total"].backward()


def test_a_written_network_is_the_same(
    rival: PanopticNetwork, make_batch: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    space = Supernet(rival).space
    architecture = space.sample(np.random.default_rng(0))
    network = new_network(rival.config, architecture).eval()
    save_network(network, architecture, tmp_path)
    loaded = load_network(tmp_path).eval()
    assert loaded.config == rival.config
    with torch.no_grad():
        for one in (network, loaded):
            one.roi_heads.box_predictor.classes.bias[1] = 3  # type: ignore[union-attr]
    batch = make_batch([(96, 96), (80, 60)], [0, 0])
    for one, other in zip(
        *(n.predict(batch["images"], batch["sizes"], [(96, 96), (160, 120)]) for n in (network, loaded)), strict=True
    ):
        assert len(one.scores)
        assert torch.equal(one.masks, other.masks)
        assert torch.equal(one.semantic, other.semantic)
        assert one.semantic.max() <= rival.config.num_stuff


def test_what_several_losses_need_is_worked_out_once(
    rival: PanopticNetwork, make_batch: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Counter[str]()

    def count(place: Any, name: str) -> None:
        original = getattr(place, name)

        def counted(*given: Any, **named: Any) -> Any:
            calls[name] += 1
            return original(*given, **named)

        monkeypatch.setattr(place, name, counted)

    count(truth, "instance_numbers")
    count(upsnet, "all_classes")
    count(DeformableSegmentation, "joined")
    batch = make_batch([(64, 64), (50, 40)], [2, 1], 64)
    rival.losses(**batch, generator=seeded(0), shares=lambda counts: dict.fromkeys(counts, torch.ones(())))
    of_all_classes = rival.config.semantic_head == "upsnet"
    expected = {"instance_numbers": 2, "all_classes": 2, "joined": 1} if of_all_classes else {}
    assert calls == expected


def test_a_loss_of_regions_that_weighs_nothing_is_left_out(
    config: PanopticConfig, make_batch: Callable[..., dict[str, Any]]
) -> None:
    batch = make_batch([(64, 64)], [2], 64)
    for weight, names in ((0.0, set()), (0.04, {"roi_segmentation", "first_roi_segmentation"})):
        network = PanopticNetwork(config_of(config, "bgrnet", roi_segmentation_loss_weight=weight))
        losses = network.losses(**batch, shares=lambda counts: dict.fromkeys(counts, torch.ones(())))
        assert {name for name in losses if "roi" in name} == names


@pytest.mark.parametrize("backbone", ["resnet50", "efficientnet-lite0"])
@pytest.mark.parametrize("name", MODELS)
def test_every_model_learns_on_fixed_backbones(
    config: PanopticConfig, name: str, backbone: str, make_batch: Callable[..., dict[str, Any]]
) -> None:
    trained = {"backbone": backbone, "backbone_freeze_at": 0, "backbone_frozen_norms": False}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        supernet = Supernet(PanopticNetwork(config_of(config, name, **trained)))
    losses = supernet.module.losses(**make_batch([(64, 64), (50, 40)], [2, 1], 64), generator=seeded(0))
    assert all(loss.isfinite() for loss in losses.values())
    losses["total"].backward()
    assert without_gradient(supernet) == []
