"""Networks for things alone and for stuff alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from autopanoptic.nas import FlopCount, Supernet
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.search.strategies import hand_made

THINGS, STUFF = PanopticConfig.scenes(3, 0), PanopticConfig.scenes(0, 2)
LOSSES = {"things": {"objectness", "rpn_box", "classification", "box", "mask"}, "stuff": {"segmentation"}}
CHOICES = {"things": {"backbone", "mask"}, "stuff": {"backbone", "segmentation"}}


@pytest.fixture(params=["things", "stuff"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def network(kind: str) -> PanopticNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PanopticNetwork(THINGS if kind == "things" else STUFF)


def test_only_the_branch_of_the_kind_is_built(network: PanopticNetwork, kind: str) -> None:
    supernet = Supernet(network)
    assert {choice.label.split(".")[0] for choice in supernet.space.choices} == CHOICES[kind]
    assert (network.rpn is None) == (network.roi_heads is None) == (kind == "stuff")
    assert (network.segmentation is None) == (kind == "things")
    assert network.foreground_to_background is network.background_to_foreground is None
    assert FlopCount(supernet, torch.zeros(1, 3, 64, 64))(hand_made(supernet.space)) > 0


def test_every_parameter_of_a_path_learns(
    network: PanopticNetwork, kind: str, make_batch: Callable[..., dict[str, Any]]
) -> None:
    supernet = Supernet(network)
    batch = make_batch([(64, 64)] * 2, [2, 0] if kind == "things" else [0, 0], 64)
    if kind == "things":
        batch["semantic"][:] = 255
    losses = network.losses(**batch, generator=torch.Generator().manual_seed(0))
    assert set(losses) == LOSSES[kind] | {"total"}
    assert all(loss.isfinite() for loss in losses.values())
    losses["total"].backward()
    used = [p for module in supernet.active_modules() for p in module.parameters(recurse=False)]
    assert all(parameter.grad is not None for parameter in used)


def test_the_other_kind_is_not_predicted(
    network: PanopticNetwork, kind: str, make_batch: Callable[..., dict[str, Any]]
) -> None:
    network.eval()
    if network.roi_heads is not None:
        with torch.no_grad():  # make the untrained network see things
            network.roi_heads.box_predictor.classes.bias[1] = 3
    batch = make_batch([(64, 64), (60, 50)], [0, 0], 64)
    for found, size in zip(network.predict(batch["images"], batch["sizes"], [(64, 64), (120, 100)]),
                           [(64, 64), (120, 100)], strict=True):  # fmt: skip
        assert found.semantic.shape == size
        assert found.masks.shape == (len(found.boxes), *size)
        assert (len(found.boxes) > 0) == (kind == "things")
        assert (found.semantic == 0).all() == (kind == "things")
        assert found.semantic.dtype == found.labels.dtype == torch.int64
        assert found.boxes.shape == (len(found.scores), 4)


def test_a_subnet_is_the_path(network: PanopticNetwork) -> None:
    supernet = Supernet(network.eval())
    subnet = supernet.subnet(hand_made(supernet.space))
    image = torch.randn(1, 3, 64, 64)
    supernet.activate(hand_made(supernet.space))
    ours, theirs = (net.predict(image, [(64, 64)], [(64, 64)])[0] for net in (network, subnet))  # type: ignore[operator]
    assert torch.equal(ours.semantic, theirs.semantic)
    assert torch.equal(ours.boxes, theirs.boxes)
