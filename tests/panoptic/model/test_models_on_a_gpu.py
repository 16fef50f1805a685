"""Every model of the table on a real GPU: it learns and predicts as on the CPU, and trains in bfloat16."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from autopanoptic.nas import Supernet
from autopanoptic.panoptic.configs.models import MODELS
from autopanoptic.panoptic.data.categories import Categories, Category
from autopanoptic.panoptic.data.segments import PanopticMap
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.graph import attention
from autopanoptic.panoptic.model.merge.predicted import map_of
from autopanoptic.panoptic.model.merge.rules import MergeRules
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.operators.deformable import Deformable, bias_of
from autopanoptic.panoptic.results.saved import new_network
from autopanoptic.panoptic.search.strategies import hand_made
from tests.pretended_gpu import map_tensors

pytestmark = pytest.mark.gpu
SIZES = [(96, 96), (80, 70)]


@pytest.fixture(autouse=True)
def _single_precision() -> Iterator[None]:
    """Convolutions on a GPU round their inputs to 10 bits unless they are told not to."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


@pytest.fixture(params=MODELS)
def network(request: pytest.FixtureRequest, config: PanopticConfig) -> PanopticNetwork:
    model = MODELS[request.param]
    # All anchors and RoIs are taken, for two proposals that score alike may come in another order on a GPU.
    every = {"rpn_samples": 10**6, "box_samples": 10**6}
    own = PanopticConfig.from_json({**config.to_json(), **model.parts, **model.network, **every})
    with torch.device("meta"):
        space = Supernet(PanopticNetwork(own)).space
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = new_network(own, hand_made(space))
    _displace_taps(found)
    return found


def _displace_taps(network: PanopticNetwork) -> None:
    """Move deformable taps off the pixels' centres, where the offsets' derivative is one-sided."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, Deformable):
            bias = bias_of(module.offset)
            with torch.no_grad():
                bias.copy_(0.2 + 0.2 * torch.rand(bias.shape, generator=generator))


def losses(network: Any, batch: dict[str, Any], device: str, drawn_on: str) -> dict[str, torch.Tensor]:
    sent = map_tensors(lambda x: x.to(device), batch)
    found: dict[str, torch.Tensor] = network.losses(**sent, generator=torch.Generator(drawn_on).manual_seed(0))
    return found


def test_losses_and_gradients_are_those_of_the_cpu(
    network: PanopticNetwork, make_batch: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "DROPOUT", 0.0)  # of rows, which may be ordered otherwise
    batch = make_batch(SIZES, [3, 2])
    there = copy.deepcopy(network).train().cuda()
    # A GPU's generator would draw other instances to prune than a CPU's.
    expected, found = losses(network.train(), batch, "cpu", "cpu"), losses(there, batch, "cuda", "cpu")
    assert set(found) == set(expected)
    for name, one in expected.items():
        torch.testing.assert_close(found[name].cpu(), one, rtol=1e-3, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}")
    expected["total"].backward()
    found["total"].backward()
    sizes = {name: one.grad.norm() for name, one in network.named_parameters() if one.grad is not None}
    moved = {name: one.grad.norm().cpu() for name, one in there.named_parameters() if one.grad is not None}
    assert set(moved) == set(sizes)
    largest = max(sizes.values()).item()
    for name, one in sizes.items():
        torch.testing.assert_close(moved[name], one, rtol=2e-2, atol=1e-4 * largest, msg=lambda m, n=name: f"{n}: {m}")


def classes_of(found: PanopticMap) -> np.ndarray[Any, Any]:
    """The category of each pixel, 0 for void."""
    ids = np.asarray(torch.as_tensor(found.ids).cpu())
    classes = np.zeros_like(ids)
    for segment in found.segments:
        classes[ids == segment.id] = segment.category_id
    return classes


def test_maps_are_those_of_the_cpu(network: PanopticNetwork, make_batch: Callable[..., dict[str, Any]]) -> None:
    batch, originals = make_batch(SIZES, [0, 0]), [(120, 110), (64, 50)]
    network.eval()
    with torch.no_grad():
        network.roi_heads.box_predictor.classes.bias[1] = 3  # type: ignore[union-attr]
    counts = network.config.num_things, network.config.num_stuff
    categories = Categories([Category(i + 1, str(i), i < counts[0], (i, 0, 0)) for i in range(sum(counts))])
    rules = MergeRules(score_threshold=0.3, stuff_area=1)
    there = copy.deepcopy(network).cuda()
    own = network.predict(batch["images"], SIZES, originals)
    found = there.predict(batch["images"].cuda(), SIZES, originals)
    for one, other in zip(own, found, strict=True):
        # Boxes that score nearly alike may suppress each other the other way round.
        assert len(other.scores) == pytest.approx(len(one.scores), abs=2)
        assert len(one.scores) > 0
        both = min(len(one.scores), len(other.scores))
        torch.testing.assert_close(other.scores[:both].cpu(), one.scores[:both], rtol=1e-2, atol=1e-3)
        classes = [classes_of(map_of(each, categories, rules)) for each in (one, other)]
        assert (classes[0] == classes[1]).mean() > 0.97


def test_it_trains_in_bfloat16(network: PanopticNetwork, make_batch: Callable[..., dict[str, Any]]) -> None:
    batch = make_batch(SIZES, [3, 2])
    there = network.train().cuda()
    whole = losses(copy.deepcopy(there), batch, "cuda", "cuda")["total"]
    optimizer = torch.optim.AdamW(there.parameters(), lr=1e-3, fused=True)
    taken = []
    for _ in range(10):
        with torch.autocast("cuda", torch.bfloat16):
            loss = losses(there, batch, "cuda", "cuda")["total"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        taken.append(loss.item())
    assert taken[0] == pytest.approx(whole.item(), rel=0.1)
    assert taken[-1] < 0.9 * taken[0]
