import json
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

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


def test_semantic_pngs_of_the_real_images(coco_sample, tmp_path):
    """Both splits are the sample: the labels equal those that the reader gives."""
    root = tmp_path / "coco"
    content = json.loads((coco_sample / "panoptic_examples.json").read_text())
    for image in content["images"]:
        image["file_name"] = image["file_name"].replace(".png", ".jpg")
    (root / "annotations").mkdir(parents=True)
    for split in ("train2017", "val2017"):
        shutil.copytree(coco_sample / "panoptic_examples", root / "annotations" / f"panoptic_{split}")
        shutil.copytree(coco_sample / "input_images", root / split)
        (root / "annotations" / f"panoptic_{split}.json").write_text(json.dumps(content))
        things = [c for c in content["categories"] if c["isthing"]]
        instances = {"images": content["images"], "annotations": [], "categories": things}
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(instances))
    convert_coco(root, nas_val=1, whole=False, semantic_pngs=True)
    val = find_splits(root).open().val
    for index in range(2):
        path = root / "annotations" / "PanopticAnnotation" / "val2017" / val.annotations.png_files[index]
        found = np.asarray(Image.open(path))
        assert np.array_equal(found, val[index].truth.semantic.numpy())
        assert np.array_equal(found == 255, read_ids(val.png_path(index)) == 0)
        assert {0, 255} < set(np.unique(found).tolist()) <= {0, 255, *range(1, 54)}


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


def test_damaged_pngs_are_named(release):
    png = release / "annotations" / "panoptic_val2017" / "000000000139.png"
    png.write_bytes(png.read_bytes()[:40])
    with pytest.raises(DatasetError, match=r"000000000139\.png: cannot be decoded"):
        convert_coco(release, nas_val=2, whole=False, semantic_pngs=True)
    assert len(list((release / "annotations" / "PanopticAnnotation").rglob("*.png"))) == 11
