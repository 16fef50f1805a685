import json
import shutil

import numpy as np
import pytest
from PIL import Image

from autopanoptic.panoptic.data.coco.checks import check
from autopanoptic.panoptic.data.coco.layout import find_splits
from autopanoptic.panoptic.data.coco.panoptic_png import read_ids
from autopanoptic.panoptic.data.converters.instances import convert_instances
from autopanoptic.panoptic.data.converters.masks import rle_of_mask
from autopanoptic.panoptic.data.converters.own_data import OwnData
from autopanoptic.panoptic.data.problems import DatasetError

SIZE = (20, 30)
ALL_TRAIN = OwnData(nas_val=0.2, val=0.2)


class Tool:
    """What an annotation tool exports: ten images, and a square at x = y = 2 to 12 in each of them."""

    def __init__(self, root, noise):
        self.root, self.images, self.path = root, root / "images", root / "instances.json"
        square = [[2, 2, 12, 2, 12, 12, 2, 12]]
        self.json = {
            "images": [{"id": i, "file_name": f"{i}.jpg", "height": 20, "width": 30} for i in range(1, 11)],
            "annotations": [
                {"id": 100 + i, "image_id": i, "category_id": 4, "segmentation": square, "bbox": [2, 2, 10, 10]}
                for i in range(1, 11)
            ],
            "categories": [{"id": 4, "name": "cat", "supercategory": "pet"}, {"id": 7, "name": "sky"}],
        }
        for entry in self.json["images"]:
            noise(self.images / entry["file_name"], *SIZE)

    def add(self, image, category, segmentation, **more):
        number = 200 + len(self.json["annotations"])
        entry = {"id": number, "image_id": image, "category_id": category, "segmentation": segmentation, **more}
        self.json["annotations"].append(entry)

    def convert(self, **options):
        self.path.write_text(json.dumps(self.json))
        return convert_instances(self.path, self.images, self.root / "out", **options)

    def found(self, image, semantics):
        """The category of each pixel of an image, whatever its split, and its segments."""
        for path in sorted((self.root / "out" / "annotations").glob("*.json")):
            content = json.loads(path.read_text())
            for entry in content["annotations"]:
                if entry["image_id"] == image:
                    return semantics(path.with_suffix("") / entry["file_name"], entry), entry["segments_info"]
        raise AssertionError(image)


@pytest.fixture
def tool(tmp_path, noise):
    return Tool(tmp_path, noise)


def test_polygons_and_rle_become_segments_over_the_rest(tool, semantics):
    mask = np.zeros(SIZE, bool)
    mask[0:5, 20:25] = True
    rle = rle_of_mask(mask)
    tool.add(3, 4, {"size": list(SIZE), "counts": rle["counts"].decode()})
    tool.add(3, 4, {"size": list(SIZE), "counts": [0, 20, 580]}, iscrowd=1)
    remarks = tool.convert()
    assert remarks == (f"{tool.path}: nothing is of the category 'sky'",)
    categories, segments = tool.found(3, semantics)
    expected = np.full(SIZE, 8)
    expected[2:12, 2:12] = expected[mask] = expected[:, 0] = 4
    assert np.array_equal(categories, expected)
    assert sorted((s["area"], s["iscrowd"]) for s in segments if s["category_id"] == 4) == [(20, 1), (25, 0), (100, 0)]


def test_the_splits_hold_each_image_once_and_depend_on_the_seed(tool):
    tool.convert(own=OwnData(nas_val=0.2, val=0.3, seed=1))
    datasets = find_splits(tool.root / "out").open()
    splits = [set(split.image_ids.tolist()) for split in (datasets.train, datasets.nas_val, datasets.val)]
    assert [len(split) for split in splits] == [5, 2, 3]
    assert set.union(*splits) == set(range(1, 11))
    for split in (datasets.train, datasets.nas_val, datasets.val):
        check(split)
    assert [c.name for c in datasets.train.categories.stuff] == ["background"]
    shutil.rmtree(tool.root / "out")
    tool.json["images"].reverse()
    tool.convert(own=OwnData(nas_val=0.2, val=0.3, seed=1))
    again = find_splits(tool.root / "out").open()
    assert set(again.val.image_ids.tolist()) == splits[2]
    shutil.rmtree(tool.root / "out")
    tool.convert(own=OwnData(nas_val=0.2, val=0.3, seed=2))
    assert set(find_splits(tool.root / "out").open().val.image_ids.tolist()) != splits[2]


def test_stuff_classes_and_void(tool, semantics):
    tool.add(2, 7, [[0, 0, 30, 0, 30, 5, 0, 5]])
    tool.add(2, 7, [[0, 15, 30, 15, 30, 20, 0, 20]])
    tool.convert(own=OwnData(rest=None, stuff=("sky",)))
    categories, segments = tool.found(2, semantics)
    assert (categories[:2] == 7).all()
    assert (categories[2:12, 2:12] == 4).all(), "things lie above stuff"
    assert (categories[6, 15:] == -1).all()
    assert len(segments) == 2
    assert tool.found(1, semantics)[0][0, 0] == -1


def test_real_masks_come_back_pixel_by_pixel(coco_sample, tmp_path, noise):
    """Things of the COCO sample as instance RLE, in one map again."""
    content = json.loads((coco_sample / "panoptic_examples.json").read_text())
    kinds = {c["id"]: c["isthing"] for c in content["categories"]}
    made = {"images": [], "annotations": [], "categories": [c for c in content["categories"] if c["isthing"]]}
    truths = {}
    for copy in range(2):
        for image, entry in zip(content["images"], content["annotations"], strict=True):
            assert image["id"] == entry["image_id"]
            number = image["id"] + copy
            (tmp_path / "images").mkdir(exist_ok=True)
            source = coco_sample / "input_images" / image["file_name"].replace(".png", ".jpg")
            shutil.copyfile(source, tmp_path / "images" / f"{number}.jpg")
            made["images"].append({**image, "id": number, "file_name": f"{number}.jpg"})
            ids = read_ids(coco_sample / "panoptic_examples" / entry["file_name"]).astype(np.int64)
            things = [s for s in entry["segments_info"] if kinds[s["category_id"]]]
            truths[number] = np.where(np.isin(ids, [s["id"] for s in things]), ids, 0)
            for segment in things:
                rle = rle_of_mask(ids == segment["id"])
                mask = {"size": rle["size"], "counts": rle["counts"].decode()}
                made["annotations"].append({**segment, "image_id": number, "segmentation": mask})
    (tmp_path / "instances.json").write_text(json.dumps(made))
    convert_instances(tmp_path / "instances.json", tmp_path / "images", tmp_path / "out", own=OwnData(rest=None))
    datasets = find_splits(tmp_path / "out").open()
    for split in (datasets.train, datasets.nas_val, datasets.val):
        for index, number in enumerate(split.image_ids.tolist()):
            pairs = np.unique(np.stack([split.ids(index).ravel(), truths[number].ravel()]), axis=1)
            assert len(set(pairs[0])) == len(set(pairs[1])) == pairs.shape[1], "the maps are the same but for numbers"
    assert sum(len(split) for split in (datasets.train, datasets.nas_val, datasets.val)) == 4


def test_val_may_be_given(tool, tmp_path, noise):
    other = Tool(tmp_path / "val", noise)
    for entry in other.json["images"] + other.json["annotations"]:
        entry["image_id" if "image_id" in entry else "id"] += 50
    for entry in other.json["images"]:
        (other.images / entry["file_name"]).rename(other.images / f"{entry['id']}.jpg")
        entry["file_name"] = f"{entry['id']}.jpg"
    other.path.write_text(json.dumps(other.json))
    tool.convert(val_annotations=other.path, val_images=other.images)
    datasets = find_splits(tool.root / "out").open()
    assert sorted(datasets.val.image_ids.tolist()) == list(range(51, 61))
    assert (len(datasets.train), len(datasets.nas_val)) == (9, 1)
    shutil.rmtree(tool.root / "out")
    other.path.write_text(
        json.dumps({**other.json, "categories": [{"id": 4, "name": "dog"}, {"id": 7, "name": "sky"}]})
    )
    with pytest.raises(ValueError, match=r"have other categories: \(4, '(cat|dog)'\)"):
        tool.convert(val_annotations=other.path, val_images=other.images)


def test_an_image_of_train_is_not_one_of_val(tool):
    tool.path.write_text(json.dumps(tool.json))
    other = tool.root / "val.json"
    other.write_text(json.dumps({**tool.json, "images": tool.json["images"][:1], "annotations": []}))
    (tool.root / "link").symlink_to(tool.images, target_is_directory=True)
    for given, folder in ((tool.path, tool.images), (other, None), (other, tool.root / "link")):
        with pytest.raises(DatasetError, match=r"images/1\.jpg is an image of both, and val's must be others"):
            tool.convert(val_annotations=given, val_images=folder)
    assert not (tool.root / "out").exists()


def test_an_image_by_two_names_is_one(tool):
    (tool.images / "1.jpg").unlink()
    (tool.images / "1.jpg").symlink_to(tool.images / "2.jpg")
    with pytest.raises(DatasetError, match=r"images/2\.jpg is that of more than one image"):
        tool.convert()


def test_other_images_make_another_data_set(tool):
    tool.convert()
    (tool.root / "link").symlink_to(tool.images, target_is_directory=True)
    shutil.copytree(tool.images, tool.root / "corrected")
    convert_instances(tool.path, tool.root / "link", tool.root / "out")
    with pytest.raises(ValueError, match=r"image_folders was .*/images'.*, and is .*/corrected'"):
        convert_instances(tool.path, tool.root / "corrected", tool.root / "out")


def test_names_of_windows_and_of_other_places_are_found(tool):
    tool.json["images"][0]["file_name"] = "D:\\photos\\1.jpg"
    tool.json["images"][1]["file_name"] = "/home/annotator/2.jpg"
    tool.json["images"][2]["file_name"] = "../../3.jpg"
    tool.convert()
    check(find_splits(tool.root / "out").open().train)


@pytest.mark.parametrize("orientation", ["apply", "ignore"])
def test_turned_photographs(tool, orientation):
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = orientation == "apply"
    for entry in tool.json["images"]:
        stored = np.zeros((30, 20, 3) if upright else (20, 30, 3), np.uint8)
        Image.fromarray(stored).save(tool.images / entry["file_name"], exif=exif)
    tool.convert(own=OwnData(orientation=orientation))
    datasets = find_splits(tool.root / "out").open()
    assert datasets.train.orientation == orientation
    with pytest.warns(UserWarning, match="EXIF orientation is 6"):
        check(datasets.train)
    shutil.rmtree(tool.root / "out")
    other = {"apply": "ignore", "ignore": "apply"}[orientation]
    with pytest.raises(DatasetError, match=f"With orientation='{orientation}' it is"):
        tool.convert(own=OwnData(orientation=other))


def spoil(key, entry, **values):
    def change(content):
        content[key][entry].update(values)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("images"), "the key 'images' is missing"),
        (lambda c: c["annotations"][0].pop("segmentation"), "position 0 lacks segmentation"),
        (spoil("annotations", 0, image_id=99), "annotation 101 has the image_id 99, which is not in the file"),
        (spoil("annotations", 1, category_id=5), "annotation 102 has the category_id 5"),
        (spoil("annotations", 2, segmentation=[]), "annotation 103 has no mask"),
        (spoil("annotations", 2, segmentation=[[1, 2, 3, 4]]), "annotation 103 has a polygon of 4 numbers"),
        (spoil("images", 0, id=2), "the id 2 occurs 2 times"),
        (spoil("categories", 0, id="cat"), "categories: the id 'cat' is not an integer"),
        (spoil("images", 0, file_name=None), "images: the file_name None of 1 is not text"),
        (spoil("images", 0, file_name=7), "images: the file_name 7 of 1 is not text"),
        (spoil("categories", 0, name=["cat"]), "categories: the name ['cat'] of 4 is not text"),
        (spoil("images", 0, id="a"), "some image ids are integers (2), others text ('a'); give all one kind"),
        (spoil("images", 0, id=2**63), "image 9223372036854775808: the id does not fit into 64 bits"),
        (spoil("images", 0, id=[1]), "images: the id [1] is neither an integer nor text"),
        (spoil("annotations", 0, image_id=[1]), "annotation 101 has the image_id [1], which is not in the file"),
        (spoil("annotations", 0, category_id={}), "annotation 101 has the category_id {}, which is not in the file"),
        (spoil("images", 0, width=0), "height and width of 1 are [20, 0]"),
        (spoil("images", 0, width=31), "is 30x20 pixels, but its annotation is of 31x20"),
        (spoil("images", 0, file_name="x.jpg"), "x.jpg of image 1 is missing"),
        (spoil("images", 0, file_name="2.jpg"), "2.jpg is that of more than one image"),
        (spoil("categories", 0, name="sky"), "the category names ['sky'] occur more than once"),
    ],
)
def test_what_is_wrong_is_named(tool, change, message):
    change(tool.json)
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message is compared as it is
        tool.convert()
    assert message in str(error.value)


def test_ids_that_are_no_natural_numbers_give_no_png_twice(tool):
    """The other image is at the position 2, and there is one with the id 2."""
    tool.json["images"] = tool.json["images"][1:]
    tool.json["images"].insert(2, {"id": -1, "file_name": "1.jpg", "height": 20, "width": 30})
    tool.json["annotations"] = tool.json["annotations"][1:]
    tool.convert()
    pngs = [p.name for p in tool.root.glob("out/annotations/*/*.png")]
    assert sorted(pngs) == [f"{i:012d}.png" for i in range(10)]


def test_choices_are_checked(tool):
    with pytest.raises(ValueError, match=r"stuff=\['sea'\]: .* has the categories cat, sky"):
        tool.convert(own=OwnData(stuff=("sea",)))
    with pytest.raises(ValueError, match=r"nas_val=0\.5, val=0\.5: shares"):
        tool.convert(own=OwnData(nas_val=0.5, val=0.5))
    with pytest.raises(ValueError, match="order='size'"):
        OwnData(order="size")
    with pytest.raises(ValueError, match="orientation='Apply' is none of apply, ignore"):
        OwnData(orientation="Apply")
    tool.json["images"], tool.json["annotations"] = tool.json["images"][:2], tool.json["annotations"][:2]
    with pytest.raises(ValueError, match="there are 2 images, of which 1 for nas_val and 1 for val would leave none"):
        tool.convert()
