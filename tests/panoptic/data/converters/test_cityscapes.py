import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autopanoptic.panoptic.data.coco.checks import check
from autopanoptic.panoptic.data.coco.converted import MARKER
from autopanoptic.panoptic.data.coco.layout import find_splits
from autopanoptic.panoptic.data.coco.panoptic_png import read_ids
from autopanoptic.panoptic.data.converters.cityscapes import convert_cityscapes
from autopanoptic.panoptic.data.converters.cityscapes_labels import IGNORED, LABELS
from autopanoptic.panoptic.data.converters.writing import search_split
from autopanoptic.panoptic.data.converters.writing.dataset import Writing
from autopanoptic.panoptic.data.problems import DatasetError

EVALUATED = [label.id for label in LABELS]
CITIES = {"train": ("aachen", "bochum", "jena"), "val": ("ulm",)}


@pytest.fixture
def release(tmp_path, save, noise):
    """Three training images and one of val; road, a car, a group of cars, and a parking place, which is ignored."""
    values = np.full((6, 8), 7, np.uint16)
    values[0:2], values[2, :3], values[3, :4], values[4] = 26001, 26, 9, 24000
    for split, cities in CITIES.items():
        for city in cities:
            stem = f"{split}/{city}/{city}_000000_000001"
            save(tmp_path / "gtFine" / f"{stem}_gtFine_instanceIds.png", values)
            noise(tmp_path / "leftImg8bit" / f"{stem}_leftImg8bit.png", *values.shape)
    return tmp_path


def convert(release, target="out", **options):
    convert_cityscapes(release, release / target, whole=False, **options)
    return json.loads((release / target / "annotations" / "panoptic_val.json").read_text())


@pytest.mark.parametrize("train_ids", [False, True])
def test_the_real_sample_pixel_by_pixel(cityscapes_sample, tmp_path, save, semantics, train_ids):
    for split, cities in CITIES.items():
        for city in cities:
            for folder, kind in (("gtFine", "gtFine_instanceIds"), ("leftImg8bit", "leftImg8bit")):
                target = tmp_path / folder / split / city / f"{city}_000000_000294_{kind}.png"
                target.parent.mkdir(parents=True)
                shutil.copyfile(cityscapes_sample / f"frankfurt_000000_000294_{kind}.png", target)
    content = convert(tmp_path, train_ids=train_ids)

    source = np.asarray(Image.open(cityscapes_sample / "frankfurt_000000_000294_gtFine_instanceIds.png")).astype(int)
    labels = np.asarray(Image.open(cityscapes_sample / "frankfurt_000000_000294_gtFine_labelIds.png")).astype(int)
    png = tmp_path / "out" / "annotations" / "panoptic_val" / content["annotations"][0]["file_name"]
    assert set(np.unique(labels)) & IGNORED
    assert np.array_equal(read_ids(png), np.where(np.isin(labels, EVALUATED), source, 0))
    number = {label.id: label.train_id if train_ids else label.id for label in LABELS}
    expected = np.vectorize(lambda label: number.get(label, -1))(labels)
    assert np.array_equal(semantics(png, content["annotations"][0]), expected)
    assert sum(s["category_id"] == number[24] for s in content["annotations"][0]["segments_info"]) == 4

    datasets = find_splits(tmp_path / "out").open(0)
    check(datasets.val)
    image = np.asarray(Image.open(cityscapes_sample / "frankfurt_000000_000294_leftImg8bit.png"))
    assert np.array_equal(datasets.val.image(0), image)


def test_groups_are_crowds_and_other_labels_void(release):
    content = convert(release)
    segments = {
        s["id"]: (s["category_id"], s["area"], s["iscrowd"]) for s in content["annotations"][0]["segments_info"]
    }
    assert segments == {7: (7, 17, 0), 26: (26, 3, 1), 24000: (24, 8, 0), 26001: (26, 16, 0)}
    assert content["images"][0] == {
        "id": "ulm_000000_000001", "file_name": "ulm/ulm_000000_000001_leftImg8bit.png", "height": 6, "width": 8
    }  # fmt: skip
    assert [sum(c["isthing"] == kind for c in content["categories"]) for kind in (1, 0)] == [8, 11]


def test_the_search_split_is_the_one_that_would_be_drawn(release):
    convert(release, nas_val=1, seed=3)
    written = find_splits(release / "out").open(7)
    shutil.rmtree(release / "out" / "nas")
    drawn = find_splits(release / "out").open(3)
    for name in ("train", "nas_val", "val"):
        assert sorted(getattr(written, name).image_ids) == sorted(getattr(drawn, name).image_ids)
    assert len(written.nas_val) == 1


@pytest.mark.parametrize("train_ids", [False, True])
def test_what_the_converter_of_cityscapes_writes_gives_the_same(release, save, train_ids):
    expected = convert(release, "from_ids", train_ids=train_ids)
    for split in CITIES:  # as createPanopticImgs lays it out, with names of images that no file has
        name = f"cityscapes_panoptic_{split}{'_trainId' if train_ids else ''}"
        content = json.loads((release / "from_ids" / "annotations" / f"panoptic_{split}.json").read_text())
        for image in content["images"]:
            image["file_name"] = f"{image['id']}_gtFine_leftImg8bit.png"
        shutil.copytree(release / "from_ids" / "annotations" / f"panoptic_{split}", release / "gtFine" / name)
        (release / "gtFine" / f"{name}.json").write_text(json.dumps(content))
        shutil.rmtree(release / "gtFine" / split)
    assert convert(release, "from_pngs", train_ids=train_ids) == expected
    check(find_splits(release / "from_pngs").open(0).val)
    with pytest.raises((FileNotFoundError, ValueError), match=r"_trainId\.json|createPanopticImgs"):
        convert(release, "other", train_ids=not train_ids)


def spoil(entry, **values):
    def change(content):
        (content["annotations"][0] if entry is None else content["annotations"][0]["segments_info"][entry]).update(
            values
        )

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (spoil(None, file_name="../x.png"), "position 0 has the file_name '../x.png', not a plain name"),
        (spoil(None, file_name="/tmp/x.png"), "position 0 has the file_name '/tmp/x.png'"),
        (spoil(None, file_name="..\\x.png"), "position 0 has the file_name"),
        (spoil(None, file_name=None), "position 0 has the file_name None"),
        (spoil(None, image_id="a/../b_000000_000001"), "position 0 has the image_id 'a/../b_000000_000001'"),
        (spoil(None, image_id=".._000000_000001"), "position 0 has the image_id '.._000000_000001'"),
        (spoil(None, image_id="_000000_000001"), "position 0 has the image_id '_000000_000001'"),
        (spoil(None, image_id=7), "position 0 has the image_id 7"),
        (spoil(None, segments_info=None), "position 0 has the segments_info None, not a list"),
        (spoil(0, category_id="car"), "position 0 has a segment without integers id, category_id and iscrowd"),
        (lambda c: c["annotations"][0]["segments_info"][0].pop("iscrowd"), "position 0 has a segment without"),
        (lambda c: c["annotations"][0].pop("file_name"), "position 0 has the file_name None"),
        (lambda c: c["annotations"].append("x"), "position 1 is no object"),
        (lambda c: c["annotations"].append(c["annotations"][0]), "the file_name 'ulm_000000_000001_gtFine_panoptic"),
        (lambda c: c.pop("annotations"), "the key 'annotations' is missing or not a list"),
        (lambda c: c["categories"][0].pop("isthing"), "the category at position 0 lacks id, name or isthing"),
    ],
)
def test_a_panoptic_json_that_is_malformed_or_leads_elsewhere_is_refused(release, change, message):
    convert(release, "from_ids")
    for split in CITIES:
        source, target = (
            release / place for place in ("from_ids/annotations/panoptic_", "gtFine/cityscapes_panoptic_")
        )
        shutil.copytree(f"{source}{split}", f"{target}{split}")
        content = json.loads(Path(f"{source}{split}.json").read_text())
        if split == "val":
            change(content)
        Path(f"{target}{split}.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError) as error:
        convert(release, annotations="panoptic")
    assert message in str(error.value)
    assert not (release / "out").exists()
    Path(f"{release / 'gtFine' / 'cityscapes_panoptic_val'}.json").write_text("{")
    with pytest.raises(DatasetError, match="not valid JSON"):
        convert(release, annotations="panoptic")


def test_what_is_missing_is_named_before_anything_is_written(release):
    with pytest.raises(DatasetError, match="train has 3 images, where the release has 2,975"):
        convert_cityscapes(release, release / "out")
    shutil.rmtree(release / "leftImg8bit" / "val")
    with pytest.raises(FileNotFoundError, match=r"lacks .*leftImg8bit/val\. train lacks nothing: --split train"):
        convert(release)
    (release / "leftImg8bit" / "train" / "jena" / "jena_000000_000001_leftImg8bit.png").unlink()
    with pytest.raises(DatasetError, match=r"has no image .*jena_000000_000001_leftImg8bit\.png"):
        convert(release, split="train")
    assert not (release / "out").exists()


def test_bad_pngs_are_all_named_and_the_others_kept(release, save):
    truths = release / "gtFine" / "train"
    save(truths / "aachen" / "aachen_000000_000001_gtFine_instanceIds.png", np.full((6, 8), 77, np.uint16))
    damaged = truths / "jena" / "jena_000000_000001_gtFine_instanceIds.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    with pytest.raises(DatasetError, match="2 problems") as error:
        convert(release)
    assert "the labels [77], which Cityscapes does not have" in str(error.value)
    assert "jena_000000_000001_gtFine_instanceIds.png: cannot be decoded" in str(error.value)
    assert not list(release.glob("out/annotations/*.json"))
    assert len(list(release.glob("out/annotations/*/*.png"))) == 2


def test_copied_images_need_no_source(release):
    convert_cityscapes(release, release / "out", whole=False, writing=Writing(copy_images=True))
    shutil.rmtree(release / "leftImg8bit")
    check(find_splits(release / "out").open(0).train)


def test_interrupted_before_the_search_split_it_is_not_complete(release, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(search_split, "write_parts", interrupted)
        with pytest.raises(KeyboardInterrupt):
            convert(release, nas_val=1, seed=3)
    assert not json.loads((release / "out" / MARKER).read_text())["complete"]
    convert(release, nas_val=1, seed=3)
    assert len(find_splits(release / "out").open().nas_val) == 1
