"""Writing a data set: going on after an interruption, doing nothing twice, refusing what is something else."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.converters.writing.conversion import Conversion, Converted
from autopanoptic.panoptic.data.converters.writing.dataset import SplitSource, Writing, write_dataset
from autopanoptic.panoptic.data.converters.writing.workers import work
from autopanoptic.panoptic.data.problems import DatasetError

CATEGORIES = Categories.from_json([{"id": 1, "name": "sky", "isthing": 0}, {"id": 2, "name": "cat", "isthing": 1}])


@dataclass(frozen=True)
class Striped(Conversion):
    """A map of stripes that depends on the image, and a count of how often it was made."""

    source: Path
    made: ClassVar[list[str]] = []

    def convert(self) -> Converted:
        Striped.made.append(self.image_file)
        if self.source.read_text() == "bad":
            raise ValueError(f"{self.source} is bad")
        ids = np.arange(24).reshape(4, 6) % (self.image_id + 2)
        return Converted(ids, {i: 1 + i % 2 for i in range(1, 9)}, crowds=[3], remarks=(f"{self.image_file} is odd",))


@pytest.fixture
def splits(tmp_path):
    Striped.made.clear()
    images = tmp_path / "images"
    images.mkdir()
    made = []
    for i in range(6):
        Image.new("RGB", (6, 4)).save(images / f"{i}.png")
        (tmp_path / f"{i}.txt").write_text("good")
        made.append(Striped(i, f"{i}.png", f"{i}.png", tmp_path / f"{i}.txt"))
    return [SplitSource("train", images, made[:4]), SplitSource("val", images, made[4:])]


def write(splits, root, progress=None, workers=1, **parameters):
    return write_dataset(root, CATEGORIES, splits, parameters, Writing(workers, progress=progress))


def contents(root):
    return {
        str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file() and p.name != "converted.json"
    }


def interrupt_at(images):
    def progress(done, total):
        assert total == 6
        if done == images:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("images", [0, 1, 3, 4, 5, 6])
def test_an_interrupted_run_goes_on_to_the_same(splits, tmp_path, images):
    remarks = write(splits, tmp_path / "whole")
    Striped.made.clear()
    with pytest.raises(KeyboardInterrupt):
        write(splits, tmp_path / "out", interrupt_at(images))
    assert len(Striped.made) == images
    assert not list((tmp_path / "out").glob("annotations/*.json"))
    assert write(splits, tmp_path / "out") == remarks == tuple(f"{i}.png is odd" for i in range(6))
    assert len(Striped.made) == 6
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_line_that_was_cut_off_and_a_png_that_is_gone_are_made_again(splits, tmp_path):
    write(splits, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        write(splits, tmp_path / "out", interrupt_at(4))
    journal = tmp_path / "out" / "annotations" / ".panoptic_train.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    (tmp_path / "out" / "annotations" / "panoptic_train" / "1.png").unlink()
    Striped.made.clear()
    write(splits, tmp_path / "out")
    assert sorted(Striped.made) == ["1.png", "3.png", "4.png", "5.png"]
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_complete_set_is_left_as_it_is(splits, tmp_path):
    write(splits, tmp_path / "out", seed=1)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*")}
    Striped.made.clear()
    assert write(splits, tmp_path / "out", seed=1) == ()
    assert not Striped.made
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*")} == before


def test_another_set_is_refused(splits, tmp_path):
    write(splits, tmp_path / "out", seed=1)
    with pytest.raises(ValueError, match="seed was 1, and is 2"):
        write(splits, tmp_path / "out", seed=2)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(FileExistsError, match=r"mine exists without converted\.json"):
        write(splits, tmp_path / "mine")
    with pytest.raises(ValueError, match="the split val has no images"):
        write([splits[0], SplitSource("val", tmp_path, [])], tmp_path / "new")


def test_bad_images_are_all_named_and_the_others_kept(splits, tmp_path):
    for i in (1, 5):
        (tmp_path / f"{i}.txt").write_text("bad")
    with pytest.raises(DatasetError, match="not all images could be converted: 2 problems"):
        write(splits, tmp_path / "out")
    (tmp_path / "1.txt").write_text("good")
    (tmp_path / "5.txt").write_text("good")
    Striped.made.clear()
    write(splits, tmp_path / "out")
    assert sorted(Striped.made) == ["1.png", "5.png"]


def test_an_id_without_a_category_is_a_problem(splits, tmp_path, monkeypatch):
    monkeypatch.setattr(Striped, "convert", lambda self: Converted(np.full((2, 2), 9), {1: 1}))
    with pytest.raises(DatasetError, match=r"the ids \[9\], which have no category"):
        write(splits, tmp_path / "out")


def test_several_processes_give_what_one_gives_and_keep_the_order():
    assert [o.result for o in work(json.dumps, list(range(20)), 2)] == [str(i) for i in range(20)]
    outcomes = list(work(json.loads, ["1", "{", "2"], 2))
    assert [o.result for o in outcomes] == [1, None, 2]
    assert "Expecting property name" in outcomes[1].problem
    with pytest.raises(ValueError, match="workers=0: at least 1"):
        next(work(json.loads, ["1"], 0))


def test_workers_load_no_torch():
    modules = ("cityscapes", "ade20k", "instances", "labelme", "coco")
    code = "import sys\n" + "".join(f"import autopanoptic.panoptic.data.converters.{name}\n" for name in modules)
    subprocess.run([sys.executable, "-c", code + "assert 'torch' not in sys.modules"], check=True)


def test_a_folder_that_was_claimed_when_the_program_was_killed_is_gone_on_with(splits, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".converted.json.partial").write_text('{"para')
    write(splits, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "converted.json").read_text())["complete"]
    assert not (tmp_path / "out" / ".converted.json.partial").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_damaged_marker_is_named(splits, tmp_path, content):
    write(splits, tmp_path / "out")
    (tmp_path / "out" / "converted.json").write_text(content)
    with pytest.raises(ValueError, match=r"out/converted\.json is not what a converter writes"):
        write(splits, tmp_path / "out")
