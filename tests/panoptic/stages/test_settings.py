"""Settings of a run, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autopanoptic.nas import Objective, SearchSpace
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.stages.settings import STRATEGIES, Settings
from autopanoptic.panoptic.stages.stages import _recalibration, build, hand_made, strategy_of


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
    strategy = strategy_of(settings, space)
    strategy.check(space, [Objective("pq")])
    assert strategy.advise(space, trials) is None


def test_path_priority_needs_a_cycle_and_an_answer(space: SearchSpace) -> None:
    with pytest.raises(ValueError, match="12 trials and one for its answer; trials is 12"):
        strategy_of(replace(Settings.for_scenes(), trials=12), space)


def test_recalibration_takes_the_trainings_batch_size(datasets: Datasets, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(
        "autopanoptic.panoptic.stages.stages.training_batches",
        lambda *args, batch_size, **options: asked.append(batch_size) or [],
    )
    for settings in (Settings.for_coco("data"), Settings.for_scenes()):
        _recalibration(replace(settings, recalibration_batches=1), datasets.train, 32)
    assert asked == [16, 8]
