"""Between host and device without waits: the results are those of what waits."""

from __future__ import annotations

import pytest
import torch

from autopanoptic.panoptic.data.transfers import count_values, on_device, places, send
from tests.pretended_gpu import GPU, PretendedGpu, on_gpu, on_host

VALUES = torch.tensor([3, 0, 0, 5, 3, 3, 2])


@pytest.mark.parametrize("mask", [VALUES > 2, VALUES > 9, VALUES >= 0, VALUES[:0] > 0])
def test_places_are_those_of_nonzero(mask: torch.Tensor) -> None:
    expected, count = mask.nonzero()[:, 0], int(mask.sum())
    assert torch.equal(places(mask, count), expected)
    with PretendedGpu() as gpu:
        assert torch.equal(on_host(places(on_gpu(mask), count)), expected)
    assert not gpu.waits


def test_counts_are_those_of_bincount() -> None:
    assert count_values(VALUES, 5).tolist() == [2, 0, 1, 3, 0]
    with PretendedGpu() as gpu:
        assert on_host(count_values(on_gpu(VALUES), 5)).tolist() == [2, 0, 1, 3, 0]
    assert not gpu.waits


def test_numbers_are_sent_without_a_wait() -> None:
    assert torch.equal(on_device([1, 2], torch.device("cpu"), torch.float32), torch.tensor([1.0, 2.0]))
    with PretendedGpu() as gpu:
        there = on_device([1, 2], GPU, torch.float32)
        assert there.device == GPU
        assert there.dtype == torch.float32
        assert send(there, GPU) is there
    assert not +gpu.waits


def test_the_gpu_that_is_not_there_sees_waits_and_strangers() -> None:
    with PretendedGpu() as gpu:
        x = torch.tensor([1.0, -2.0], device=GPU)
        assert bool(x.sum() < 0)
        x[x > 0].cpu()
        x.nonzero()
        x.to("cpu")
        torch.ones(2).to(GPU)
        with pytest.raises(RuntimeError, match="on the CPU"):
            x + torch.ones(2)
    assert gpu.waits == {
        "tensor": 1, "_local_scalar_dense": 1, "an index by a mask": 1, "to the host": 2, "nonzero": 1,
        "to the device": 1,
    }  # fmt: skip
