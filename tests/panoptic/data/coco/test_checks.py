import json
import pickle

import numpy as np
import pytest
from PIL import Image

from autopanoptic.panoptic.data.coco.annotations import read_annotations
from autopanoptic.panoptic.data.coco.checks import check
from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.data.problems import DatasetError, DatasetWarning

IDS = np.array([[1, 1, 2], [3, 3, 2]])


def filled(folder, count=1):
    for _ in range(count):
        folder.add(IDS, {1: 10, 2: 1, 3: 5})
    return folder


def test_a_good_set_passes_with_progress(folder):
    calls = []
    check(filled(folder, 3).open(), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_coco_sample_passes(coco_sample):
    name = "panoptic_examples"
    check(CocoPanoptic(coco_sample / "input_images", coco_sample / name, coco_sample / f"{name}.json"))


def test_limit_draws_by_seed_and_finds_what_it_draws(folder):
    dataset = filled(folder, 8).open()
    for i in range(8):
        dataset.image_path(i).write_bytes(b"")

    def found(seed):
        with pytest.raises(DatasetError) as caught:
            check(dataset, limit=3, seed=seed)
        return caught.value.problems

    assert len(found(0)) == 3
    assert found(0) == found(0)
    assert len({found(seed) for seed in range(5)}) > 1
    with pytest.raises(ValueError, match="limit=0"):
        check(dataset, limit=0)


def test_all_pixel_problems_come_in_one_error(folder):
    filled(folder, 4)
    folder.json["annotations"][0]["segments_info"][1]["area"] = 7
    folder.json["annotations"][1]["segments_info"][2]["id"] = 9
    folder.json["images"][2]["height"] = 3
    (folder.images / "4.png").write_bytes(b"no image")
    with pytest.raises(DatasetError) as caught:
        check(folder.open())
    expected = [
        f"{folder.pngs / '1.png'}: segment 2 has 2 pixels, but the JSON's area is 7",
        f"{folder.pngs / '2.png'}: the PNG holds id 3, which the JSON does not have",
        f"{folder.pngs / '2.png'}: the JSON has segment 9, which no pixel of the PNG holds",
        f"{folder.images / '3.png'}: is 3x2 pixels, but {folder.path} says 3x3",
        f"{folder.pngs / '3.png'}: is 3x2 pixels, but {folder.path} says 3x3",
    ]
    assert list(caught.value.problems[:5]) == expected
    assert caught.value.problems[5].startswith(f"{folder.images / '4.png'}: cannot be decoded")
    assert len(caught.value.problems) == 6
    assert f"{folder.path}: 6 problems" in str(caught.value)


def test_the_message_lists_ten_and_survives_worker_processes():
    error = DatasetError("x.json", [f"fault {i}" for i in range(12)])
    assert "fault 9" in str(error)
    assert "fault 10" not in str(error)
    assert "and 2 more" in str(error)
    assert pickle.loads(pickle.dumps(error)).problems == error.problems


def first_segment(content):
    return content["annotations"][0]["segments_info"][0]


def set_segment(**values):
    return lambda content: first_segment(content).update(values)


SPOILERS = [
    (lambda c: c["images"].append(c["images"][0]), "image 1 occurs more than once"),
    (lambda c: c["annotations"].append(c["annotations"][0]), "annotation of image 1 occurs more than once"),
    (lambda c: c["images"].pop(), r"annotation of image 2: there is no such image"),
    (lambda c: c["annotations"].pop(), r"image 2 \(2\.png\) has no annotation"),
    (lambda c: c["images"][0].pop("height"), "image at position 0 of its list lacks height"),
    (lambda c: c["images"][0].update(width=0), "image 1: width 0 is not a positive integer"),
    (
        lambda c: c["images"][0].update(width=2**63),
        "image 1: width 9223372036854775808 is not a positive integer of at",
    ),
    (lambda c: c["images"][0].update(id=1.0), "image 1.0: the id is neither an integer nor text"),
    (lambda c: c["images"][0].update(id=True), "image True: the id is neither an integer nor text"),
    (lambda c: c["images"][0].update(id=""), "image '': the id is neither an integer nor text"),
    (lambda c: c["images"][0].update(id=2**63), "image 9223372036854775808: the id does not fit into 64 bits"),
    (lambda c: c["images"][0].update(id="1"), r"image '1' \(1\.png\) has no annotation"),
    (lambda c: c["images"][0].update(id="a"), r"some image ids are integers \(2\), others text \('a'\)"),
    (lambda c: c["images"][0].update(file_name=3), "image 1: file_name 3 is not a string"),
    (lambda c: c["images"][1].update(file_name="1.png"), "image file '1.png' is used by more than one image"),
    (lambda c: c["annotations"][1].update(file_name="1.png"), "PNG file '1.png' is used by more"),
    (lambda c: c["annotations"][0].pop("segments_info"), "position 0 of its list lacks segments_info"),
    (lambda c: c["annotations"][0].update(segments_info=[3]), "segments_info is not a list of objects"),
    (lambda c: c["images"].insert(0, None), "image at position 0 of its list lacks id, file_name"),
    (lambda c: c["categories"].append(c["categories"][0]), r"category ids occur more than once: \[10\]"),
    (lambda c: c["categories"].insert(0, 4), "category 4 is not an object"),
    (lambda c: first_segment(c).pop("area"), "image 1, segment 1: lacks area"),
    (set_segment(id=2), "image 1: segment 2 occurs more than once"),
    (set_segment(id=0), r"segment 0: the id is not an integer in 1\.\.16777215"),
    (set_segment(id=256**3), r"the id is not an integer in 1\.\.16777215"),
    (set_segment(id=[1]), "the id is not an integer"),
    (set_segment(category_id=99), "image 1, segment 1: unknown category 99"),
    (set_segment(category_id={}), "unknown category {}"),
    (set_segment(area=-1), "area -1 is not a positive whole number"),
    (set_segment(area=1e30), r"area 1e\+30 is not a positive whole number"),
    (set_segment(area=1.5), "area 1.5 is not a positive whole number"),
    (set_segment(area=float("nan")), "area nan is not a positive whole number"),
    (set_segment(iscrowd=2), "iscrowd 2 is neither 0 nor 1"),
    (set_segment(iscrowd="1"), "iscrowd '1' is neither 0 nor 1"),
    (set_segment(iscrowd=None), "iscrowd None is neither 0 nor 1"),
    (lambda c: c.update(images=[], annotations=[]), "there are no images"),
    (lambda c: c.pop("images"), "the key 'images' is missing or not a list"),
    (lambda c: c.update(annotations={}), "the key 'annotations' is missing or not a list"),
]


@pytest.mark.parametrize(("spoil", "message"), SPOILERS, ids=[message for _, message in SPOILERS])
def test_faults_of_the_json(folder, spoil, message):
    filled(folder, 2)
    spoil(folder.json)
    with pytest.raises(DatasetError, match=message):
        folder.open()


def test_whole_floats_and_absent_iscrowd_are_accepted(folder):
    filled(folder)
    first_segment(folder.json).update(area=2.0)
    first_segment(folder.json).pop("iscrowd")
    segment = folder.open().truth(0).segments[0]
    assert segment.area == 2
    assert segment.iscrowd is False


def test_faults_of_several_kinds_are_collected(folder):
    filled(folder, 2)
    folder.json["annotations"].pop()
    first_segment(folder.json).update(category_id=99)
    folder.json["categories"][0]["isthing"] = 7
    with pytest.raises(DatasetError, match="2 problems"):
        folder.open()  # without readable categories, none is called unknown


@pytest.mark.parametrize(
    ("text", "message"), [("{", "not valid JSON"), ("[]", "is an object, not a list"), ("\xff", "not valid")]
)
def test_other_files_are_refused(tmp_path, text, message):
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DatasetError, match=message):
        read_annotations(path)


def test_missing_json(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such annotation file"):
        read_annotations(tmp_path / "a.json")


def test_annotations_take_matches_segments(folder):
    for count in (2, 0, 3):
        folder.add(np.arange(6).reshape(2, 3) % (count + 1), dict.fromkeys(range(1, count + 1), 5))
    folder.path.write_text(json.dumps(folder.json))
    annotations = read_annotations(folder.path)
    for indices in ([], [1], [2, 0], [0, 1, 2], [2, 2]):
        part = annotations.take(indices)
        assert [part.segments(k) for k in range(len(part))] == [annotations.segments(i) for i in indices]


def turn(path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(path) as image:
        image.load()
    image.save(path, exif=exif)


def test_images_that_are_turned_are_named_in_a_warning(folder):
    dataset = filled(folder, 4).open()
    turn(dataset.image_path(1), 3)
    turn(dataset.image_path(3), 9)
    with pytest.warns(
        DatasetWarning, match=r"2 remarks\n.*2\.png: its EXIF orientation is 3, and it is turned"
    ) as found:
        check(dataset)
    (warning,) = found
    assert [remark.split(": ")[0] for remark in warning.message.remarks] == [
        str(dataset.image_path(1)),
        str(dataset.image_path(3)),
    ]
    assert pickle.loads(pickle.dumps(warning.message)).remarks == warning.message.remarks


def test_the_warning_comes_beside_an_error(folder):
    dataset = filled(folder, 2).open()
    turn(dataset.image_path(0), 6)  # 3x2 pixels become 2x3
    with pytest.warns(DatasetWarning, match="1 remark"), pytest.raises(DatasetError, match="orientation='ignore'"):
        check(dataset)
    folder.orientation = "ignore"
    with pytest.warns(DatasetWarning, match="is read as it is stored; if its PNG is not, .*'apply'"):
        check(folder.open())
