"""Settings of a run, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autopanoptic.panoptic.stages.settings import Settings


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
