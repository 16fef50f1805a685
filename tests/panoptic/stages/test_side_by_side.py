"""Networks that train at the same time: the same weights as one by one, also after an interruption."""

from __future__ import annotations

import io
import multiprocessing
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor

from autopanoptic.nas import Architecture, InlineExecutor, ProcessExecutor, Supernet
from autopanoptic.panoptic.configs.config import change_settings, load_config
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.model.weights import save_weights
from autopanoptic.panoptic.search.strategies import hand_made
from autopanoptic.panoptic.stages.networks import build, network_config
from autopanoptic.panoptic.stages.retrain import retrain
from autopanoptic.panoptic.stages.side_by_side import TrainingError, _run, _Training, executor_of, retrain_all
from autopanoptic.panoptic.stages.supernet import SUPERNET
from autopanoptic.panoptic.training.recipe import Recipe

CHECKPOINT = 2
SETTINGS = load_config(
    "scenes",
    {
        "retrain": Recipe(passes=5 * CHECKPOINT, batch_size=1, warmup=0),
        "machine": {"device": "cpu", "trainings": 2, "checkpoint_every": CHECKPOINT},
    },
)
ONE_AT_A_TIME = {"machine.trainings": 1}


def quiet() -> Console:
    return Console(file=io.StringIO())


@pytest.fixture(scope="module")
def chosen(datasets: Datasets) -> dict[str, Architecture]:
    space = Supernet(build(network_config(SETTINGS, datasets.train.categories), seed=0)).space
    plain = hand_made(space)
    other = space.canonical({**plain, "backbone.c2.width": 16, "mask.0": "at3"})
    return {"searched": plain, "random": other, "hand-made": plain}


@pytest.fixture(scope="module")
def supernet(datasets: Datasets, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("supernet")
    save_weights(build(network_config(SETTINGS, datasets.train.categories), seed=7), folder / SUPERNET)
    return folder


def weights(folder: Path, names: Mapping[str, object]) -> dict[str, dict[str, Tensor]]:
    return {name: torch.load(folder / name / "weights.pt", weights_only=True) for name in names}


@pytest.fixture(scope="module")
def one_by_one(
    chosen: dict[str, Architecture], datasets: Datasets, supernet: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Tensor]]:
    folder = tmp_path_factory.mktemp("one_by_one")
    retrain_all(change_settings(SETTINGS, ONE_AT_A_TIME), chosen, datasets, folder, supernet, quiet())
    return weights(folder, chosen)


def test_after_an_interruption_side_by_side_gives_what_one_by_one_gives(
    chosen: dict[str, Architecture],
    datasets: Datasets,
    supernet: Path,
    one_by_one: dict[str, dict[str, Tensor]],
    tmp_path: Path,
) -> None:
    two = {name: chosen[name] for name in ("searched", "random")}
    training = _Training(SETTINGS, datasets, {one: tmp_path / name for name, one in two.items()}, supernet)
    done = dict.fromkeys(two, 0)

    def interrupt(name: str, passes: int) -> None:
        done[name] = passes
        if min(done.values()) > CHECKPOINT:  # the slower one is under way, and goes on from a checkpoint
            raise KeyboardInterrupt

    executor = executor_of(SETTINGS, len(two))
    assert isinstance(executor, ProcessExecutor)
    assert executor.capacity == 2
    with pytest.raises(KeyboardInterrupt):
        _run(training, two, executor, interrupt)
    assert not multiprocessing.active_children()
    assert len(list(tmp_path.glob("*/last.ckpt"))) == 2
    assert len(list(tmp_path.glob("*/weights.pt"))) < 2

    networks = retrain_all(SETTINGS, chosen, datasets, tmp_path, supernet, quiet())
    found = weights(tmp_path, chosen)
    for name in chosen:
        assert [key for key in found[name] if not torch.equal(found[name][key], one_by_one[name][key])] == []
        assert all(torch.equal(value, found[name][key]) for key, value in networks[name].state_dict().items())


def test_what_is_trained_is_not_trained_again(
    chosen: dict[str, Architecture], datasets: Datasets, supernet: Path, tmp_path: Path
) -> None:
    short = change_settings(SETTINGS, {"retrain.passes": 1, **ONE_AT_A_TIME})
    retrain_all(short, chosen, datasets, tmp_path, supernet, quiet())
    (tmp_path / "random" / "weights.pt").unlink()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/weights.pt")}
    assert len(before) == 2
    retrain_all(short, chosen, datasets, tmp_path, supernet, quiet())
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert not (tmp_path / "hand-made" / "last.ckpt").exists()  # it is the searched one's training
    (tmp_path / "random" / "weights.pt").unlink()
    faster = change_settings(short, {"retrain.learning_rate": 0.1})
    with pytest.raises(ValueError, match=r"searched holds another training, which differs in recipe\.learning_rate"):
        retrain_all(faster, chosen, datasets, tmp_path, supernet, quiet())
    assert not (tmp_path / "random" / "weights.pt").exists()  # refused before any other is trained


@pytest.mark.parametrize("start", ["scratch", "supernet"])
def test_networks_start_from_the_weights_asked_for(
    chosen: dict[str, Architecture],
    datasets: Datasets,
    supernet: Path,
    tmp_path: Path,
    start: str,
) -> None:
    settings = change_settings(SETTINGS, {"retrain.passes": 1, "retrain.learning_rate": 1e-12, "init": start})
    network = retrain(settings, chosen["random"], datasets, tmp_path / "network", supernet)
    stored = torch.load(supernet / SUPERNET, weights_only=True)
    kernels = [
        value for name, value in stored.items() if "mask_head.blocks.0.0" in name and "at3" in name and value.dim() == 4
    ]
    (layer,) = [m for m in network.roi_heads.mask_head[0].modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(kernels) == 1
    made, taken, *_ = layer.weight.shape
    assert (made, taken) < tuple(kernels[0].shape)  # a narrow network has a part of the supernet's kernel
    assert torch.allclose(layer.weight, kernels[0][:made, :taken], atol=1e-6) == (start == "supernet")


def test_a_training_that_fails_is_named(
    chosen: dict[str, Architecture], datasets: Datasets, supernet: Path, tmp_path: Path
) -> None:
    wild = Recipe(passes=9, batch_size=1, warmup=0, learning_rate=1e30, clip=None)
    with pytest.raises(TrainingError, match=r"the network 'searched' failed: FloatingPointError: The loss of pass \d"):
        retrain_all(
            change_settings(SETTINGS, {"retrain": wild, **ONE_AT_A_TIME}), chosen, datasets, tmp_path, supernet, quiet()
        )


@pytest.mark.parametrize(
    ("trainings", "threads", "networks", "expected"),
    [(3, 1, 3, 3), (3, 1, 2, 2), (4, 2, 3, 2), (3, 2, 3, 1), (1, 1, 3, 1)],
)
def test_threads_of_all_trainings_are_limited(trainings: int, threads: int, networks: int, expected: int) -> None:
    executor = executor_of(
        change_settings(SETTINGS, {"machine": {"trainings": trainings, "threads": threads}}), networks
    )
    assert executor.capacity == expected
    assert isinstance(executor, InlineExecutor) == (expected == 1)
    assert not isinstance(executor, ProcessExecutor) or executor.threads == threads


@pytest.mark.parametrize(("per_gpu", "devices", "expected"), [(1, 1, 1), (2, 1, 2), (8, 1, 3), (8, 2, 1)])
def test_a_gpu_trains_as_many_networks_at_a_time_as_the_settings_say(per_gpu: int, devices: int, expected: int) -> None:
    changes = {"machine": {"device": "cuda", "per_gpu": per_gpu, "devices": devices, "trainings": 1}}
    executor = executor_of(change_settings(SETTINGS, changes), 3)
    assert executor.capacity == expected
    assert isinstance(executor, InlineExecutor) == (expected == 1)
