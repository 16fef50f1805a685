"""Settings of a run, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autopanoptic.nas import Objective, SearchSpace
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.stages import stages
from autopanoptic.panoptic.stages.settings import STRATEGIES, Settings
from autopanoptic.panoptic.stages.stages import build, hand_made, strategy_of


@pytest.mark.parametrize("settings", [Settings.for_scenes(), Settings.for_small_data("d"), Settings.for_coco("d")])
def test_files_round_trip(settings: Settings, tmp_path: Path) -> None:
    settings.save(tmp_path / "settings.json")
    assert Settings.load(tmp_path / "settings.json") == settings


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"a": 1}')
    with pytest.raises(ValueError, match="does not hold the settings of a run"):
        Settings.load(tmp_path / "settings.json")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preset": "ade"}, "preset='ade'"),
        ({"strategy": "grid"}, "strategy='grid'"),
        ({"objective": "map"}, "objective='map' is none of pq"),
        ({"trials": 0}, "trials must be at least 1, not 0"),
        ({"max_flops": -1.0}, "not -1.0 GFLOPs"),
        ({"preset": "coco"}, "needs data in COCO panoptic format"),
        ({"seed": -1}, "seed -1"),
        ({"start": "imagenet"}, "start='imagenet'"),
        ({"preset": "coco", "data": "d"}, "wider than the supernet"),
        ({"trainings": 0}, "trainings must be at least 1, not 0"),
        ({"orientation": "upright"}, "orientation='upright' is none of apply, ignore"),
    ],
)
def test_refusals(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(Settings.for_scenes(), **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return SearchSpace.from_module(build(PanopticConfig.scenes(3, 3), seed=0))


def test_the_hand_made_network_is_plain(space: SearchSpace) -> None:
    assert set(hand_made(space).values()) == {"shuffle3", "dw3", "r4"}
    assert len(hand_made(space)) == 19


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("trials", [13, 61, 200])
def test_every_strategy_fits_its_trials(space: SearchSpace, name: str, trials: int) -> None:
    settings = replace(Settings.for_scenes(), strategy=name, trials=trials)  # type: ignore[arg-type]
    strategy_of(settings, space).check(space, [Objective("pq")])


def test_path_priority_needs_a_cycle_and_an_answer(space: SearchSpace) -> None:
    with pytest.raises(ValueError, match="12 trials and one for its answer; trials is 12"):
        strategy_of(replace(Settings.for_scenes(), trials=12), space)


def test_costs_are_those_of_the_network_that_is_retrained(datasets: Datasets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "costs_of", lambda config, height, width: config)
    config = stages.costs(Settings.for_coco("d"), datasets)
    assert config == PanopticConfig.coco(3, 3, searched=True)


def test_precision_reaches_the_evaluation(datasets: Datasets) -> None:
    settings = replace(Settings.for_scenes(), precision="bf16-mixed")
    assert stages.validation_of(settings, datasets.val, 32).precision == "bf16-mixed"


def test_batches_are_kept_up_to_a_number_of_bytes(datasets: Datasets, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.for_scenes()
    size = stages.decoded_bytes(datasets.val, settings.transform())
    kept = stages.batches_of(settings, datasets.val, 32)
    assert isinstance(kept, list)
    held = sum(t.nbytes for b in kept for t in (b.images, b.semantic, *(target["masks"] for target in b.targets)))
    assert 0.7 * size <= held <= size
    monkeypatch.setattr(stages, "IN_MEMORY", size - 1)
    assert not isinstance(stages.batches_of(settings, datasets.val, 32), list)
