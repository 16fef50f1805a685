"""Training a panoptic supernet by the sandwich rule: a cycle of paths on one batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from autopanoptic.nas import Architecture, SandwichPaths, Supernet
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.search.strategies import hand_made
from autopanoptic.panoptic.stages.networks import build
from autopanoptic.panoptic.training.hardware import Hardware
from autopanoptic.panoptic.training.module import PanopticModule
from autopanoptic.panoptic.training.recipe import Recipe
from autopanoptic.panoptic.training.trainer import train
from autopanoptic.panoptic.training.training import Training

TRANSFORM = Transform(None, None)
RECIPE = Recipe(passes=6, batch_size=2, warmup=2)
MACHINE = Hardware("cpu", progress=False, checkpoint_every=2)


@pytest.fixture
def network(datasets: Datasets) -> PanopticNetwork:
    categories = datasets.train.categories
    return build(PanopticConfig.scenes(len(categories.things), len(categories.stuff)), seed=0)


@pytest.fixture
def paths(network: PanopticNetwork) -> SandwichPaths:
    space = Supernet(network).space
    ends = [space.canonical({**hand_made(space), "backbone.0": block}) for block in ("xception3", "shuffle3")]
    return SandwichPaths(space, *ends, random=1)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Architecture, tuple[int, ...], int]]:
    """Path, images and state of the drawn numbers of each pass."""
    found: list[tuple[Architecture, tuple[int, ...], int]] = []
    total = PanopticModule._total

    def noted(self: PanopticModule, module: Any, batch: Any) -> Tensor:
        found.append((self.supernet.active, tuple(batch.batch.image_ids), self.passes))
        if self.__dict__.get("power_cut") == len(found):
            raise RuntimeError("power cut")
        return total(self, module, batch)

    monkeypatch.setattr(PanopticModule, "_total", noted)
    return found


def test_the_paths_of_a_cycle_share_a_batch_and_an_update(
    datasets: Datasets, network: PanopticNetwork, paths: SandwichPaths, seen: list[Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    updates: list[int] = []
    update = PanopticModule._update
    monkeypatch.setattr(PanopticModule, "_update", lambda self, first: (updates.append(first), update(self, first)))
    train(network, Training(datasets.train, TRANSFORM, RECIPE, paths=paths, hardware=MACHINE), tmp_path)
    assert [path for path, _, _ in seen] == [paths.path(step) for step in range(6)]
    batches = [images for _, images, _ in seen]
    assert len(set(batches[:3])) == len(set(batches[3:])) == 1
    assert batches[0] != batches[3]
    # The same anchors and RoIs are drawn for all of them.
    assert [passes for _, _, passes in seen] == [0, 0, 0, 3, 3, 3]
    assert updates == [0, 3]


def test_a_broken_off_cycle_is_trained_again_to_the_same_weights(
    datasets: Datasets, network: PanopticNetwork, paths: SandwichPaths, seen: list[Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    start = {name: value.clone() for name, value in network.state_dict().items()}
    train(network, Training(datasets.train, TRANSFORM, RECIPE, paths=paths, hardware=MACHINE), tmp_path / "a")
    whole = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(start)
    seen.clear()
    with monkeypatch.context() as patch:
        init = PanopticModule.__init__

        def fated(self: PanopticModule, *args: Any, **options: Any) -> None:
            init(self, *args, **options)
            self.__dict__["power_cut"] = 5

        patch.setattr(PanopticModule, "__init__", fated)
        with pytest.raises(RuntimeError, match="power cut"):
            train(network, Training(datasets.train, TRANSFORM, RECIPE, paths=paths, hardware=MACHINE), tmp_path / "b")
    network.load_state_dict(start)
    seen.clear()
    train(network, Training(datasets.train, TRANSFORM, RECIPE, paths=paths, hardware=MACHINE), tmp_path / "b")
    assert [passes for _, _, passes in seen] == [3, 3, 3]
    assert [name for name, value in network.state_dict().items() if not torch.equal(value, whole[name])] == []


def test_passes_and_measurements_fall_between_cycles(network: PanopticNetwork, paths: SandwichPaths) -> None:
    with pytest.raises(ValueError, match=r"passes=7 is no multiple of the 3 paths of a cycle, .* take 9"):
        PanopticModule(network, Recipe(passes=7), paths)
    with pytest.raises(ValueError, match=r"validate_every=4 is no multiple of the 3 paths of a cycle, .* take 6"):
        PanopticModule(network, Recipe(passes=6, validate_every=4), paths)
    module = PanopticModule(network, Recipe(passes=6, warmup=0), paths)
    assert module.same_batch
    (optimizer,), (schedule,) = module.configure_optimizers()
    rates = []
    for _ in range(2):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    # Two updates in all: a cosine from the whole rate over its half to 0.
    assert rates[1] == pytest.approx(rates[0] / 2)
    assert schedule.get_last_lr()[0] == pytest.approx(0)
