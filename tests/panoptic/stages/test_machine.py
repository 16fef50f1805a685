"""What a run computes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.search.strategies import family
from autopanoptic.panoptic.stages import supernet
from autopanoptic.panoptic.stages.costs import costs
from autopanoptic.panoptic.stages.machine import hardware, threads_of_torch
from autopanoptic.panoptic.training.hardware import Hardware
from autopanoptic.panoptic.training.training import Training


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
        ({**ALONE, "random_paths": 1, "machine.supernet_processes": 8}, [3]),  # a process without a path would wait
    ],
)
def test_only_paths_of_one_step_are_shared(
    changes: dict[str, Any], devices: list[int], datasets: Datasets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a batch of images each process would have its own batch-norm statistics."""
    used: list[Hardware] = []
    monkeypatch.setattr(supernet, "train", lambda network, training, *args, **options: used.append(training.hardware))
    monkeypatch.setattr(supernet, "inflate", lambda *args: None)
    settings = load_config("scenes", {"machine.device": "cpu", **changes})
    supernet.train_supernet(settings, datasets, tmp_path, progress=False)
    assert [machine.devices for machine in used] == devices
    assert [machine.share_paths for machine in used] == [count > 1 for count in devices]


def test_the_largest_of_the_family_goes_first_and_the_others_take_its_weights_over(
    datasets: Datasets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[str, int, Architecture]] = []
    taken_over: list[Architecture] = []

    def train(network: object, training: Training, folder: Path, **options: Any) -> None:
        assert training.paths is not None
        trained.append((folder.name, training.recipe.passes, training.paths.path(0)))

    monkeypatch.setattr(supernet, "train", train)
    monkeypatch.setattr(supernet, "inflate", lambda network, source: taken_over.append(source))
    settings = load_config("scenes", {"machine.device": "cpu", "largest.passes": 5})
    members = family(supernet.train_supernet(settings, datasets, tmp_path, progress=False).space)
    assert trained[0] == ("largest", 5, members[-1])
    assert [folder for folder, _, _ in trained] == ["largest", "random"]
    assert taken_over == [members[-1]]
    gflops = costs(settings, datasets)["gflops"]
    assert gflops(members[-1]) == max(map(gflops, members))


def test_threads_are_as_before_afterwards() -> None:
    before = torch.get_num_threads()
    with threads_of_torch(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
