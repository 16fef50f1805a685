"""Settings of a run, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.stages.settings import Settings


@pytest.mark.parametrize(
    "settings",
    [load_config("scenes"), load_config("photographs", {"data.path": "d"}), load_config("coco", {"data.path": "d"})],
)
def test_files_round_trip(settings: Settings, tmp_path: Path) -> None:
    settings.save(tmp_path / "settings.json")
    assert Settings.load(tmp_path / "settings.json") == settings


@pytest.mark.parametrize("content", [b'{"a": 1}', b"", b"[]", b'{"warmup": null', b"\xff\xfe\x00"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "settings.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"settings\.json does not hold the settings of a run"):
        Settings.load(tmp_path / "settings.json")


def test_a_value_out_of_range_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    load_config("scenes").save(path)
    path.write_text(path.read_text().replace('"trials": 61', '"trials": 0'))
    with pytest.raises(ValueError, match=r"settings\.json does not hold .*: trials must be at least 1, not 0"):
        Settings.load(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "ade"}, "network='ade'"),
        ({"strategy": "grid"}, "strategy='grid'"),
        ({"objective": "map"}, "objective='map' is none of pq"),
        ({"trials": 0}, "trials must be at least 1, not 0"),
        ({"max_flops": -1.0}, "not -1.0 GFLOPs"),
        ({"network": "coco"}, "needs data in COCO panoptic format"),
        ({"network": "photographs"}, "needs data in COCO panoptic format"),
        ({"seed": -1}, "seed must not be negative, as -1 is"),
        ({"memory": -1}, "memory must not be negative, as -1 is"),
        ({"evaluation_batch": 0}, "evaluation_batch must be at least 1, not 0"),
        ({"start": "imagenet"}, "start='imagenet'"),
        ({"network": "coco", "data": "d"}, "wider than the supernet"),
        ({"trainings": 0}, "trainings must be at least 1, not 0"),
        ({"orientation": "upright"}, "orientation='upright' is none of apply, ignore"),
    ],
)
def test_refusals(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(load_config("scenes"), **changes)  # type: ignore[arg-type]
