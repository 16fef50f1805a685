import json
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask

from autopanoptic.panoptic.data.coco.checks import check
from autopanoptic.panoptic.data.coco.layout import find_splits
from autopanoptic.panoptic.data.coco.panoptic_png import read_ids
from autopanoptic.panoptic.data.converters.coco import convert_coco
from autopanoptic.panoptic.data.problems import DatasetError
from autopanoptic.panoptic.data.segments import id_to_rgb

CATEGORIES = [
    {"id": 1, "name": "person", "isthing": 1, "supercategory": "person"},
    {"id": 92, "name": "banner", "isthing": 0, "supercategory": "textile"},
    {"id": 200, "name": "rug", "isthing": 0, "supercategory": "floor"},
]


def add_split(root, split, images, save, noise):
    """Images of a split: void, a person, rug and banner, as rows; ids as in COCO beyond 16 bits."""
    annotations, instances, entries = [], [], []
    for number in images:
        ids = np.repeat([0, 7_000_001, 7_000_002, 300], 3).reshape(4, 3)
        name = f"{number:012d}"
        save(root / "annotations" / f"panoptic_{split}" / f"{name}.png", id_to_rgb(ids))
        noise(root / split / f"{name}.jpg", 4, 3)
        entries.append({"id": number, "file_name": f"{name}.jpg", "height": 4, "width": 3, "license": 1})
        segments = [
            {"id": i, "category_id": c, "area": 3, "bbox": [0, row, 3, 1], "iscrowd": 0}
            for i, c, row in ((7_000_001, 1, 1), (7_000_002, 200, 2), (300, 92, 3))
        ]
        annotations.append({"image_id": number, "file_name": f"{name}.png", "segments_info": segments})
        box = {"bbox": [0, 1, 3, 1], "area": 3, "iscrowd": 0, "segmentation": [[0, 1, 3, 1, 3, 2, 0, 2]]}
        instances.append({"id": 10 * number, "image_id": number, "category_id": 1, **box})
    panoptic = {"info": {"year": 2017}, "images": entries, "annotations": annotations, "categories": CATEGORIES}
    (root / "annotations" / f"panoptic_{split}.json").write_text(json.dumps(panoptic))
    content = {**panoptic, "annotations": instances, "categories": [{"id": 1, "name": "person"}]}
    (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))


@pytest.fixture
def release(tmp_path, save, noise):
    add_split(tmp_path / "coco", "train2017", range(9, 49, 4), save, noise)
    add_split(tmp_path / "coco", "val2017", (139, 285), save, noise)
    return tmp_path / "coco"


def test_the_split_is_that_of_the_reader(release):
    drawn = find_splits(release).open(5)
    convert_coco(release, nas_val=1, seed=5, whole=False)
    written = find_splits(release).open(0)
    for name in ("train", "nas_val", "val"):
        assert getattr(written, name).image_ids.tolist() == getattr(drawn, name).image_ids.tolist()
        check(getattr(written, name))
    assert written.nas_val.source.endswith("nas/panoptic_nas_val2017.json")


def test_the_instances_are_split_alike(release):
    convert_coco(release, nas_val=3, whole=False)
    for part in ("train", "val"):
        panoptic, instances = (
            json.loads((release / "nas" / f"{kind}_nas_{part}2017.json").read_text())
            for kind in ("panoptic", "instances")
        )
        assert panoptic["images"] == instances["images"]
        ids = [image["id"] for image in panoptic["images"]]
        assert len(ids) == {"train": 7, "val": 3}[part]
        assert (
            [a["image_id"] for a in panoptic["annotations"]] == ids == [a["image_id"] for a in instances["annotations"]]
        )
        assert instances["categories"] == [{"id": 1, "name": "person"}]
        assert panoptic["info"] == {"year": 2017}


def test_semantic_pngs_as_the_reference_has_them(release):
    convert_coco(release, nas_val=2, whole=False, semantic_pngs=True)
    folder = release / "annotations" / "PanopticAnnotation"
    assert sorted(p.name for p in (folder / "val2017").iterdir()) == ["000000000139.png", "000000000285.png"]
    assert len(list((folder / "train2017").glob("*.png"))) == 10
    with Image.open(folder / "val2017" / "000000000139.png") as image:
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image)[:, 0], [255, 0, 2, 1])


@pytest.fixture
def real(coco_sample, tmp_path):
    """Both splits are the two real images, whose instances are the things of their PNGs as compressed RLE."""
    root = tmp_path / "coco"
    content = json.loads((coco_sample / "panoptic_examples.json").read_text())
    for image in content["images"]:
        image["file_name"] = image["file_name"].replace(".png", ".jpg")
    things = [c for c in content["categories"] if c["isthing"]]
    instances = []
    for entry in content["annotations"]:
        ids = read_ids(coco_sample / "panoptic_examples" / entry["file_name"])
        for segment in entry["segments_info"]:
            if segment["category_id"] in {thing["id"] for thing in things}:
                rle = mask.encode(np.asfortranarray(ids == segment["id"], dtype=np.uint8))
                segmentation = {"size": rle["size"], "counts": rle["counts"].decode()}
                instances.append({**segment, "image_id": entry["image_id"], "segmentation": segmentation})
    (root / "annotations").mkdir(parents=True)
    for split in ("train2017", "val2017"):
        shutil.copytree(coco_sample / "panoptic_examples", root / "annotations" / f"panoptic_{split}")
        shutil.copytree(coco_sample / "input_images", root / split)
        (root / "annotations" / f"panoptic_{split}.json").write_text(json.dumps(content))
        counted = {"images": content["images"], "annotations": instances, "categories": things}
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(counted))
    return root


def test_semantic_pngs_of_the_real_images(real):
    """The labels equal those that the reader gives."""
    convert_coco(real, nas_val=1, whole=False, semantic_pngs=True)
    val = find_splits(real).open().val
    for index in range(2):
        path = real / "annotations" / "PanopticAnnotation" / "val2017" / val.annotations.png_files[index]
        found = np.asarray(Image.open(path))
        assert np.array_equal(found, val[index].truth.semantic.numpy())
        assert np.array_equal(found == 255, read_ids(val.png_path(index)) == 0)
        assert {0, 255} < set(np.unique(found).tolist()) <= {0, 255, *range(1, 54)}


def test_things_of_the_instances_are_those_of_the_pngs_where_both_agree(real, tmp_path):
    """Of the real images: every segment is the same mask, of the same class and kind."""
    convert_coco(real, tmp_path / "out", nas_val=1, whole=False, things="instances")
    train, val = find_splits(tmp_path / "out").open().train, find_splits(real).open().val
    (image,) = train.image_ids.tolist()
    masks = []
    for dataset, index in ((train, 0), (val, val.image_ids.tolist().index(image))):
        ids = dataset.ids(index)
        found = {(s.category_id, s.iscrowd, (ids == s.id).tobytes()) for s in dataset.annotations.segments(index)}
        masks.append(found)
    assert masks[0] == masks[1]
    assert len(masks[0]) > 10


def test_nothing_is_done_twice_and_another_split_refused(release):
    options = {"nas_val": 2, "whole": False, "semantic_pngs": True}
    convert_coco(release, **options)
    before = {p: p.stat().st_mtime_ns for p in release.rglob("*")}
    convert_coco(release, **options)
    assert {p: p.stat().st_mtime_ns for p in release.rglob("*")} == before
    with pytest.raises(ValueError, match="seed was 0, and is 1"):
        convert_coco(release, seed=1, **options)


def test_interrupted_semantic_pngs_go_on(release):
    from autopanoptic.panoptic.data.converters.writing.dataset import Writing

    def stop(done, total):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_coco(release, nas_val=2, whole=False, semantic_pngs=True, writing=Writing(progress=stop))
    first = release / "annotations" / "PanopticAnnotation" / "train2017" / "000000000009.png"
    before, seen = first.stat().st_mtime_ns, []
    writing = Writing(progress=lambda done, total: seen.append((done, total)))
    convert_coco(release, nas_val=2, whole=False, semantic_pngs=True, writing=writing)
    assert first.stat().st_mtime_ns == before
    assert seen == [(i, 12) for i in range(5, 13)]


def test_another_folder_links_to_the_source(release, tmp_path):
    listing = sorted(release.rglob("*"))
    convert_coco(release, tmp_path / "out", nas_val=2, whole=False, semantic_pngs=True)
    assert sorted(release.rglob("*")) == listing
    check(find_splits(tmp_path / "out").open().train)
    assert (tmp_path / "out" / "annotations" / "PanopticAnnotation" / "val2017").is_dir()


def test_archives_are_unpacked(release):
    folder = release / "annotations" / "panoptic_val2017"
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for png in sorted(folder.iterdir()):
            archive.write(png, f"panoptic_val2017/{png.name}")
            archive.writestr(f"__MACOSX/panoptic_val2017/._{png.name}", "finder")
    before = {png.name: png.read_bytes() for png in folder.iterdir()}
    shutil.rmtree(folder)
    convert_coco(release, nas_val=2, whole=False)
    assert {png.name: png.read_bytes() for png in folder.iterdir()} == before


def test_archives_that_are_damaged_or_others_are_named_and_leave_nothing_in_the_way(release):
    folder = release / "annotations" / "panoptic_val2017"
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for png in sorted(folder.iterdir()):
            archive.write(png, f"panoptic_val2017/{png.name}")
    whole = path.read_bytes()
    shutil.rmtree(folder)
    path.write_bytes(whole[:-200])
    with pytest.raises(ValueError, match=r"panoptic_val2017\.zip: cannot be unpacked .*downloaded to its end"):
        convert_coco(release, nas_val=2, whole=False)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("panoptic_train2017/1.png", "another")
    with pytest.raises(ValueError, match=r"holds no panoptic_val2017/\*\.png"):
        convert_coco(release, nas_val=2, whole=False)
    path.write_bytes(whole)
    convert_coco(release, nas_val=2, whole=False)
    assert find_splits(release).open().val


def test_what_is_wrong_is_named(release):
    with pytest.raises(DatasetError, match="train2017 has 10 images, where the release has 118,287"):
        convert_coco(release)
    with pytest.raises(ValueError, match=r"nas_val=10: .* has 10 training images"):
        convert_coco(release, nas_val=10, whole=False)
    (release / "train2017" / "000000000009.jpg").unlink()
    (release / "annotations" / "panoptic_train2017" / "000000000013.png").unlink()
    instances = release / "annotations" / "instances_train2017.json"
    content = json.loads(instances.read_text())
    content["images"] = content["images"][:-1]
    instances.write_text(json.dumps({**content, "categories": [{"id": 2, "name": "person"}]}))
    with pytest.raises(DatasetError) as error:
        convert_coco(release, nas_val=2, whole=False)
    for message in (
        "image file " + str(release / "train2017" / "000000000009.jpg") + " is missing",
        "000000000013.png is missing",
        "image 45 is in panoptic_train2017.json, but not in instances_train2017.json",
        "the thing (1, 'person') is in one of the JSONs of train2017 only",
    ):
        assert message in str(error.value)
    (release / "annotations" / "instances_val2017.json").unlink()
    shutil.rmtree(release / "val2017")
    with pytest.raises(FileNotFoundError, match=r"val2017, .*instances_val2017\.json"):
        convert_coco(release)
    assert not (release / "nas").exists()


@pytest.mark.parametrize(
    ("kind", "key", "values", "message"),
    [
        ("panoptic", "images", {}, "the key 'images' is missing or not a list"),
        ("panoptic", "images", [{"file_name": "a.jpg"}], "image at position 0 of its list lacks id, height, width"),
        ("panoptic", "annotations", [3], "annotation of image at position 0 of its list lacks image_id, file_name"),
        ("panoptic", "categories", [{"id": 1, "name": "person"}], "lacks isthing"),
        ("instances", "annotations", None, "the key 'annotations' is missing or not a list"),
        ("instances", "images", [{"id": 9}], "images: the entry at position 0 lacks file_name, height, width"),
        ("instances", "annotations", [{"id": 7}], "the entry at position 0 lacks image_id, category_id, segmentation"),
        (
            "instances",
            "annotations",
            [{"id": 7, "image_id": 8, "category_id": 1, "segmentation": []}],
            "annotation 7 has the image_id 8, which is not in the file",
        ),
    ],
)
def test_what_is_wrong_in_a_json_is_named(release, kind, key, values, message):
    path = release / "annotations" / f"{kind}_val2017.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: values}))
    with pytest.raises(DatasetError) as error:
        convert_coco(release, nas_val=1, whole=False)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_damaged_pngs_are_named(release):
    png = release / "annotations" / "panoptic_val2017" / "000000000139.png"
    png.write_bytes(png.read_bytes()[:40])
    with pytest.raises(DatasetError, match=r"000000000139\.png: cannot be decoded"):
        convert_coco(release, nas_val=2, whole=False, semantic_pngs=True)
    assert len(list((release / "annotations" / "PanopticAnnotation").rglob("*.png"))) == 11


@pytest.fixture
def overlapping(release):
    """Instances of which some reach over stuff and over each other: by the rows of the images of train2017."""
    path = release / "annotations" / "instances_train2017.json"
    content = json.loads(path.read_text())
    masks = {
        # Rows 1 and 2, the second of which is rug in the PNG; on it a smaller one; below both a crowd, in columns.
        1: {"segmentation": [[0, 1, 3, 1, 3, 3, 0, 3]], "iscrowd": 0},
        2: {"segmentation": [[0, 2, 1, 2, 1, 3, 0, 3]], "iscrowd": 0},
        3: {"segmentation": {"size": [4, 3], "counts": [8, 4]}, "iscrowd": 1},
    }
    images = [image["id"] for image in content["images"]]
    content["annotations"] = [
        {"id": 10 * image + number, "image_id": image, "category_id": 1, **mask}
        for image in images
        for number, mask in masks.items()
    ]
    path.write_text(json.dumps(content))
    return release


def test_things_of_the_instances_lie_over_the_stuff_of_the_pngs(overlapping, tmp_path):
    target, options = tmp_path / "out", {"nas_val": 2, "whole": False, "things": "instances"}
    listing = {path: path.stat().st_mtime_ns for path in overlapping.rglob("*")}
    assert convert_coco(overlapping, target, **options) == ()
    assert {path: path.stat().st_mtime_ns for path in overlapping.rglob("*")} == listing
    found = find_splits(target).open()
    names = {c.id: c.name for c in found.train.categories}
    assert len(found.train) == 8
    for split in (found.train, found.nas_val, found.val):
        check(split)
    for index in range(len(found.train)):
        ids, segments = found.train.ids(index), found.train.annotations.segments(index)
        shown = {segment.id: f"{names[segment.category_id]}{' crowd' * segment.iscrowd}" for segment in segments}
        crowd, person, rug, banner, void = "person crowd", "person", "rug", "banner", None
        assert [[shown.get(value) for value in row] for row in ids.tolist()] == [
            [void, void, crowd],
            [person, person, person],
            [person, person, person],
            [banner, banner, crowd],
        ]
        assert rug not in shown.values()
        assert ids[2, 0] != ids[1, 0] == ids[2, 1]  # the smaller of two things on top
    # What PQ is measured on is as it is distributed.
    original = find_splits(overlapping).open()
    assert not set(found.nas_val.image_ids.tolist()) & set(found.train.image_ids.tolist())
    whole = {image: i for i, image in enumerate(find_splits(overlapping).train.open().image_ids.tolist())}
    train = find_splits(overlapping).train.open()
    for index, image in enumerate(found.nas_val.image_ids.tolist()):
        assert np.array_equal(found.nas_val.ids(index), train.ids(whole[image]))
    assert np.array_equal(found.val.ids(0), original.val.ids(0))


def test_things_of_the_instances_go_on_and_are_written_once(overlapping, tmp_path):
    from autopanoptic.panoptic.data.converters.writing.dataset import Writing

    def stop(done, total):
        if done == 4:
            raise KeyboardInterrupt

    target, options = tmp_path / "out", {"nas_val": 2, "whole": False, "things": "instances"}
    with pytest.raises(KeyboardInterrupt):
        convert_coco(overlapping, target, writing=Writing(progress=stop), **options)
    assert not (target / "annotations" / "panoptic_train2017.json").exists()
    first = target / "annotations" / "panoptic_train2017" / "000000000009.png"
    before = first.stat().st_mtime_ns
    convert_coco(overlapping, target, **options)
    assert first.stat().st_mtime_ns == before
    listing = {path: path.stat().st_mtime_ns for path in target.rglob("*")}
    convert_coco(overlapping, target, **options)
    assert {path: path.stat().st_mtime_ns for path in target.rglob("*")} == listing
    with pytest.raises((ValueError, FileExistsError)):
        convert_coco(overlapping, target, nas_val=2, whole=False)


def test_things_of_the_instances_need_a_folder_and_masks(overlapping, tmp_path):
    with pytest.raises(ValueError, match="give a folder for them"):
        convert_coco(overlapping, nas_val=2, whole=False, things="instances")
    with pytest.raises(ValueError, match="things='boxes' is none of png, instances"):
        convert_coco(overlapping, tmp_path / "out", nas_val=2, whole=False, things="boxes")
    path = overlapping / "annotations" / "instances_train2017.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["segmentation"] = {"size": [4, 3], "counts": [8, 5]}
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"annotation 91 has an RLE whose counts do not add up to the 12 pixels"):
        convert_coco(overlapping, tmp_path / "out", nas_val=2, whole=False, things="instances")


def test_numbers_of_instances_and_classes_are_compared_with_the_release(release, monkeypatch):
    from autopanoptic.panoptic.data.converters import coco

    monkeypatch.setattr(coco, "RELEASE", {"train2017": 10, "val2017": 2})
    with pytest.raises(DatasetError, match="train2017 has 10 instances, where the release has 860,001"):
        convert_coco(release, nas_val=2)
    monkeypatch.setattr(coco, "INSTANCES", {"train2017": 10, "val2017": 2})
    with pytest.raises(DatasetError, match="things has 1 classes, where the release has 80"):
        convert_coco(release, nas_val=2)
