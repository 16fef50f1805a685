import json

import numpy as np
import pytest

from autopanoptic.panoptic.data.coco.checks import check
from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.data.scenes.files import MARKER, SPLITS, scene, write_scenes
from autopanoptic.panoptic.data.scenes.kinds import CATEGORIES

COUNTS = {"train": 3, "nas_val": 2, "val": 1}


def opened(root, split):
    folder = root / "annotations"
    return CocoPanoptic(root / split, folder / f"panoptic_{split}", folder / f"panoptic_{split}.json")


def test_what_is_written_is_what_was_drawn(tmp_path):
    root = write_scenes(tmp_path / "set", COUNTS, size=48, seed=7)
    for split in SPLITS:
        dataset = opened(root, split)
        assert len(dataset) == COUNTS[split]
        assert dataset.categories == CATEGORIES
        check(dataset)
        for i in range(len(dataset)):
            drawn = scene(split, i, 48, 7)
            assert np.array_equal(dataset.image(i), drawn.image)
            assert np.array_equal(dataset.truth(i).ids, drawn.truth.ids)
            assert dataset.truth(i).segments == drawn.truth.segments


def test_splits_seeds_and_indices_differ():
    images = [scene(*key[:2], 32, key[2]).image for key in [("train", 0, 0), ("val", 0, 0), ("train", 1, 0)]]
    images.append(scene("train", 0, 32, 1).image)
    assert len({image.tobytes() for image in images}) == 4


def stamps(root):
    return {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}


def test_a_complete_set_is_reused(tmp_path):
    root = write_scenes(tmp_path / "set", COUNTS, size=32)
    before, calls = stamps(root), []
    assert write_scenes(root, COUNTS, size=32, progress=lambda *call: calls.append(call)) == root
    assert stamps(root) == before
    assert calls == []


def test_progress_counts_all_scenes(tmp_path):
    calls = []
    write_scenes(tmp_path / "set", COUNTS, size=32, progress=lambda *call: calls.append(call))
    assert calls == [(done, 6) for done in range(1, 7)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "seed is 0, not 1"),
        ({"size": 48}, "size is 32, not 48"),
        ({"counts": {**COUNTS, "val": 2}}, "val is 1, not 2"),
    ],
)
def test_other_parameters_are_refused(tmp_path, change, message):
    root = write_scenes(tmp_path / "set", COUNTS, size=32)
    with pytest.raises(ValueError, match=f"holds scenes with other parameters .{message}.; choose another"):
        write_scenes(root, **{"counts": COUNTS, "size": 32, **change})


def test_an_older_version_is_refused(tmp_path):
    root = write_scenes(tmp_path / "set", COUNTS, size=32)
    marker = root / MARKER
    marker.write_text(json.dumps({**json.loads(marker.read_text()), "version": 0}))
    with pytest.raises(ValueError, match="version is 0, not "):
        write_scenes(root, COUNTS, size=32)


class Interrupted(Exception):
    pass


def interrupt(done, total):
    if done == 4:
        raise Interrupted


def test_an_interrupted_set_is_written_anew(tmp_path):
    root = tmp_path / "set"
    with pytest.raises(Interrupted):
        write_scenes(root, COUNTS, size=32, progress=interrupt)
    assert not root.exists()
    larger = {**COUNTS, "train": 2}
    write_scenes(root, larger, size=32)
    assert [len(opened(root, split)) for split in SPLITS] == [2, 2, 1]
    assert len(list((root / "train").iterdir())) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_an_empty_folder_is_used_and_a_foreign_one_is_kept(tmp_path):
    (tmp_path / "empty").mkdir()
    write_scenes(tmp_path / "empty", COUNTS, size=32)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="holds no generated scenes"):
        write_scenes(tmp_path / "mine", COUNTS, size=32)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"counts": {"train": 1, "val": 1}}, r"keys \['train', 'val'\]; give the scenes of train, nas_val, val"),
        ({"counts": {**COUNTS, "val": 0}}, r"\{'val': 0\}: every split needs at least one"),
        ({"size": 16}, "size=16"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_bad_arguments_are_refused_before_writing(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        write_scenes(tmp_path / "set", **{"counts": COUNTS, **arguments})
    assert list(tmp_path.iterdir()) == []
