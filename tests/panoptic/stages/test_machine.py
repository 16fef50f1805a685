"""What a run computes on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from rich.console import Console

from autopanoptic.nas import Architecture, InlineExecutor, RayExecutor, Supernet
from autopanoptic.panoptic.configs.config import change_settings, load_config
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.run.folder import Run
from autopanoptic.panoptic.run.prepare import prepare
from autopanoptic.panoptic.run.search import search
from autopanoptic.panoptic.run.train_supernet import train_supernet
from autopanoptic.panoptic.search.devices import OnOwnDevice
from autopanoptic.panoptic.search.strategies import family
from autopanoptic.panoptic.stages import checks, supernet
from autopanoptic.panoptic.stages.checks import check_settings
from autopanoptic.panoptic.stages.costs import costs
from autopanoptic.panoptic.stages.machine import hardware, threads_of_torch
from autopanoptic.panoptic.stages.networks import build, network_config
from autopanoptic.panoptic.stages.pipeline import Pipeline
from autopanoptic.panoptic.stages.search import Candidates
from autopanoptic.panoptic.training.hardware import Hardware
from autopanoptic.panoptic.training.recipe import Recipe
from autopanoptic.panoptic.training.training import Training


def test_processes_train_a_supernet_together_on_a_cpu() -> None:
    scenes = load_config("scenes", {"machine.device": "cpu"})
    assert scenes.machine.supernet_processes == 2
    found = hardware(scenes, progress=False, sharing=2)
    assert (found.accelerator, found.devices, found.share_paths) == ("cpu", 2, True)
    assert hardware(scenes, progress=False).devices == 1


def test_gpus_train_every_network_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    settings = load_config("scenes", {"machine.devices": 2})
    check_settings(settings)
    for sharing in (1, 2):  # they share batches, whatever the processes of a CPU would share
        found = hardware(settings, progress=False, sharing=sharing)
        assert (found.accelerator, found.devices, found.share_paths) == ("gpu", 2, False)
    assert hardware(load_config("scenes"), progress=False).devices == 1
    on_cpu = hardware(change_settings(settings, {"machine.device": "cpu"}), progress=False, sharing=2)
    assert (on_cpu.accelerator, on_cpu.devices, on_cpu.share_paths) == ("cpu", 2, False)


def test_torchrun_says_how_many_devices_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORLD_SIZE": 4, "RANK": 3, "LOCAL_RANK": 1, "LOCAL_WORLD_SIZE": 2, "MASTER_PORT": 1}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("MASTER_ADDR", "a")
    settings = load_config("scenes", {"machine.device": "cpu"})
    found = hardware(settings, progress=False, sharing=2)
    assert (found.devices, found.share_paths) == (4, False)
    assert hardware(change_settings(settings, {"machine.devices": 2}), progress=False).devices == 4
    with pytest.raises(ValueError, match=r"machine\.devices is 3, but torchrun has started 2 processes on"):
        check_settings(change_settings(settings, {"machine.devices": 3}))
    with pytest.raises(ValueError, match=r"retrain\.batch_size is 6, which 4 devices cannot share"):
        check_settings(change_settings(settings, {"retrain.batch_size": 6}))


def test_a_logger_that_is_not_installed_is_refused_first(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_config("scenes", {"machine.logger": "tensorboard", "machine.device": "cpu"})
    check_settings(settings)
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'autopanoptic\[tensorboard\]'"):
        check_settings(settings)


def test_an_executor_that_is_not_installed_is_refused_first(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_config("scenes", {"machine.executor": "ray", "machine.device": "cpu"})
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"machine.executor is ray, .*pip install 'autopanoptic\[ray\]'"):
        check_settings(settings)


@pytest.mark.parametrize(
    ("device", "changes", "resources"),
    [
        ("cpu", {"machine.executor": "ray", "machine.workers": 3, "machine.threads": 6}, "2 CPU"),
        ("cuda", {"machine.executor": "ray", "machine.workers": 3, "machine.per_gpu": 1}, "1 GPU"),  # of a cluster
        ("cuda", {"machine.executor": "ray", "machine.workers": 3, "machine.per_gpu": 2}, "0.5 GPU"),
        ("cpu", {"machine.executor": "ray", "search.cost": "latency_ms"}, None),
        ("cpu", {"machine.executor": "inline", "machine.workers": 3}, None),
    ],
)
def test_candidates_are_evaluated_where_the_settings_say(
    device: str, changes: dict[str, Any], resources: str | None, datasets: Datasets, tmp_path: Path
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    settings = load_config("scenes", {"machine.device": "cpu", **changes})
    network = Supernet(build(network_config(settings, datasets.train.categories), 0))
    found = Candidates(settings, network, datasets, tmp_path, progress=False)
    found.device = torch.device(device)  # there is none
    found._executor = executor = found._executor_of()
    own = found._placed(found._evaluator)
    if resources is None:
        assert isinstance(executor, InlineExecutor)
        assert own is found._evaluator
        return
    assert isinstance(executor, RayExecutor)
    assert executor.capacity == 3
    assert resources in str(executor.resources)
    assert not isinstance(own, OnOwnDevice) if device == "cpu" else own.count == 1


@pytest.mark.parametrize(
    ("device", "changes", "workers"),
    [
        ("cpu", {"machine.workers": 3, "machine.devices": 2}, 3),
        ("cuda", {"machine.workers": 3, "machine.devices": 2, "machine.per_gpu": 1}, 2),
        ("cuda", {"machine.devices": 2, "search.cost": "latency_ms"}, 1),
        ("cuda", {"machine.workers": 3, "machine.per_gpu": 1}, 1),
        ("cuda", {"machine.per_gpu": 3}, 3),
        ("cuda", {"machine.devices": 2, "machine.per_gpu": 3}, 6),
        ("cuda", {"machine.per_gpu": 3, "machine.executor": "inline"}, 1),
        ("cuda", {"machine.per_gpu": 3, "search.cost": "latency_ms"}, 1),
        ("cpu", {"machine.workers": 2, "machine.per_gpu": 3}, 2),
    ],
)
def test_each_gpu_has_workers_of_its_own(
    device: str, changes: dict[str, Any], workers: int, datasets: Datasets, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    settings = load_config("scenes", {"machine.device": "cpu", **changes})
    network = Supernet(build(network_config(settings, datasets.train.categories), 0))
    found = Candidates(settings, network, datasets, tmp_path, progress=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    found.device = torch.device(device)  # there is none
    found._executor = found._executor_of()
    assert found._executor.capacity == workers
    own = found._placed(found._evaluator)
    assert isinstance(own, OnOwnDevice) == (device == "cuda" and workers > 1)
    assert not isinstance(own, OnOwnDevice) or own.count == settings.machine.devices


def test_a_worker_takes_the_supernet_to_its_own_device(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    class Evaluator:
        supernet = SimpleNamespace(module=SimpleNamespace(to=lambda device: seen.append(str(device))))

        def evaluate(self, architecture: Architecture, report: object) -> dict[str, float]:
            return {}

    for place in (None, 1, 3):
        monkeypatch.setattr("autopanoptic.panoptic.search.devices.place_of_worker", lambda place=place: place)
        OnOwnDevice(Evaluator(), "cpu", 2).evaluate(Architecture({}), lambda *_: None)  # type: ignore[arg-type]
    assert seen == ["cpu:0", "cpu:1", "cpu:1"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"machine.devices": 4}, r"machine\.devices is 4, but torch \S+ can use 2 GPUs of this machine"),
        ({"machine.devices": 2, "retrain.batch_size": 3}, r"retrain\.batch_size is 3, which 2 devices .* of 2, or"),
        ({"machine.devices": 2, "largest.batch_size": 5}, r"largest\.batch_size is 5"),
    ],
)
def test_gpus_that_cannot_train_together_are_refused_before_a_run_has_a_folder(
    changes: dict[str, Any], problem: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match=problem):
        Pipeline(load_config("scenes", changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


ALONE = {"largest": None, "sandwich": True}
"""The sandwich steps of all paths, without a training of one before them."""


@pytest.mark.parametrize(
    ("changes", "devices"),
    [
        ({}, [(2, False), (2, True)]),
        ({"largest.batch_size": 9}, [(1, False), (2, True)]),  # two processes could not have equal parts
        ({"largest.batch_size": 6, "machine.supernet_processes": 4}, [(3, False), (2, True)]),
        ({"largest.batch_size": 2}, [(1, False), (2, True)]),  # a norm of one image
        (ALONE, [(2, True)]),
        ({"largest": None, "random_paths": 1}, [(1, False)]),  # another path on every batch
        ({**ALONE, "supernet.distillation": 0.5}, [(1, False)]),  # the largest path must be there before the others
        ({**ALONE, "warmup": {"passes": 3}}, [(2, False), (2, True)]),
        ({"warmup": {"passes": 3}}, [(2, False), (2, False), (2, True)]),
        ({"search.space": "auto-panoptic"}, [(1, False)]),
        # a process without a path would wait
        ({**ALONE, "random_paths": 1, "machine.supernet_processes": 8}, [(3, True)]),
    ],
)
def test_paths_of_one_step_or_the_batches_of_one_path_are_shared(
    changes: dict[str, Any],
    devices: list[tuple[int, bool]],
    datasets: Datasets,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Batches of other trainings are not: of a part of few images batch norms would have other statistics."""
    used: list[Hardware] = []
    monkeypatch.setattr(supernet, "train", lambda network, training, *args, **options: used.append(training.hardware))
    monkeypatch.setattr(supernet, "inflate", lambda *args: None)
    settings = load_config("scenes", {"machine.device": "cpu", **changes})
    supernet.train_supernet(settings, datasets, tmp_path, progress=False)
    assert [(machine.devices, machine.share_paths) for machine in used] == devices


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


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_candidates_on_ray_are_those_of_this_process(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    recipe = Recipe(passes=2, batch_size=1, warmup=0)
    small = {
        "data.scenes": {"train": 2, "nas_val": 2, "val": 1}, "largest": None, "supernet": recipe, "retrain": recipe,
        "search.trials": 4, "search.recalibration_batches": 1, "machine.device": "cpu",
        "machine.supernet_processes": 1,
    }  # fmt: skip
    found = {}
    for executor in ("inline", "ray"):
        settings = load_config("scenes", {**small, "machine.executor": executor})
        run = Run(settings, tmp_path / executor, Console(quiet=True))
        prepare(run)
        train_supernet(run)
        found[executor] = [(trial.architecture, dict(trial.metrics)) for trial in search(run).history]
    assert found["ray"] == found["inline"]
