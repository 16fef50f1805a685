import contextlib
import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from autopanoptic.panoptic.data.categories import Categories, Category
from autopanoptic.panoptic.data.coco.annotations import read_annotations
from autopanoptic.panoptic.data.coco.panoptic_png import read_ids
from autopanoptic.panoptic.data.segments import PanopticMap, Segment
from autopanoptic.panoptic.quality.folders import evaluate_folders
from autopanoptic.panoptic.quality.metric import PanopticQuality
from autopanoptic.panoptic.results.export import PanopticWriter

SAMPLE = Path(__file__).resolve().parents[4] / "shared" / "data" / "panoptic" / "coco_sample"
CATEGORIES = Categories([Category(i, f"category {i}", i < 3, (i, 0, 0)) for i in (1, 2, 7)])


def a_map(rng, ids=(1, 300, 70000)):
    pixels = rng.choice([0, *ids], (12, 20)).astype(np.uint32)
    pixels[2:5, 3:9] = ids[0]
    segments = [Segment(i, category, -1, score=0.75) for i, category in zip(ids, (1, 2, 7), strict=True)]
    return PanopticMap(pixels, tuple(segments))


def shifted(panoptic, by):
    return PanopticMap(np.roll(panoptic.ids, by, 1), panoptic.segments)


@pytest.fixture
def folders(tmp_path):
    """Six images' truths and predictions, on disk."""
    rng = np.random.default_rng(0)
    maps = [a_map(rng) for _ in range(6)]
    for name, by in (("truth", 0), ("prediction", 1)):
        with PanopticWriter(tmp_path / f"{name}.json", tmp_path / name, CATEGORIES) as writer:
            for image, panoptic in enumerate(maps):
                writer.add(image, f"{image:012d}.jpg", shifted(panoptic, by))
    return tmp_path


def arguments(folder):
    return [folder / name for name in ("truth.json", "truth", "prediction.json", "prediction")]


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_maps_survive_the_round_trip(folders):
    annotations = read_annotations(folders / "truth.json")
    assert annotations.categories == CATEGORIES
    rng = np.random.default_rng(0)
    for image in range(6):
        expected = a_map(rng)
        ids = read_ids(folders / "truth" / annotations.png_files[image])
        np.testing.assert_array_equal(ids, expected.ids)
        for written, segment in zip(annotations.segments(image), expected.segments, strict=True):
            assert (written.id, written.category_id) == (segment.id, segment.category_id)
            assert written.area == (ids == segment.id).sum()


def test_json_holds_boxes_scores_and_sizes(tmp_path):
    pixels = np.zeros((5, 8), np.int32)
    pixels[1:3, 2:7] = 65537
    segments = (Segment(65537, 2, 0, iscrowd=True, score=0.5),)
    with PanopticWriter(tmp_path / "deep" / "a.json", tmp_path / "pngs", CATEGORIES) as writer:
        writer.add(9, "city/a.b.jpg", PanopticMap(pixels, segments))
    content = json.loads((tmp_path / "deep" / "a.json").read_text())
    assert content["images"] == [{"id": 9, "file_name": "city/a.b.jpg", "height": 5, "width": 8}]
    (annotation,) = content["annotations"]
    assert annotation["file_name"] == "city/a.b.png"
    assert annotation["segments_info"] == [
        {"id": 65537, "category_id": 2, "area": 10, "bbox": [2, 1, 5, 2], "iscrowd": 1, "score": 0.5}
    ]
    with Image.open(tmp_path / "pngs" / "city" / "a.b.png") as png:
        assert png.getpixel((2, 1)) == (1, 0, 1)


def test_no_json_of_a_part(tmp_path):
    panoptic = a_map(np.random.default_rng(0))

    def write_twice():
        with PanopticWriter(tmp_path / "a.json", tmp_path, CATEGORIES) as writer:
            writer.add(1, "a.jpg", panoptic)
            writer.add(2, "a.jpg", panoptic)

    with pytest.raises(ValueError, match="was written before"):
        write_twice()
    assert not (tmp_path / "a.json").exists()


@pytest.mark.parametrize(
    ("file", "pixels", "segments", "message"),
    [
        ("../a.jpg", [[1]], (Segment(1, 1, 1),), "without '..'"),
        ("/a.jpg", [[1]], (Segment(1, 1, 1),), "must be relative"),
        ("a.jpg", [[1, 2]], (Segment(1, 1, 1),), "pixels of id 2 but no such segment"),
        ("a.jpg", [[0]], (Segment(1, 1, 1),), "segment 1 has no pixels"),
        ("a.jpg", [[1]], (Segment(1, 5, 1),), "unknown category id 5"),
        ("a.jpg", [[2**24]], (), "pixels of id 16777216"),
    ],
)
def test_maps_that_no_reader_would_take_are_refused(tmp_path, file, pixels, segments, message):
    writer = PanopticWriter(tmp_path / "a.json", tmp_path / "pngs", CATEGORIES)
    with pytest.raises(ValueError, match=message):
        writer.add(1, file, PanopticMap(np.array(pixels), segments))
    assert not (tmp_path / "pngs").exists()


def test_an_older_file_does_not_stay_beside_newer_pictures(tmp_path):
    found = PanopticMap(np.array([[1]]), (Segment(1, 1, 1),))
    with PanopticWriter(tmp_path / "a.json", tmp_path / "pngs", CATEGORIES) as writer:
        writer.add(1, "a.jpg", found)
    assert (tmp_path / "a.json").exists()
    PanopticWriter(tmp_path / "a.json", tmp_path / "pngs", CATEGORIES).add(1, "a.jpg", found)  # and no more
    assert not (tmp_path / "a.json").exists()


@pytest.mark.parametrize("workers", [1, 4])
def test_folders_give_what_maps_in_memory_give(folders, workers):
    quality = PanopticQuality(CATEGORIES, check_truth=False)
    rng = np.random.default_rng(0)
    for panoptic in [a_map(rng) for _ in range(6)]:
        areas = [Segment(s.id, s.category_id, (panoptic.ids == s.id).sum()) for s in panoptic.segments]
        quality.update(PanopticMap(panoptic.ids, tuple(areas)), shifted(panoptic, 1))
    expected = quality.compute()
    report = evaluate_folders(*arguments(folders), workers=workers)
    assert report.metrics() == pytest.approx(expected.metrics(), rel=1e-12)
    assert [q.fp for q in report.per_category.values()] == [q.fp for q in expected.per_category.values()]
    assert report.all.n == 3
    np.testing.assert_array_equal(report.images.values, expected.images.values)


def by_panopticapi(truth_json, truth_pngs, prediction_json, prediction_pngs):
    """The real command's function; only its processes are replaced by one call in this one."""
    evaluation = pytest.importorskip("panopticapi.evaluation")
    one_core = mock.patch.object(
        evaluation,
        "pq_compute_multi_core",
        lambda *arguments: evaluation.pq_compute_single_core(0, *arguments),
    )
    with one_core, contextlib.redirect_stdout(io.StringIO()):
        return evaluation.pq_compute(*map(str, (truth_json, prediction_json, truth_pngs, prediction_pngs)))


def assert_same_figures(report, expected):
    for mean, name in ((report.all, "All"), (report.things, "Things"), (report.stuff, "Stuff")):
        assert mean.n == expected[name]["n"]
        for figure in ("pq", "sq", "rq"):
            assert getattr(mean, figure) == pytest.approx(expected[name][figure], rel=1e-12, abs=1e-12)


def test_equals_panopticapi_on_disk(folders):
    assert_same_figures(evaluate_folders(*arguments(folders)), by_panopticapi(*arguments(folders)))


def test_equals_panopticapi_on_the_coco_sample(tmp_path):
    if not SAMPLE.is_dir():
        pytest.skip(f"the COCO sample is not at {SAMPLE}")
    truth_json, truth_pngs = SAMPLE / "panoptic_examples.json", SAMPLE / "panoptic_examples"
    shutil.copytree(truth_pngs, tmp_path / "pngs", copy_function=shutil.copyfile)
    for path in (tmp_path / "pngs").iterdir():
        with Image.open(path) as png:
            moved = np.roll(np.array(png), 9, 1)
        Image.fromarray(moved).save(path)
    bare = json.loads(truth_json.read_text())
    for annotation in bare["annotations"]:
        annotation["segments_info"] = [
            {"id": entry["id"], "category_id": entry["category_id"]} for entry in annotation["segments_info"]
        ]
    (tmp_path / "predictions.json").write_text(json.dumps(bare))
    files = truth_json, truth_pngs, tmp_path / "predictions.json", tmp_path / "pngs"
    report = evaluate_folders(*files)
    assert_same_figures(report, by_panopticapi(*files))
    assert 20 < report.metrics()["pq"] < 99


def without_last(content):
    content["annotations"].pop()


def twice(content):
    content["annotations"].append(content["annotations"][0])


def without_area(content):
    del content["annotations"][2]["segments_info"][1]["area"]


def with_wrong_area(content):
    content["annotations"][2]["segments_info"][1]["area"] += 1


def with_text_as_id(content):
    content["annotations"][2]["segments_info"][1]["id"] = "300"


def with_other_id(content):
    content["annotations"][2]["segments_info"][1]["id"] = 301


def without_annotations(content):
    del content["annotations"]


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("prediction", without_last, r"prediction.json: no prediction for 1 of 6 images, as 5"),
        ("prediction", twice, r"prediction.json: image 0 is annotated more than once"),
        ("truth", twice, r"truth.json: image 0 is annotated more than once"),
        ("truth", without_area, r"image 2: segment .* lacks area"),
        ("truth", with_wrong_area, r"image 2: the truth's segment 300 states an area"),
        ("truth", with_text_as_id, r"image 2: .*must be integers"),
        ("prediction", with_other_id, r"image 2: the prediction has pixels of id 300"),
        ("prediction", without_annotations, r"prediction.json: the key 'annotations' is missing"),
    ],
)
def test_wrong_files_are_refused(folders, file, change, message):
    edit(folders / f"{file}.json", change)
    with pytest.raises(ValueError, match=message):
        evaluate_folders(*arguments(folders))


def test_a_wrong_area_is_taken_like_panopticapi_takes_it(folders):
    edit(folders / "truth.json", with_wrong_area)
    report = evaluate_folders(*arguments(folders), check_truth=False)
    assert_same_figures(report, by_panopticapi(*arguments(folders)))


def test_predictions_need_no_area(folders):
    expected = evaluate_folders(*arguments(folders))
    edit(folders / "prediction.json", without_area)
    assert evaluate_folders(*arguments(folders)) == expected


def test_missing_and_damaged_files_are_named(folders):
    (folders / "prediction" / "000000000003.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"image 3: .*000000000003.png"):
        evaluate_folders(*arguments(folders))
    (folders / "prediction" / "000000000003.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"000000000003.png"):
        evaluate_folders(*arguments(folders))
    (folders / "truth.json").write_text("{")
    with pytest.raises(ValueError, match=r"truth.json: not valid JSON"):
        evaluate_folders(*arguments(folders))
    (folders / "truth.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"truth.json"):
        evaluate_folders(*arguments(folders))


@pytest.mark.parametrize(
    "image_id",
    [7, np.int64(7), np.uint8(7), np.array([5, 7])[1], torch.tensor(7), torch.tensor([5, 7])[1], np.array(7)],
    ids=lambda value: type(value).__name__,
)
def test_ids_of_numpy_and_torch_are_written(tmp_path, image_id):
    panoptic = a_map(np.random.default_rng(0))
    with PanopticWriter(tmp_path / "a.json", tmp_path / "a", CATEGORIES) as writer:
        writer.add(image_id, "a.jpg", panoptic)
        with pytest.raises(ValueError, match=r"image 7 .* was written before"):
            writer.add(7, "b.jpg", panoptic)
    assert read_annotations(tmp_path / "a.json").image_ids.tolist() == [7]


@pytest.mark.parametrize("image_id", ["frankfurt_000000_000294", np.str_("a/b"), np.array(["x", "y"])[0], "7"])
def test_text_ids_are_written_read_and_measured(tmp_path, image_id):
    panoptic = a_map(np.random.default_rng(0))
    for name in ("truth", "prediction"):
        with PanopticWriter(tmp_path / f"{name}.json", tmp_path / name, CATEGORIES) as writer:
            writer.add(image_id, "a.jpg", panoptic)
    assert read_annotations(tmp_path / "truth.json").image_ids.tolist() == [str(image_id)]
    assert evaluate_folders(*arguments(tmp_path)).all.pq == 1


@pytest.mark.parametrize("image_id", [None, 1.0, True, "", b"a", np.float32(1), np.array([1, 2]), torch.tensor(1.5),
                                      np.bool_(True), torch.tensor(True)])  # fmt: skip
def test_what_is_no_id_is_refused_at_once(tmp_path, image_id):
    writer = PanopticWriter(tmp_path / "a.json", tmp_path / "a", CATEGORIES)
    with pytest.raises(ValueError, match=r"image id .* is neither an integer nor text"):
        writer.add(image_id, "a.jpg", a_map(np.random.default_rng(0)))
    assert not (tmp_path / "a").exists()


def test_segments_and_categories_of_numpy_are_written(tmp_path):
    segment = Segment(np.uint32(7), np.int64(2), np.float64(1), np.bool_(True), np.float32(0.5))
    categories = Categories([Category(np.int64(2), "a", np.bool_(True), tuple(np.uint8([1, 2, 3])))])
    with PanopticWriter(tmp_path / "a.json", tmp_path / "a", categories) as writer:
        writer.add(1, "a.jpg", PanopticMap(np.array([[7, 0]]), (segment,)))
    read = read_annotations(tmp_path / "a.json")
    assert read.segments(0) == (Segment(7, 2, 1, True),)
    assert read.categories == categories


def test_segments_of_tensors_are_written(tmp_path):
    segment = Segment(torch.tensor(7), torch.tensor(1), 1, score=torch.tensor(0.5))
    with PanopticWriter(tmp_path / "a.json", tmp_path / "a", CATEGORIES) as writer:
        writer.add(1, "a.jpg", PanopticMap(torch.tensor([[7, 0]]), (segment,)))
    assert read_annotations(tmp_path / "a.json").segments(0) == (Segment(7, 1, 1),)


@pytest.mark.parametrize("value", [7.0, "7", torch.tensor(7.0)])
def test_segments_without_integers_are_refused_by_name(tmp_path, value):
    writer = PanopticWriter(tmp_path / "a.json", tmp_path / "a", CATEGORIES)
    for segment in (Segment(7, value, 1), Segment(value, 1, 1)) if value != "7" else (Segment(7, value, 1),):
        with pytest.raises(ValueError, match="id and category_id must be integers"):
            writer.add(1, "a.jpg", PanopticMap(np.array([[7, 0]]), (segment,)))


def test_a_score_that_is_no_json_costs_no_other_image(tmp_path):
    panoptic = a_map(np.random.default_rng(0))
    spoiled = PanopticMap(panoptic.ids, tuple(replace(s, score=float("nan")) for s in panoptic.segments))
    with PanopticWriter(tmp_path / "a.json", tmp_path / "a", CATEGORIES) as writer:
        writer.add(1, "a.jpg", panoptic)
        with pytest.raises(ValueError, match=r"image 2 \(b\.jpg\): the JSON cannot hold it"):
            writer.add(2, "b.jpg", spoiled)
    assert len(read_annotations(tmp_path / "a.json")) == 1
    assert not (tmp_path / "a" / "b.png").exists()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([f"{s}{e}" for s in "xXy" for e in ("", ".jpg", ".png", ".png.png", ".jpg.png")]),
                min_size=1, unique=True))  # fmt: skip
def test_images_of_one_stem_keep_their_own_pngs(tmp_path_factory, names):
    root = tmp_path_factory.mktemp("stems")
    with PanopticWriter(root / "a.json", root / "a", CATEGORIES) as writer:
        for number, name in enumerate(names, start=1):
            writer.add(number, f"deep/{name}", PanopticMap(np.full((2, 3), number), (Segment(number, 1, 6),)))
    annotations = read_annotations(root / "a.json")
    assert annotations.image_files == tuple(f"deep/{name}" for name in names)
    assert len({png.casefold() for png in annotations.png_files}) == len(names)
    for number, png in enumerate(annotations.png_files, start=1):
        assert (read_ids(root / "a" / png) == number).all()


@pytest.mark.parametrize("file", ["truth", "prediction"])
@pytest.mark.parametrize("value", ["1", 2, None, -1, [1], 0.5])
def test_crowds_that_are_neither_0_nor_1_are_refused(folders, file, value):
    edit(folders / f"{file}.json", lambda content: content["annotations"][2]["segments_info"][1].update(iscrowd=value))
    with pytest.raises(ValueError, match=rf"image 2: segment 300: iscrowd {re.escape(repr(value))} is neither 0 nor 1"):
        evaluate_folders(*arguments(folders))


@pytest.mark.parametrize("image_id", [None, 1.5, [1], True])
def test_image_ids_of_other_kinds_are_refused(folders, image_id):
    edit(folders / "prediction.json", lambda content: content["annotations"][2].update(image_id=image_id))
    with pytest.raises(
        ValueError, match=rf"prediction\.json: annotation 2: image_id {re.escape(repr(image_id))} is no"
    ):
        evaluate_folders(*arguments(folders))
