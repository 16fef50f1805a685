"""What a run computes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.stages import supernet
from autopanoptic.panoptic.stages.machine import hardware, threads_of_torch
from autopanoptic.panoptic.training.hardware import Hardware


def test_processes_train_a_supernet_together_on_a_cpu() -> None:
    scenes = load_config("scenes", {"machine.device": "cpu"})
    assert scenes.machine.supernet_processes == 2
    found = hardware(scenes, progress=False, sharing=2)
    assert (found.accelerator, found.devices, found.share_paths) == ("cpu", 2, True)
    assert hardware(scenes, progress=False).devices == 1


ALONE = {"largest": None, "sandwich": True}
"""The sandwich steps of all paths, without a training of one before them."""


@pytest.mark.parametrize(
    ("changes", "devices"),
    [
        ({}, [1, 2]),
        (ALONE, [2]),
        ({"largest": None, "random_paths": 1}, [1]),  # another path on every batch
        ({**ALONE, "supernet.distillation": 0.5}, [1]),  # the largest path must be there before the others
        ({**ALONE, "warmup": {"passes": 3}}, [1, 2]),
        ({"warmup": {"passes": 3}}, [1, 1, 2]),
        ({"search.space": "auto-panoptic"}, [1]),
    ],
)
def test_only_paths_of_one_step_are_shared(
    changes: dict[str, Any], devices: list[int], datasets: Datasets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a batch of images each process would have its own batch-norm statistics."""
    used: list[Hardware] = []
    monkeypatch.setattr(supernet, "train", lambda *args, hardware, **options: used.append(hardware))
    monkeypatch.setattr(supernet, "inflate", lambda *args: None)
    settings = load_config("scenes", {"machine.device": "cpu", **changes})
    supernet.train_supernet(settings, datasets, tmp_path, progress=False)
    assert [machine.devices for machine in used] == devices
    assert [machine.share_paths for machine in used] == [count > 1 for count in devices]


def test_threads_are_as_before_afterwards() -> None:
    before = torch.get_num_threads()
    with threads_of_torch(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
