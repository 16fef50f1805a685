import json

import numpy as np
import pytest
from PIL import Image

from autopanoptic.panoptic.data.coco.converted import MARKER, recorded_orientation
from autopanoptic.panoptic.data.coco.layout import cut, find_split, find_splits
from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.data.scenes.files import write_scenes

CATEGORIES = [{"id": 1, "name": "cat", "isthing": 1}, {"id": 2, "name": "sky", "isthing": 0}]


def place(root, annotations, pngs, images, numbers, categories=CATEGORIES):
    """Writes a set of tiny images with these ids."""
    for folder in (root / pngs, root / images, (root / annotations).parent):
        folder.mkdir(parents=True, exist_ok=True)
    content = {"images": [], "annotations": [], "categories": categories}
    for number in numbers:
        name = f"{number}.png"
        for folder in (pngs, images):
            Image.fromarray(np.full((2, 3, 3), [1, 0, 0], dtype=np.uint8)).save(root / folder / name)
        content["images"].append({"id": number, "file_name": name, "height": 2, "width": 3})
        segment = {"id": 1, "category_id": 2, "area": 6, "iscrowd": 0}
        content["annotations"].append({"image_id": number, "file_name": name, "segments_info": [segment]})
    (root / annotations).write_text(json.dumps(content))


def ids(dataset):
    return sorted(dataset.image_ids.tolist())


@pytest.mark.parametrize("year", ["", "2017"])
@pytest.mark.parametrize("pngs", ["annotations/panoptic_{}", "panoptic_{}"])
@pytest.mark.parametrize("images", ["{}", "images/{}"])
def test_standard_layouts(tmp_path, year, pngs, images):
    for split, numbers in [("train", range(30)), ("val", range(40, 43))]:
        name = split + year
        place(tmp_path, f"annotations/panoptic_{name}.json", pngs.format(name), images.format(name), numbers)
    splits = find_splits(tmp_path)
    assert splits.nas_val is None
    assert not splits.overfit
    datasets = splits.open(seed=1)
    assert len(datasets.nas_val) == 3
    assert ids(datasets.train) + ids(datasets.nas_val) != list(range(30))
    assert sorted(ids(datasets.train) + ids(datasets.nas_val)) == list(range(30))
    assert ids(datasets.val) == [40, 41, 42]
    assert datasets.train[0].image.shape == (3, 2, 3)


def test_the_cut_depends_on_seed_and_ids_only(tmp_path):
    place(tmp_path, "a.json", "pngs", "images", range(100))
    place(tmp_path, "b.json", "pngs", "images", reversed(range(100)))

    def taken(name, seed):
        dataset = CocoPanoptic(tmp_path / "images", tmp_path / "pngs", tmp_path / name)
        rest, part = cut(dataset, seed)
        assert len(rest) == 90
        assert not set(ids(rest)) & set(ids(part))
        return ids(part)

    assert taken("a.json", 0) == taken("a.json", 0) == taken("b.json", 0)
    assert taken("a.json", 0) != taken("a.json", 1)


def coco(root, train=range(10)):
    place(root, "annotations/panoptic_train2017.json", "annotations/panoptic_train2017", "train2017", train)
    place(root, "annotations/panoptic_val2017.json", "annotations/panoptic_val2017", "val2017", range(90, 92))


def test_published_nas_splits_share_the_folders_of_train(tmp_path):
    coco(tmp_path)
    folders = ("annotations/panoptic_train2017", "train2017")
    place(tmp_path, "nas/panoptic_nas_train2017.json", *folders, range(7))
    place(tmp_path, "nas/panoptic_nas_val2017.json", *folders, range(7, 10))
    datasets = find_splits(tmp_path).open()
    assert (ids(datasets.train), ids(datasets.nas_val)) == (list(range(7)), [7, 8, 9])
    assert datasets.nas_val.images == tmp_path / "train2017"


@pytest.mark.parametrize("name", ["nas_val", "nas_val2017"])
def test_nas_val_alone_is_left_out_of_train(tmp_path, name):
    coco(tmp_path)
    place(
        tmp_path,
        f"annotations/panoptic_{name}.json",
        "annotations/panoptic_train2017",
        "train2017",
        [3, 5],
    )
    datasets = find_splits(tmp_path).open()
    assert ids(datasets.nas_val) == [3, 5]
    assert ids(datasets.train) == [0, 1, 2, 4, 6, 7, 8, 9]
    # A folder of its own that is a link to train's.
    (tmp_path / name).symlink_to(tmp_path / "train2017")
    linked = find_splits(tmp_path).open()
    assert linked.nas_val.images == tmp_path / name
    assert ids(linked.train) == ids(datasets.train)


def test_nas_val_that_is_all_of_train_is_refused(tmp_path):
    coco(tmp_path, train=[1, 2])
    folders = ("annotations/panoptic_train2017", "train2017")
    place(tmp_path, "nas/panoptic_nas_val2017.json", *folders, [1, 2])
    with pytest.raises(ValueError, match="nothing is left to train on"):
        find_splits(tmp_path).open()


def test_scenes_keep_their_three_splits(tmp_path):
    root = write_scenes(tmp_path / "scenes", {"train": 4, "nas_val": 3, "val": 2}, size=32)
    datasets = find_splits(root).open()
    assert [len(d) for d in (datasets.train, datasets.nas_val, datasets.val)] == [4, 3, 2]
    assert not datasets.overfit


@pytest.mark.parametrize("images", ["input_images", "images"])
def test_one_set_serves_as_all_splits(tmp_path, images):
    place(tmp_path, "examples.json", "examples", images, [1, 2])
    (tmp_path / "notes.json").write_text("{}")
    splits = find_splits(tmp_path)
    assert splits.overfit
    datasets = splits.open()
    assert datasets.train is datasets.nas_val is datasets.val
    assert datasets.overfit
    assert ids(datasets.val) == [1, 2]


def test_coco_sample(coco_sample):
    datasets = find_splits(coco_sample).open()
    assert datasets.overfit
    assert ids(datasets.train) == [142238, 439180]


def test_nothing_found(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds nothing"):
        find_splits(tmp_path)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "a.txt").touch()
    with pytest.raises(FileNotFoundError, match=r"no COCO panoptic data.*holds a\.txt, pictures/"):
        find_splits(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        find_splits(tmp_path / "elsewhere")


def test_missing_split(tmp_path):
    coco(tmp_path)
    (tmp_path / "annotations" / "panoptic_val2017.json").unlink()
    with pytest.raises(
        FileNotFoundError,
        match=r"no val split \(looked for annotations/panoptic_val2017\.json, annotations/panoptic_val\.json\)"
        r".*holds panoptic_train2017\.json, panoptic_train2017/, panoptic_val2017/",
    ):
        find_splits(tmp_path)


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("val2017", r"images of panoptic_val2017\.json: looked for val2017, images/val2017"),
        ("annotations/panoptic_val2017", r"PNGs of panoptic_val2017\.json: looked for annotations/panoptic_val2017"),
    ],
)
def test_missing_folder(tmp_path, folder, message):
    coco(tmp_path)
    (tmp_path / folder).rename(tmp_path / "renamed")
    with pytest.raises(FileNotFoundError, match=message):
        find_splits(tmp_path)


def test_nas_train_without_nas_val(tmp_path):
    coco(tmp_path)
    folders = ("annotations/panoptic_train2017", "train2017")
    place(tmp_path, "nas/panoptic_nas_train2017.json", *folders, range(7))
    with pytest.raises(FileNotFoundError, match="but not the nas_val that belongs to it"):
        find_splits(tmp_path)


def test_several_single_sets(tmp_path):
    place(tmp_path, "a.json", "a", "input_images", [1])
    place(tmp_path, "b.json", "b", "input_images", [2])
    with pytest.raises(ValueError, match=r"several sets \(a\.json, b\.json\)"):
        find_splits(tmp_path)


def with_val(root, categories):
    coco(root)
    folders = ("annotations/panoptic_val2017.json", "annotations/panoptic_val2017", "val2017")
    place(root, *folders, [9], categories)
    return find_splits(root)


def test_splits_whose_categories_differ_in_order_and_colour_get_the_labels_of_train(tmp_path):
    other = [{**CATEGORIES[1], "color": [9, 9, 9]}, {"id": 1, "name": "cat", "isthing": 1}]
    three = [*CATEGORIES, {"id": 3, "name": "sea", "isthing": 0}]
    datasets = with_val(tmp_path / "a", other).open()
    assert datasets.val.categories == datasets.nas_val.categories == datasets.train.categories
    turned = with_val(tmp_path / "b", three[::-1])
    place(tmp_path / "b", "annotations/panoptic_train2017.json", "annotations/panoptic_train2017", "train2017",
          range(10), three)  # fmt: skip
    datasets = turned.open()
    assert dict(datasets.val.categories.stuff_label) == {2: 1, 3: 2}
    assert set(datasets.val[0].truth.semantic.unique().tolist()) == {1}


@pytest.mark.parametrize(
    ("categories", "message"),
    [
        ([CATEGORIES[0]], r"category 2 \('sky', stuff\) is among the others only"),
        ([*CATEGORIES, {"id": 7, "name": "sea", "isthing": 0}], r"category 7 \('sea', stuff\) is not among the others"),
        (
            [{"id": 1, "name": "dog", "isthing": 1}, CATEGORIES[1]],
            r"category 1 \('dog', a thing\) is category 1 \('cat', a thing\) among the others",
        ),
        (
            [CATEGORIES[0], {"id": 2, "name": "sky", "isthing": 1}],
            r"category 2 \('sky', a thing\) is category 2 \('sky', stuff\) among",
        ),
    ],
)
def test_splits_with_other_categories_are_refused_by_the_first_difference(tmp_path, categories, message):
    splits = with_val(tmp_path, CATEGORIES)
    path = tmp_path / "annotations" / "panoptic_val2017.json"
    content = json.loads(path.read_text())
    content["categories"] = categories
    for annotation in content["annotations"]:
        annotation["segments_info"][0]["category_id"] = categories[-1]["id"]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"val2017\.json has other categories than .*train2017\.json: {message}"):
        splits.open()


def test_text_ids_are_cut_and_left_out(tmp_path):
    coco(tmp_path, train=[f"ADE_train_{i:08d}" for i in range(10)])
    datasets = find_splits(tmp_path).open(seed=1)
    assert len(datasets.nas_val) == 1
    assert sorted(ids(datasets.train) + ids(datasets.nas_val)) == [f"ADE_train_{i:08d}" for i in range(10)]
    folders = ("annotations/panoptic_nas_val2017.json", "annotations/panoptic_train2017", "train2017")
    place(tmp_path, *folders, ["ADE_train_00000003"])
    assert "ADE_train_00000003" not in ids(find_splits(tmp_path).open().train)


def test_the_text_of_a_number_is_another_id(tmp_path):
    coco(tmp_path)
    folders = ("annotations/panoptic_nas_val2017.json", "annotations/panoptic_train2017", "train2017")
    place(tmp_path, *folders, ["3"])
    assert ids(find_splits(tmp_path).open().train) == list(range(10))


def test_one_image_cannot_be_cut(tmp_path):
    coco(tmp_path, train=[1])
    with pytest.raises(ValueError, match="has 1 image: at least 2"):
        find_splits(tmp_path).open()


def test_one_split_is_found_without_the_others(tmp_path):
    place(tmp_path, "annotations/panoptic_val2017.json", "panoptic_val2017", "val2017", range(3))
    assert ids(find_split(tmp_path).open()) == [0, 1, 2]
    with pytest.raises(FileNotFoundError, match=r"has no train split .*holds panoptic_val2017\.json"):
        find_split(tmp_path, "train")
    with pytest.raises(ValueError, match="split='test' is none of train, nas_val, val"):
        find_split(tmp_path, "test")
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        find_split(tmp_path / "nowhere")


@pytest.mark.parametrize("split", ["train", "nas_val", "val"])
def test_every_split_of_one_set_is_the_whole(tmp_path, split):
    place(tmp_path, "one.json", "one", "input_images", range(3))
    assert ids(find_split(tmp_path, split).open()) == [0, 1, 2]


def test_a_damaged_record_of_a_conversion_is_refused(tmp_path):
    (tmp_path / MARKER).write_text('{"parameters": {"orientation": "sideways"}, "complete": true}')
    with pytest.raises(ValueError, match=r"converted\.json: its orientation 'sideways' is none of apply, ignore"):
        recorded_orientation(tmp_path)
    (tmp_path / MARKER).write_text("[1]")
    with pytest.raises(ValueError, match=r"converted\.json is damaged"):
        recorded_orientation(tmp_path)
    (tmp_path / MARKER).unlink()
    assert recorded_orientation(tmp_path) == "apply"
