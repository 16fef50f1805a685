import json
import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from autopanoptic.panoptic.cli import app
from autopanoptic.panoptic.data.coco.checks import check
from autopanoptic.panoptic.data.coco.layout import find_split, find_splits
from autopanoptic.panoptic.data.coco.panoptic_png import read_ids
from autopanoptic.panoptic.data.converters.ade20k import convert_ade20k
from autopanoptic.panoptic.data.converters.ade20k_classes import CLASSES, OF_NUMBER, THINGS, categories
from autopanoptic.panoptic.data.problems import DatasetError

IMAGES = {"training": ("ADE_train_00016869", "ADE_train_00016900"), "validation": ("ADE_train_00016964",)}
CAR, WALL, PERSON = 20, 0, 12


def test_the_classes():
    assert (len(categories().things), len(categories().stuff), len({c.name for c in CLASSES})) == (100, 50, 150)
    assert len(OF_NUMBER) == sum(len(c.numbers) for c in CLASSES), "no number is of two classes"
    assert [CLASSES[THINGS[k - 1]].name for k in (1, 4, 9, 50, 100)] == ["bed", "person", "car", "bus", "flag"]


def test_the_numbers_are_those_of_the_names_in_the_real_sample(ade20k_sample):
    names = {}
    for path in ade20k_sample.glob("*.json"):
        names |= {o["name_ndx"]: o["name"] for o in json.loads(path.read_text())["annotation"]["object"]}
    known = names.keys() & OF_NUMBER.keys()
    assert len(known) > 20
    for number in known:
        assert CLASSES[OF_NUMBER[number]].name in names[number], number


def test_the_real_sample_pixel_by_pixel(ade20k_sample, tmp_path, semantics):
    for split, stems in IMAGES.items():
        for stem in stems:
            place = tmp_path / "images" / "ADE" / split / "urban" / "street"
            place.mkdir(parents=True, exist_ok=True)
            for end in (".jpg", "_seg.png"):
                shutil.copyfile(ade20k_sample / f"{stem}{end}", place / f"{stem}{end}")
    convert_ade20k(tmp_path, tmp_path / "out", whole=False, nas_val=1)
    for split, stems in (("train", IMAGES["training"]), ("val", IMAGES["validation"])):
        content = json.loads((tmp_path / "out" / "annotations" / f"panoptic_{split}.json").read_text())
        for entry, stem in zip(content["annotations"], stems, strict=True):
            png = tmp_path / "out" / "annotations" / f"panoptic_{split}" / entry["file_name"]
            red, green, blue = np.moveaxis(np.asarray(Image.open(ade20k_sample / f"{stem}_seg.png")).astype(int), 2, 0)
            numbers = red // 10 * 256 + green
            table = np.full(4096, -1)
            table[list(OF_NUMBER)] = list(OF_NUMBER.values())
            assert entry["image_id"] == stem
            assert np.array_equal(semantics(png, entry), table[numbers])
            # Objects, too, are those of the source, but for stuff, of which a class is one segment.
            ids, of_thing = read_ids(png).astype(int), np.isin(table[numbers], THINGS)
            pairs = np.unique(ids[of_thing] * 256 + blue[of_thing])
            assert len(set(pairs // 256)) == len(set(pairs % 256)) == len(pairs) > 5
    datasets = find_splits(tmp_path / "out").open(0)
    check(datasets.val)
    assert (len(datasets.train), len(datasets.nas_val)) == (1, 1)


@pytest.fixture
def challenge(tmp_path, save, noise):
    """Two images of each split: wall, a person and a car, of which a part has no instance, and another class."""
    semantic = np.full((8, 10), WALL + 1, np.uint8)
    semantic[0:3], semantic[3:6, :5], semantic[7] = PERSON + 1, CAR + 1, 0
    instances = np.zeros((8, 10, 3), np.uint8)
    instances[0:3, :5], instances[0:2, 5:], instances[3:7, :4] = (4, 1, 0), (4, 2, 0), (9, 3, 0)
    for split, name in (("training", "train"), ("validation", "val")):
        for i in (1, 2):
            stem = f"{split}/ADE_{name}_0000000{i}"
            noise(tmp_path / "images" / f"{stem}.jpg", 8, 10)
            save(tmp_path / "annotations" / f"{stem}.png", semantic)
            save(tmp_path / "annotations_instance" / f"{stem}.png", instances)
    return tmp_path


def test_the_challenges_release(challenge, semantics):
    assert convert_ade20k(challenge, challenge / "out", whole=False) == ()
    content = json.loads((challenge / "out" / "annotations" / "panoptic_val.json").read_text())
    entry = content["annotations"][0]
    found = semantics(challenge / "out" / "annotations" / "panoptic_val" / entry["file_name"], entry)
    expected = np.full((8, 10), WALL)
    expected[7], expected[0:3], expected[3:6, :5] = -1, -1, -1
    expected[0:3, :5] = expected[0:2, 5:] = PERSON
    expected[3:7, :4] = CAR
    assert np.array_equal(found, expected)
    assert sorted(s["category_id"] for s in entry["segments_info"]) == [WALL, PERSON, PERSON, CAR]
    check(find_splits(challenge / "out").open(0).val)


def test_images_are_read_as_they_are_stored(challenge):
    """The release's PNGs are of the images as stored, whatever way their EXIF turns them."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for split in ("training", "validation"):
        for path in (challenge / "images" / split).glob("*.jpg"):
            Image.open(path).save(path, exif=exif)
    out = challenge / "out"
    command = ["prepare", "ade20k", str(challenge), "--out", str(out), "--part", "--workers", "1"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert f"run --data {out}\n" in result.output
    with pytest.warns(UserWarning, match="EXIF orientation is 6"):
        check(find_splits(out).open(0).val)  # the folder says how its images are read
    assert find_split(out, "val").open().orientation == "ignore"
    assert find_split(out, "val").open("apply").orientation == "apply"


def test_what_is_wrong_is_named(challenge, save, tmp_path):
    with pytest.raises(DatasetError, match="train has 2 images, where the release has 20,210"):
        convert_ade20k(challenge, challenge / "out")
    pngs = challenge / "annotations" / "training"
    save(pngs / "ADE_train_00000001.png", np.full((8, 10), 151, np.uint8))
    save(pngs / "ADE_train_00000002.png", np.full((8, 11), 1, np.uint8))
    bad = np.zeros((8, 10, 3), np.uint8)
    bad[0, 0] = (101, 1, 0)
    save(challenge / "annotations_instance" / "validation" / "ADE_val_00000001.png", bad)
    save(challenge / "annotations_instance" / "validation" / "ADE_val_00000002.png", bad[:, :, 0])
    with pytest.raises(DatasetError) as error:
        convert_ade20k(challenge, challenge / "out", whole=False)
    for message in (
        "holds 151 as a class, but there are 150",
        "has height and width (8, 11), but",
        "holds 101 as a class of a thing, but there are 100",
        "where RGB of 8 bits is distributed",
    ):
        assert message in str(error.value)
    (pngs / "ADE_train_00000002.png").unlink()
    with pytest.raises(DatasetError, match="has no semantic PNG"):
        convert_ade20k(challenge, challenge / "other", whole=False)
    with pytest.raises(FileNotFoundError, match="neither images/, annotations/ and annotations_instance/"):
        convert_ade20k(pngs, challenge / "other")
