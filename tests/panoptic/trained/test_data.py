"""A run's own data are those with which it began."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from autopanoptic.nas.cli import app as program
from autopanoptic.panoptic.trained.data import open_split


def change(run: Path, split: str, **values: Any) -> None:
    path = run / "data" / "annotations" / f"panoptic_{split}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def content(run: Path, split: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "data" / "annotations" / f"panoptic_{split}.json").read_text())
    return found


def test_data_with_fewer_images_than_the_run_began_with_are_refused(run: Path, scene_folder: Path) -> None:
    network, known = run / "networks" / "searched", content(run, "val")
    before = len(open_split(network, None))
    change(run, "val", images=known["images"][1:], annotations=known["annotations"][1:])
    with pytest.raises(ValueError, match=rf"it differs in images \({before}, not {before - 1}\).*--data DIR"):
        open_split(network, None)
    assert len(open_split(network, run / "data")) == before - 1
    assert len(open_split(network, scene_folder)) == before


@pytest.mark.parametrize("split", ["train", "nas_val", "val"])
def test_data_with_a_category_of_another_name_are_refused(run: Path, split: str) -> None:
    for name in ("train", "nas_val", "val"):
        known = content(run, name)["categories"]
        change(run, name, categories=[{**one, "name": f"new {one['name']}"} for one in known])
    with pytest.raises(ValueError, match=r"differs in categories\.1 \(.*, not \[\"new "):
        open_split(run / "networks" / "searched", None, split)


def test_categories_in_another_order_are_the_same_data(run: Path) -> None:
    change(run, "val", categories=content(run, "val")["categories"][::-1])
    assert len(open_split(run / "networks" / "searched", None))


def test_images_may_be_turned_otherwise_where_that_is_asked_for(run: Path) -> None:
    assert open_split(run / "networks" / "searched", None, orientation="ignore").orientation == "ignore"


def test_data_that_nothing_describes_are_refused(run: Path) -> None:
    (run / "data.json").unlink()
    with pytest.raises(ValueError, match=r"has lost data\.json, which says what data are its own: give the data"):
        open_split(run / "networks" / "searched", None)


def test_figures_of_a_single_image_are_written_as_json_knows_them(run: Path, tmp_path: Path) -> None:
    known = content(run, "val")
    change(run, "val", images=known["images"][:1], annotations=known["annotations"][:1])
    path, options = tmp_path / "all.json", ["--data", str(run / "data"), "--device", "cpu"]
    done = CliRunner().invoke(program, ["panoptic", "evaluate", str(run), *options, "--json", str(path)])
    assert done.exit_code == 0, done.output
    written = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert written["networks"]["searched"]["intervals"]["pq"]["low"] is None
    assert written["differences"][0]["pq"]["standard_error"] is None
