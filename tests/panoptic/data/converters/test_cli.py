"""The commands: what they make of their options, and what they print."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autopanoptic.nas.cli import app as program
from autopanoptic.panoptic.cli import app
from autopanoptic.panoptic.data.coco.layout import find_splits
from autopanoptic.panoptic.data.converters import instances
from autopanoptic.panoptic.data.converters.own_data import OwnData

runner = CliRunner()


@pytest.fixture
def photographs(tmp_path: Path, noise) -> Path:
    square = [[1, 1, 5, 1, 5, 5, 1, 5]]
    names = [f"{i}.jpg" for i in range(1, 5)]
    for name in names:
        noise(tmp_path / "photos" / name, 8, 9)
    content = {
        "images": [{"id": i, "file_name": name, "height": 8, "width": 9} for i, name in enumerate(names, start=1)],
        "annotations": [{"id": i, "image_id": i, "category_id": 1, "segmentation": square} for i in range(1, 5)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    (tmp_path / "instances.json").write_text(json.dumps(content))
    return tmp_path


def prepare(photographs: Path, *options: str):
    source = [str(photographs / "instances.json"), "--images", str(photographs / "photos")]
    return runner.invoke(
        app, ["prepare", "instances", *source, "--out", str(photographs / "out"), "--workers", "1", *options]
    )


def test_a_data_set_is_made_and_shown(photographs: Path) -> None:
    result = prepare(photographs)
    assert result.exit_code == 0, result.output
    assert "nothing is of the category 'dog'" in result.output.replace("\n", " ")
    assert "2 thing and 1 stuff classes" in result.output
    assert f"run --data {photographs / 'out'}" in result.output
    assert len(find_splits(photographs / "out").open().train) == 2


def test_options_reach_the_converter(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}
    original = instances.convert_instances

    def convert(*arguments, **options):
        seen.update(options)
        return original(*arguments, **options)

    monkeypatch.setattr(instances, "convert_instances", convert)
    result = prepare(
        photographs, "--rest", "void", "--stuff", "dog", "--order", "file", "--nas-val", "0.3", "--val", "0.2",
        "--seed", "4", "--copy-images",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert seen["own"] == OwnData(None, ("dog",), "file", 0.3, 0.2, 4)
    assert (seen["writing"].workers, seen["writing"].copy_images) == (1, True)
    assert not (photographs / "out" / "train").is_symlink()


def test_an_interruption_says_how_to_go_on(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(instances, "convert_instances", interrupt)
    result = prepare(photographs)
    assert result.exit_code == 130
    assert "give the same command again" in result.output


def test_errors_are_plain_lines(photographs: Path) -> None:
    for command in ("coco", "ade20k", "cityscapes", "labelme"):
        out = ["--out", str(photographs / "x")]
        result = runner.invoke(program, ["panoptic", "prepare", command, str(photographs / "nowhere"), *out])
        assert result.exit_code == 1
        assert "Error: " in result.output
        assert "nowhere" in result.output
        assert "Traceback" not in result.output
    assert not (photographs / "x").exists()
