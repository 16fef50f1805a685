"""The search's stage: what it counts and what it measures on."""

from __future__ import annotations

import pytest

from autopanoptic.panoptic.configs.config import change_settings, load_config
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.stages import batches, search
from autopanoptic.panoptic.stages.machine import hardware


def test_costs_are_those_of_the_network_that_is_retrained(datasets: Datasets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "costs_of", lambda config, height, width: config)
    config = search.costs(load_config("coco"), datasets)
    assert config == PanopticConfig.coco(3, 3, searched=True)


def test_precision_reaches_the_evaluation(datasets: Datasets) -> None:
    settings = load_config("scenes", {"machine.precision": "bf16-mixed"})
    assert batches.validation_of(settings, datasets.val, 32).precision == "bf16-mixed"


def test_batches_are_kept_up_to_a_number_of_bytes(datasets: Datasets) -> None:
    settings = load_config("scenes")
    size = batches.decoded_bytes(datasets.val, settings.transform())
    kept = batches.batches_of(settings, datasets.val, 32)
    assert isinstance(kept, list)
    held = sum(t.nbytes for b in kept for t in (b.images, b.semantic, *(target["masks"] for target in b.targets)))
    assert 0.7 * size <= held <= size
    less = change_settings(settings, {"machine.memory": size - 1})
    assert not isinstance(batches.batches_of(less, datasets.val, 32), list)
    assert isinstance(batches.recalibration_batches(settings, datasets.train, 32), list)
    assert not isinstance(batches.recalibration_batches(less, datasets.train, 32), list)


def test_what_differs_between_the_configs_is_a_setting(datasets: Datasets) -> None:
    coco = load_config("coco", {"machine.device": "cpu", "machine.memory": 0})
    machine = hardware(coco, progress=False)
    assert (machine.workers, machine.checkpoint_every) == (4, 960)
    loader = batches.batches_of(change_settings(coco, {"machine.loaders": 1}), datasets.val, 32)
    assert not isinstance(loader, list)
    assert (loader.batch_size, loader.num_workers) == (2, 1)


def test_recalibration_takes_the_trainings_batch_size(datasets: Datasets, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(
        batches, "training_batches", lambda *args, batch_size, **options: asked.append(batch_size) or []
    )
    for name in ("coco", "scenes"):
        settings = load_config(name, {"search.recalibration_batches": 1})
        batches.recalibration_batches(settings, datasets.train, 32)
    assert asked == [16, 8]
