"""The data of a run."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
from PIL import ExifTags, Image
from rich.console import Console

from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.stages.pipeline import Pipeline
from autopanoptic.panoptic.stages.prepare import prepare


def quiet() -> Console:
    return Console(file=io.StringIO())


def test_a_run_goes_on_with_the_data_it_began_with_alone(scene_folder: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(scene_folder, tmp_path / "data"))
    settings, run = load_config("photographs", {"data.path": str(root)}), tmp_path / "run"
    run.mkdir()
    prepare(settings, run, quiet())
    prepare(settings, run, quiet())
    annotations = root / "annotations" / "panoptic_val.json"
    content = json.loads(annotations.read_text())
    content["annotations"], content["images"] = content["annotations"][1:], content["images"][1:]
    annotations.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"run holds a run on other data, which differs in val\.images \(4, not 3\)"):
        prepare(settings, run, quiet())
    (run / "data.json").unlink()
    (run / "supernet").mkdir()
    with pytest.raises(ValueError, match=r"has lost data\.json, which says what its work is of"):
        prepare(settings, run, quiet())


def test_turned_photographs_are_named_on_the_terminal(scene_folder: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(scene_folder, tmp_path / "data"))
    path = next((root / "train").iterdir())
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    with Image.open(path) as image:
        image.load()
    image.save(path, exif=exif)
    console = Console(file=io.StringIO(), width=1000)
    prepare(load_config("photographs", {"data.path": str(root)}), tmp_path / "run", console)
    (line,) = [line for line in console.file.getvalue().splitlines() if path.name in line]  # type: ignore[attr-defined]
    assert "its EXIF orientation is 3, and it is turned by it" in line
    assert "prepare.py" not in console.file.getvalue()  # type: ignore[attr-defined]


def test_damaged_times_are_named(tmp_path: Path) -> None:
    settings = load_config("scenes", {"data.scenes": {"train": 2, "nas_val": 1, "val": 1}})
    for content in ("", '{"data": 1', "[1]", '{"data": []}'):
        (tmp_path / "seconds.json").write_text(content)
        with pytest.raises(ValueError, match=r"seconds\.json is damaged: .*; delete it"):
            Pipeline(settings, tmp_path, quiet())
