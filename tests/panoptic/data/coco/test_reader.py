import json
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader

from autopanoptic.panoptic.data.coco.checks import check
from autopanoptic.panoptic.data.coco.reader import CocoPanoptic, compact_ids
from autopanoptic.panoptic.data.label_map import extents_of
from autopanoptic.panoptic.data.loading.batches import evaluation_batches, training_batches
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.data.problems import DatasetError
from autopanoptic.panoptic.data.segments import rgb_to_id
from autopanoptic.panoptic.quality.folders import evaluate_folders
from autopanoptic.panoptic.quality.metric import PanopticQuality
from autopanoptic.panoptic.results.export import PanopticWriter
from autopanoptic.panoptic.results.overlay import overlay

LARGE = 70_000  # an id that needs three bytes

IDS = np.array(
    [
        [1, 1, 1, 1, 1],
        [1, LARGE, LARGE, 0, 3],
        [2, LARGE, 2, 2, 3],
        [2, 2, 2, 2, 4],
    ]
)


def test_sample_of_a_small_image(folder):
    dataset = folder.add(IDS, {1: 10, LARGE: 5, 2: 12, 3: 1, 4: 1}, crowds={4}).open()
    sample = dataset[0]
    assert sample.image.shape == (3, 4, 5)
    assert sample.image.dtype == torch.uint8
    assert torch.equal(sample.image.permute(1, 2, 0), torch.from_numpy(dataset.image(0)))
    truth = sample.truth
    assert truth.numbers.dtype == truth.semantic_labels.dtype == torch.uint8
    assert truth.labels.tolist() == [2, 1]
    assert torch.equal(truth.masks, torch.from_numpy(np.stack([IDS == LARGE, IDS == 3])))
    assert truth.boxes.tolist() == [[1, 1, 3, 3], [4, 1, 5, 3]]
    assert truth.boxes.dtype == torch.float32
    expected = np.select([IDS == 1, IDS == 2, IDS == 0], [1, 2, 255], 0)
    assert torch.equal(truth.semantic, torch.from_numpy(expected.astype(np.uint8)))
    assert sample.image_id == 1


@pytest.mark.parametrize(
    ("ids", "categories", "crowds", "semantic"),
    [
        (np.ones((3, 4)), {1: 10}, (), {1}),  # no things
        (np.ones((3, 4)), {1: 1}, {1}, {0}),  # a crowd only
        (np.zeros((3, 4)), {}, (), {255}),  # all void
    ],
)
def test_images_without_instances(folder, ids, categories, crowds, semantic):
    truth = folder.add(ids.astype(int), categories, crowds).open()[0].truth
    assert truth.masks.shape == (0, 3, 4)
    assert truth.boxes.shape == (0, 4)
    assert truth.labels.shape == (0,)
    assert set(truth.semantic.unique().tolist()) == semantic


def test_one_pixel_instance(folder):
    ids = np.zeros((3, 4), dtype=int)
    ids[2, 3] = 9
    truth = folder.add(ids, {9: 5}).open()[0].truth
    assert truth.boxes.tolist() == [[3, 2, 4, 3]]
    assert truth.masks.sum() == 1


def test_truth_keeps_ids_crowds_and_the_areas_of_the_json(folder):
    folder.add(IDS, {1: 10, LARGE: 5, 2: 12, 3: 1, 4: 1}, crowds={4})
    folder.json["annotations"][0]["segments_info"][0]["area"] = 999
    truth = folder.open().truth(0)
    assert np.array_equal(truth.ids, IDS)
    assert [(s.id, s.category_id, s.area, s.iscrowd) for s in truth.segments] == [
        (1, 10, 999, False),
        (LARGE, 5, 3, False),
        (2, 12, 7, False),
        (3, 1, 2, False),
        (4, 1, 1, True),
    ]


def test_subset_and_pickle_read_the_same_samples(folder):
    for count in (3, 0, 2, 4):
        ids = np.arange(20).reshape(4, 5) % (count + 1)
        folder.add(ids, dict.fromkeys(range(1, count + 1), 1))
    dataset = folder.open()
    part = dataset.subset([3, 1, 0])
    assert part.image_ids.tolist() == [4, 2, 1]
    for new, old in enumerate([3, 1, 0]):
        assert part.truth(new).segments == dataset.truth(old).segments
        assert torch.equal(part[new].truth.masks, dataset[old].truth.masks)
    copied = pickle.loads(pickle.dumps(part))
    assert torch.equal(copied[0].image, part[0].image)
    assert len(dataset.subset([])) == 0


def test_works_in_worker_processes(folder):
    dataset = folder.add(IDS, {1: 10, LARGE: 5, 2: 12, 3: 1, 4: 1}).add(np.ones((2, 2), int), {1: 1}).open()
    loader = DataLoader(dataset, batch_size=None, num_workers=1)
    assert [sample.image_id for sample in loader] == [1, 2]


def test_grey_images_become_rgb(folder):
    dataset = folder.add(IDS, {1: 10, LARGE: 5, 2: 12, 3: 1, 4: 1}).open()
    grey = np.arange(20, dtype=np.uint8).reshape(4, 5)
    Image.fromarray(grey).save(dataset.image_path(0))
    assert np.array_equal(dataset.image(0), np.repeat(grey[:, :, None], 3, axis=2))


@pytest.mark.parametrize("index", [-1, 1])
def test_index_out_of_range(folder, index):
    dataset = folder.add(np.ones((2, 2), int), {1: 1}).open()
    with pytest.raises(IndexError, match=f"index {index} is outside 0..0"):
        dataset[index]


def opened(folder):
    return folder.add(np.arange(4096).reshape(64, 64) % 7 + 1, dict.fromkeys(range(1, 8), 1)).open()


@pytest.mark.parametrize("which", ["images", "pngs"])
@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty"])
def test_damaged_files_are_named(folder, which, damage):
    dataset = opened(folder)
    path = getattr(folder, which) / "1.png"
    content = path.read_bytes()
    path.write_bytes({"truncated": content[: len(content) // 2], "garbage": b"\x00" * 99, "empty": b""}[damage])
    with pytest.raises(ValueError, match=rf"{which}.1\.png: cannot be decoded"):
        dataset[0]


def test_truncated_jpeg_is_named(folder):
    dataset = opened(folder)
    path = dataset.image_path(0)
    Image.fromarray(dataset.image(0)).save(path, format="JPEG")
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(ValueError, match=r"images.1\.png: cannot be decoded"):
        dataset[0]


def test_vanished_file_is_named(folder):
    dataset = opened(folder)
    dataset.png_path(0).unlink()
    with pytest.raises(FileNotFoundError, match=r"pngs.1\.png: there is no such file"):
        dataset[0]


@pytest.mark.parametrize("which", ["images", "pngs"])
def test_other_sizes_are_refused(folder, which):
    dataset = opened(folder)
    Image.fromarray(np.ones((64, 32, 3), np.uint8)).save(getattr(folder, which) / "1.png")
    with pytest.raises(ValueError, match=rf"{which}.1\.png: is 32x64 pixels, but .*set\.json says 64x64"):
        dataset[0]


def test_png_of_one_channel_is_refused(folder):
    dataset = opened(folder)
    Image.fromarray(np.ones((64, 64), np.uint8)).save(dataset.png_path(0))
    with pytest.raises(ValueError, match="has the mode L; a panoptic PNG is RGB"):
        dataset[0]


def test_ids_of_png_and_json_must_agree(folder):
    folder.add(np.array([[1, 2], [0, 2]]), {1: 10, 5: 1})
    folder.json["annotations"][0]["segments_info"][1]["area"] = 1
    with pytest.raises(DatasetError) as caught:
        folder.open()[0]
    assert "the PNG holds id 2, which the JSON does not have" in str(caught.value)
    assert "the JSON has segment 5, which no pixel of the PNG holds" in str(caught.value)


def test_missing_files_are_listed(folder):
    for _ in range(3):
        folder.add(np.ones((2, 2), int), {1: 1})
    (folder.images / "2.png").unlink()
    (folder.pngs / "1.png").unlink()
    (folder.pngs / "3.png").unlink()
    (folder.pngs / "3.png").symlink_to(folder.pngs / "nowhere.png")
    with pytest.raises(DatasetError, match="3 problems") as caught:
        folder.open()
    assert caught.value.problems == (
        f"image file {folder.images / '2.png'} is missing",
        f"PNG file {folder.pngs / '1.png'} is missing",
        f"PNG file {folder.pngs / '3.png'} is missing",
    )


def test_missing_folder(folder):
    folder.add(np.ones((2, 2), int), {1: 1}).open()
    with pytest.raises(FileNotFoundError, match="elsewhere: there is no such folder of PNG files"):
        CocoPanoptic(folder.images, folder.root / "elsewhere", folder.path)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 9))
def test_compact_ids_and_boxes_match_their_definitions(seed, height, width):
    rng = np.random.default_rng(seed)
    known = rng.choice(256**3 - 1, size=4, replace=False) + 1
    ids = rng.choice([0, 5, *known], size=(height, width)).astype(np.uint32)
    compact = compact_ids(ids, known.tolist())
    for k, identifier in enumerate(known, start=1):
        assert np.array_equal(compact == k, ids == identifier)
    for number, (x1, y1, x2, y2) in enumerate(extents_of(compact, 4), start=1):
        mask = compact == number
        assert mask.any() == (x2 > 0) == (y2 > 0)
        if not mask.any():
            continue
        assert mask[y1:y2, x1:x2].sum() == mask.sum()
        assert all(edge.any() for edge in (mask[y1], mask[y2 - 1], mask[:, x1], mask[:, x2 - 1]))


def test_coco_sample(coco_sample):
    name = "panoptic_examples"
    dataset = CocoPanoptic(coco_sample / "input_images", coco_sample / name, coco_sample / f"{name}.json")
    assert (len(dataset.categories.things), len(dataset.categories.stuff)) == (80, 53)
    assert dataset.sizes.tolist() == [[427, 640], [360, 640]]
    assert [len(dataset.truth(i).segments) for i in range(2)] == [18, 32]
    assert [sum(s.iscrowd for s in dataset.truth(i).segments) for i in range(2)] == [1, 2]
    for i in range(2):
        sample, truth = dataset[i], dataset.truth(i)
        png = np.array(Image.open(dataset.png_path(i)))
        assert np.array_equal(truth.ids, rgb_to_id(png))
        things = [s for s in truth.segments if dataset.categories[s.category_id].isthing]
        plain = [s for s in things if not s.iscrowd]
        assert sample.truth.masks.flatten(1).sum(1).tolist() == [s.area for s in plain]
        assert int((sample.truth.semantic == 0).sum()) == sum(s.area for s in things)
        assert int((sample.truth.semantic == 255).sum()) == int((truth.ids == 0).sum())


def stored_turned(path, orientation):
    """Stores an image such that viewers show what it showed before."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # orientation: Image.Transpose
    with Image.open(path) as image:
        upright = np.array(image)
    turned = Image.fromarray(upright)
    if orientation > 1:
        turned = turned.transpose(Image.Transpose(back[orientation]))
    turned.save(path, exif=exif)
    return upright


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_images_fit_their_masks_sizes_and_batches(folder, orientation):
    folder.add(IDS, {1: 10, LARGE: 5, 2: 12, 3: 1, 4: 1})
    upright = stored_turned(folder.images / "1.png", orientation)
    dataset = folder.open()
    np.testing.assert_array_equal(dataset.image(0), upright)
    sample = dataset[0]
    assert tuple(sample.image.shape[1:]) == sample.truth.size == tuple(dataset.sizes[0]) == (4, 5)


def test_the_orientation_is_a_setting(folder):
    ids = np.array([[1, 1, 2], [1, 2, 2]])
    folder.add(ids, {1: 10, 2: 5})
    stored_turned(folder.images / "1.png", 3)
    upright = folder.open().image(0)
    folder.orientation = "ignore"
    dataset = folder.open()
    np.testing.assert_array_equal(dataset.image(0), upright[::-1, ::-1])
    assert dataset.subset([0]).orientation == "ignore"
    folder.orientation = "turn"
    with pytest.raises(ValueError, match="orientation='turn' is none of 'apply', 'ignore'"):
        folder.open()


@pytest.mark.parametrize(("setting", "other"), [("apply", "ignore"), ("ignore", "apply")])
def test_sizes_of_the_other_convention_are_refused_with_the_way_out(folder, setting, other):
    folder.add(np.array([[1, 1, 2], [1, 2, 2]]), {1: 10, 2: 5})
    stored_turned(folder.images / "1.png", 6)
    if setting == "apply":
        entry = folder.json["images"][0]
        entry["height"], entry["width"] = entry["width"], entry["height"]
    folder.orientation = setting
    with pytest.raises(ValueError, match=rf"EXIF orientation is 6: orientation='{other}' gives that size"):
        folder.open().image(0)


def test_text_ids_reach_the_batches(folder):
    names = ["frankfurt_000000_000294", "lindau_000001_000019"]
    for name in names:
        folder.add(IDS, {1: 10, LARGE: 5, 2: 12, 3: 1, 4: 1})
        folder.json["images"][-1]["id"] = folder.json["annotations"][-1]["image_id"] = name
    dataset = folder.open()
    assert dataset.image_ids.tolist() == [sample.image_id for sample in (dataset[0], dataset[1])] == names
    assert type(dataset[0].image_id) is str
    assert dataset.subset([1]).image_ids.tolist() == names[1:]
    (batch,) = evaluation_batches(pickle.loads(pickle.dumps(dataset)), Transform(None, None), batch_size=2, divisor=1)
    assert batch.image_ids == names


THINGS, STUFF = {1: 1, LARGE: 5, 2: 1, 3: 1, 4: 5}, {1: 10, LARGE: 12, 2: 10, 3: 12, 4: 10}


@pytest.mark.parametrize(
    ("categories", "isthing", "semantic"), [(THINGS, 1, {0, 255}), (STUFF, 0, {1, 2, 255})], ids=["things", "stuff"]
)
def test_data_of_things_or_stuff_alone(folder, tmp_path, categories, isthing, semantic):
    folder.add(IDS, categories)
    folder.json["categories"] = [c for c in folder.json["categories"] if c["isthing"] == isthing]
    dataset = folder.open()
    check(dataset)
    (batch,) = training_batches(dataset, Transform(8, None, flip=0.0), batch_size=1, divisor=4, stop=1)
    assert set(batch.semantic.unique().tolist()) == semantic
    assert batch.targets[0]["labels"].tolist() == ([1, 2, 1, 1, 2] if isthing else [])
    assert batch.targets[0]["masks"].whole().shape == (5 * isthing, 8, 10)
    quality = PanopticQuality(dataset.categories)
    quality.update(dataset.truth(0), dataset.truth(0))
    group, other = ("_things", "_stuff") if isthing else ("_stuff", "_things")
    assert quality.compute().metrics()[f"pq{group}"] == 100
    assert f"pq{other}" not in quality.compute().metrics()
    with PanopticWriter(tmp_path / "p.json", tmp_path / "p", dataset.categories) as writer:
        writer.add(dataset.image_ids[0], "1.png", dataset.truth(0))
    report = evaluate_folders(folder.path, folder.pngs, tmp_path / "p.json", tmp_path / "p")
    assert report == quality.compute()
    assert json.loads(json.dumps(report.to_json(), allow_nan=False))[other[1:]]["pq"] is None
    assert len(str(report).splitlines()) == 5
    pixels = overlay(dataset.image(0), dataset.truth(0), dataset.categories)
    assert pixels.shape == (4, 5, 3)
