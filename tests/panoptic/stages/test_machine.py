"""What a run computes on."""

from __future__ import annotations

import torch

from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.stages.machine import hardware, threads_of_torch


def test_processes_train_a_supernet_together_on_a_cpu() -> None:
    scenes = load_config("scenes", {"machine.device": "cpu"})
    assert scenes.machine.supernet_processes == 2
    found = hardware(scenes, progress=False, processes=2)
    assert (found.accelerator, found.devices, found.share_paths) == ("cpu", 2, True)
    assert hardware(scenes, progress=False).devices == 1


def test_paths_are_not_shared_where_one_teaches_the_others() -> None:
    taught = load_config("scenes", {"machine.device": "cpu", "supernet.distillation": 0.5})
    assert not hardware(taught, progress=False, processes=2).share_paths


def test_threads_are_as_before_afterwards() -> None:
    before = torch.get_num_threads()
    with threads_of_torch(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
