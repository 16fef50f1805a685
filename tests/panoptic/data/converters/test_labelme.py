import base64
import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from autopanoptic.panoptic.data.coco.checks import check
from autopanoptic.panoptic.data.coco.layout import find_splits
from autopanoptic.panoptic.data.converters.labelme import convert_labelme
from autopanoptic.panoptic.data.converters.labelme_shapes import draw
from autopanoptic.panoptic.data.converters.own_data import OwnData
from autopanoptic.panoptic.data.problems import DatasetError


def shape(label, kind, points, **more):
    return {"label": label, "shape_type": kind, "points": points, "group_id": None, "flags": {}, **more}


SHAPES = [
    shape("cat", "polygon", [[2, 2], [12, 2], [12, 9], [2, 9]]),
    shape("dog", "rectangle", [[25, 15], [20, 12]]),
    shape("__ignore__", "rectangle", [[0, 0], [29, 1]]),
]


@pytest.fixture
def folder(tmp_path, noise):
    for i in range(4):
        noise(tmp_path / "in" / "day" / f"{i}.jpg", 20, 30)
        write(tmp_path / "in" / "day" / f"{i}.json", SHAPES, imagePath=f"{i}.jpg")
    return tmp_path / "in"


def write(path, drawn, **more):
    content = {
        "version": "5.5.0",
        "flags": {},
        "shapes": drawn,
        "imageHeight": 20,
        "imageWidth": 30,
        "imageData": None,
    }
    path.write_text(json.dumps({**content, **more}))


def found(root, stem, semantics):
    for path in sorted((root / "annotations").glob("*.json")):
        content = json.loads(path.read_text())
        names = {c["id"]: c["name"] for c in content["categories"]}
        for image, entry in zip(content["images"], content["annotations"], strict=True):
            if image["file_name"].endswith(f"{stem}.jpg"):
                categories = semantics(path.with_suffix("") / entry["file_name"], entry)
                return np.vectorize(lambda i, names=names: names.get(i, "void"))(categories), entry["segments_info"]
    raise AssertionError(stem)


def test_shapes_become_things_over_the_rest(folder, tmp_path, semantics):
    assert convert_labelme(folder, tmp_path / "out") == ()
    names, segments = found(tmp_path / "out", 2, semantics)
    expected = np.full((20, 30), "background")
    expected[2:10, 2:13], expected[12:16, 20:26], expected[:2] = "cat", "dog", "void"
    assert np.array_equal(names, expected)
    assert len(segments) == 3
    datasets = find_splits(tmp_path / "out").open()
    assert [c.name for c in datasets.train.categories] == ["cat", "dog", "background"]
    for split in (datasets.train, datasets.nas_val, datasets.val):
        check(split)
    assert [len(split) for split in (datasets.train, datasets.nas_val, datasets.val)] == [2, 1, 1]


def test_shapes_of_a_group_are_one_thing(folder, tmp_path, semantics):
    pieces = [shape("cat", "rectangle", [[x, 5], [x + 3, 8]], group_id=group) for x, group in ((0, 1), (6, 1), (12, 2))]
    write(
        folder / "day" / "0.json",
        [*pieces, shape("dog", "rectangle", [[20, 5], [22, 6]], group_id=1)],
        imagePath="0.jpg",
    )
    convert_labelme(folder, tmp_path / "out", labels=["dog", "cat"], own=OwnData(rest=None))
    _, segments = found(tmp_path / "out", 0, semantics)
    assert sorted((s["category_id"], s["area"]) for s in segments) == [(1, 6), (2, 16), (2, 32)]


def test_every_shape_as_labelme_draws_it():
    """The numbers are those of labelme 6.3's ``shape_to_mask``."""
    size = (40, 60)
    circle = draw(shape("x", "circle", [[30, 20], [40, 20]]), size)
    triangle = draw(shape("x", "polygon", [[1.5, 2.5], [50.2, 8.1], [7.9, 37.0]]), size)
    turned = draw(shape("x", "oriented_rectangle", [[10, 5], [30, 10], [27, 22], [7, 17]]), size)
    assert [int(mask.sum()) for mask in (circle, triangle, turned)] == [349, 875, 270]
    part = np.zeros((3, 4), np.uint8)
    part[1] = 255
    buffer = io.BytesIO()
    Image.fromarray(part).save(buffer, format="PNG")
    encoded = base64.b64encode(buffer.getvalue()).decode()
    mask = draw(shape("x", "mask", [[5, 10], [8, 12]], mask=encoded), size)
    assert np.array_equal(np.argwhere(mask), [[11, 5], [11, 6], [11, 7], [11, 8]])
    with pytest.raises(ValueError, match="does not fit into its box"):
        draw(shape("x", "mask", [[57, 10], [60, 12]], mask=encoded), size)
    with pytest.raises(ValueError, match="cannot be decoded"):
        draw(shape("x", "mask", [[5, 10], [8, 12]], mask="AAAA"), size)


def test_images_may_lie_elsewhere(folder, tmp_path, noise):
    (tmp_path / "photos").mkdir()
    for i in range(4):
        (folder / "day" / f"{i}.jpg").rename(tmp_path / "photos" / f"{i}.jpg")
        write(folder / "day" / f"{i}.json", SHAPES, imagePath=f"..\\..\\photos\\{i}.jpg")
    with pytest.raises(DatasetError, match="4 problems"):
        convert_labelme(folder, tmp_path / "out")
    convert_labelme(folder, tmp_path / "out", images=tmp_path / "photos")
    check(find_splits(tmp_path / "out").open().train)


def test_val_may_be_given(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "val")
    convert_labelme(folder, tmp_path / "out", val_folder=tmp_path / "val")
    datasets = find_splits(tmp_path / "out").open()
    assert [len(split) for split in (datasets.train, datasets.nas_val, datasets.val)] == [3, 1, 4]


def test_the_same_command_from_another_directory_is_the_same(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    convert_labelme("in", "out")
    monkeypatch.chdir(folder)
    assert convert_labelme(".", "../out") == ()


@pytest.mark.parametrize("place", ["in", "in/out", "link/day/out", "val/out"])
def test_a_target_among_the_jsons_is_refused(folder, tmp_path, place):
    shutil.copytree(folder, tmp_path / "val")
    (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    with pytest.raises(ValueError, match=r"lies in .*, all of whose JSONs are read; choose a folder outside"):
        convert_labelme(folder, tmp_path / place, val_folder=tmp_path / "val")
    assert not (tmp_path / place / "converted.json").exists()


def test_an_image_of_train_is_not_one_of_val(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    with pytest.raises(DatasetError, match=r"in/day/0\.jpg is the image of more than one JSON"):
        convert_labelme(folder, tmp_path / "out", val_folder=tmp_path / "link")


@pytest.mark.parametrize(
    ("shapes", "more", "message"),
    [
        ([shape("cat", "line", [[1, 1], [2, 2]])], {}, "a shape of 'cat' is a line, which covers no pixels"),
        ([shape("cat", "polygon", [[1, 1], [2, 2]])], {}, "a polygon of 'cat' has 2 points; at least 3 are needed"),
        ([shape("cat", "circle", [[1, 1], [2, None]])], {}, "not pairs of finite numbers"),
        ([shape("cat", "circle", [[1, 1], [2, 10**400]])], {}, "not pairs of finite numbers"),
        ([shape("cat", "mask", [[1, 1], [2, 2]])], {}, "a mask of 'cat' has no `mask`"),
        ([shape("", "circle", [[1, 1], [2, 2]])], {}, "a shape has the label ''"),
        ([shape("bird", "circle", [[9, 9], [12, 9]])], {}, "has the label 'bird', none of cat, dog"),
        (SHAPES, {"imagePath": "9.jpg"}, "its image 9.jpg is not in"),
        (SHAPES, {"imagePath": "2.jpg"}, "2.jpg is the image of more than one JSON"),
        (SHAPES, {"imagePath": 7}, "has the imagePath 7, which is not text"),
        (["cat"], {}, "a shape is 'cat', not an object"),
        ({"cat": 1}, {}, "has {'cat': 1} for shapes, which is not a list"),
        ([shape("cat", ["circle"], [[1, 1], [2, 2]])], {}, "a shape of 'cat' is a ['circle'], which covers no pixels"),
        (
            [shape("cat", "circle", [[1, 1], [2, 2]], group_id=[1])],
            {},
            "has the group_id [1], neither a number nor text",
        ),
        (
            SHAPES,
            {"imageHeight": 20.0},
            "has the imageHeight and imageWidth [20.0, 30], which are not positive integers",
        ),
        (SHAPES, {"imageWidth": "30"}, "has the imageHeight and imageWidth [20, '30']"),
        (SHAPES, {"imageHeight": 30}, "is 30x20 pixels, but its annotation is of 30x30"),
        (SHAPES, {"shapes": None}, "lacks shapes"),
    ],
)
def test_what_is_wrong_is_named(folder, tmp_path, shapes, more, message):
    write(folder / "day" / "1.json", shapes, **{"imagePath": "1.jpg", **more})
    with pytest.raises(DatasetError) as error:
        convert_labelme(folder, tmp_path / "out", labels=["cat", "dog"])
    assert message in str(error.value)
