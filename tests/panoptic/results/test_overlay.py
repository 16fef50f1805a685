from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

from autopanoptic.panoptic.data.categories import Categories, Category
from autopanoptic.panoptic.data.coco.layout import find_splits
from autopanoptic.panoptic.data.scenes.files import scene
from autopanoptic.panoptic.data.scenes.kinds import CATEGORIES as SCENE_CATEGORIES
from autopanoptic.panoptic.data.segments import PanopticMap, Segment
from autopanoptic.panoptic.results.overlay import overlay, side_by_side

CATEGORIES = Categories(
    [
        Category(1, "cat", True, (200, 40, 40)),
        Category(2, "dog", True, (0, 0, 255)),
        Category(9, "sky", False, (70, 130, 180)),
    ]
)
IDS = np.array([[0, 7, 7], [3, 3, 7], [3, 3, 5]])
MAP = PanopticMap(IDS, (Segment(7, 1, 3), Segment(3, 9, 4), Segment(5, 1, 1)))
IMAGE = np.full((3, 3, 3), 100, dtype=np.uint8)


def test_colors_of_stuff_things_and_void():
    picture = overlay(IMAGE, MAP, CATEGORIES, alpha=1, contours=False)
    assert (picture[IDS == 3] == (70, 130, 180)).all()
    assert (picture[IDS == 7] == (200, 40, 40)).all()
    assert (picture[IDS == 0] == 100).all()
    second = picture[IDS == 5][0].astype(int)
    assert (np.abs(second - (200, 40, 40)) <= 60).all()
    assert np.abs(second - (200, 40, 40)).sum() > 0


def test_alpha_blends():
    assert np.array_equal(overlay(IMAGE, MAP, CATEGORIES, alpha=0, contours=False), IMAGE)
    half = overlay(IMAGE, MAP, CATEGORIES, alpha=0.5, contours=False)
    assert (half[IDS == 3] == (85, 115, 140)).all()


def test_contours_are_white_and_only_between_segments():
    white = (overlay(IMAGE, MAP, CATEGORIES) == 255).all(axis=2)
    assert white.tolist() == [[True, True, False], [False, True, True], [False, True, False]]
    whole = PanopticMap(np.full((3, 3), 7), (Segment(7, 1, 9),))
    assert not (overlay(IMAGE, whole, CATEGORIES) == 255).all(axis=2).any()


def test_tensors_and_arrays_give_the_same_picture_each_time():
    tensor = PanopticMap(torch.from_numpy(IDS), MAP.segments)
    first = overlay(IMAGE, MAP, CATEGORIES)
    assert np.array_equal(first, overlay(IMAGE, tensor, CATEGORIES))
    assert np.array_equal(first, overlay(IMAGE, MAP, CATEGORIES))
    assert (IMAGE == 100).all()


def test_all_void_is_the_image():
    void = PanopticMap(np.zeros((3, 3), dtype=np.int64), ())
    assert np.array_equal(overlay(IMAGE, void, CATEGORIES), IMAGE)


@pytest.mark.parametrize(
    ("image", "panoptic", "alpha", "message"),
    [
        (IMAGE[:2], MAP, 0.5, r"image is \(2, 3, 3\) of uint8, but a map of \(3, 3\)"),
        (IMAGE.astype(float), MAP, 0.5, "of float64, but"),
        (IMAGE, MAP, 1.5, r"alpha=1\.5"),
        (IMAGE, PanopticMap(IDS, MAP.segments[:2]), 0.5, r"ids \[5\] that are not among its segments"),
        (IMAGE, PanopticMap(IDS, (*MAP.segments[:2], Segment(5, 4, 1))), 0.5, "unknown category id 4"),
    ],
)
def test_bad_input(image, panoptic, alpha, message):
    with pytest.raises(ValueError, match=message):
        overlay(image, panoptic, CATEGORIES, alpha)


def test_side_by_side_writes_three_pictures_and_leaves_matplotlib_alone(tmp_path):
    drawn = scene("val", 3)
    before = dict(matplotlib.rcParams)
    path = tmp_path / "new" / "scene.png"
    empty = PanopticMap(np.zeros_like(drawn.truth.numpy()), ())
    side_by_side(drawn.image, drawn.truth, empty, SCENE_CATEGORIES, path, title="scene 3")
    with Image.open(path) as written:
        picture = np.asarray(written.convert("RGB")).astype(int)
    assert picture.shape[1] == 1440
    shown, truth, prediction = (picture[100:-60, start : start + 440].mean(axis=(0, 1)) for start in (20, 500, 980))
    assert np.abs(shown - truth).max() > 10
    assert np.abs(shown - prediction).max() < 1  # an empty map leaves the image
    assert dict(matplotlib.rcParams) == before
    side_by_side(drawn.image, drawn.truth, empty, SCENE_CATEGORIES, tmp_path / "again.png", title="scene 3")
    assert (tmp_path / "again.png").read_bytes() == path.read_bytes()


def test_coco_sample_with_crowds_and_scores(tmp_path):
    root = Path(__file__).resolve().parents[4] / "shared" / "data" / "panoptic" / "coco_sample"
    if not root.is_dir():
        pytest.skip(f"the two COCO images are not at {root}")
    dataset = find_splits(root).open().val
    truth = dataset.truth(1)
    scored = PanopticMap(truth.ids, tuple(Segment(s.id, s.category_id, s.area, False, 0.5) for s in truth.segments))
    side_by_side(dataset.image(1), truth, scored, dataset.categories, tmp_path / "sample.png")
    with Image.open(tmp_path / "sample.png") as picture:
        assert picture.width == 1440
