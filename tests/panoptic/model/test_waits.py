"""How often the host waits for a GPU, counted on one that is not there, where results are compared with the CPU's."""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch

from autopanoptic.nas import Supernet
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.prediction import Prediction
from autopanoptic.panoptic.search.strategies import hand_made
from tests.pretended_gpu import OnGpuGenerator, PretendedGpu, map_tensors, on_gpu, on_host

SIZES = [(96, 96), (80, 70)]


@pytest.fixture(scope="module")
def networks(config: PanopticConfig) -> tuple[PanopticNetwork, Any]:
    """A network on the CPU and the same on the GPU that is not there."""
    network = _network(config)
    return network, on_gpu(copy.deepcopy(network))


@pytest.mark.parametrize("things", [[2, 3], [9, 12], [0, 4]])
def test_a_training_forward_waits_once_an_image_and_four_times_a_batch(
    networks: tuple[PanopticNetwork, Any], make_batch: Any, things: list[int]
) -> None:
    own, on_device = (network.train() for network in networks)
    batch = make_batch(SIZES, things)
    # Batch norm keeps statistics, so each network computes the same number of times.
    expected = own.losses(**batch, generator=torch.Generator().manual_seed(3))
    sent = {name: part if name == "sizes" else on_gpu(part) for name, part in batch.items()}
    with PretendedGpu() as gpu:
        found = on_device.losses(**sent, generator=OnGpuGenerator().manual_seed(3))
    # Non-maximum suppression; how many anchors and RoIs there are to sample; the levels of RoIs for boxes and masks.
    assert gpu.waits == Counter(nms=len(SIZES), tolist=4)
    # Images without a thing have no RoI for a mask, whose head is not run then.
    torch.testing.assert_close(on_host(dict(found)), dict(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("least_score", [0.0, 0.26])
def test_a_prediction_waits_twice_an_image_and_three_times_a_batch(
    networks: tuple[PanopticNetwork, Any], make_batch: Any, aligned: bool, least_score: float
) -> None:
    own, on_device = (network.eval() for network in networks)
    images, originals = make_batch(SIZES, [0, 0])["images"], [(120, 110), (64, 50)]
    for network in (own, on_device):
        network.config = replace(network.config, mask_aligned=aligned)
    expected = own.predict(images, SIZES, originals, least_score=least_score)
    with PretendedGpu() as gpu:
        found = on_device.predict(on_gpu(images), SIZES, originals, least_score=least_score)
    # Suppression of proposals and of detections; how many are confident; the levels of RoIs for boxes and masks.
    assert gpu.waits == Counter(nms=2 * len(SIZES), tolist=3)
    assert sum(len(one.scores) for one in expected) > 0
    for one, other in zip(found, expected, strict=True):
        _check_prediction(one, other)


@pytest.mark.gpu
def test_a_gpu_reports_no_more_waits(config: PanopticConfig, make_batch: Any) -> None:
    device = torch.device("cuda")
    network: Any = _network(config).train().to(device)
    batch = make_batch(SIZES, [2, 3])
    sent = map_tensors(lambda x: x.to(device), batch)
    generator = torch.Generator(device).manual_seed(0)
    network.losses(**sent, generator=generator)  # loads kernels
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            network.losses(**sent, generator=generator)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    waits = [str(one.message) for one in found if "synchronizing" in str(one.message)]
    assert len(waits) <= len(SIZES) + 4, waits


@pytest.mark.gpu
def test_a_gpu_trains_in_bfloat16(config: PanopticConfig, make_batch: Any) -> None:
    device = torch.device("cuda")
    network: Any = _network(config).train().to(device)
    sent = map_tensors(lambda x: x.to(device), make_batch(SIZES, [2, 3]))
    seen: list[torch.Tensor] = []
    network.backbone.stem[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    whole = network.losses(**sent, generator=torch.Generator(device).manual_seed(0))["total"]
    with torch.autocast("cuda", torch.bfloat16):
        half = network.losses(**sent, generator=torch.Generator(device).manual_seed(0))["total"]
    half.backward()
    assert [x.is_contiguous(memory_format=torch.channels_last) for x in seen] == [False, True]
    torch.testing.assert_close(half, whole, rtol=0.1, atol=0.1)


def _network(config: PanopticConfig) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        supernet = Supernet(PanopticNetwork(config))
        return supernet.subnet(hand_made(supernet.space))


def _check_prediction(found: Prediction, expected: Prediction) -> None:
    for name in ("boxes", "scores", "labels"):
        torch.testing.assert_close(on_host(getattr(found, name)), getattr(expected, name))
    for name in ("masks", "semantic"):
        assert (on_host(getattr(found, name)) == getattr(expected, name)).float().mean() > 0.9999
