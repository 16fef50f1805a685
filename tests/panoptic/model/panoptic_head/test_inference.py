from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.segments import PanopticMap, Segment
from autopanoptic.panoptic.model.panoptic_head.inference import label_cells, panoptic_map
from autopanoptic.panoptic.model.panoptic_head.logits import panoptic_logits
from autopanoptic.panoptic.model.panoptic_head.rules import HeadRules
from autopanoptic.panoptic.model.panoptic_head.selection import apart, confident
from autopanoptic.panoptic.model.prediction import paste_masks
from autopanoptic.panoptic.quality.metric import PanopticQuality
from tests.plain_maps import CATEGORIES, cells_of, read
from tests.pretended_gpu import PretendedGpu, on_gpu

STUFF, THINGS = 3, 2
RULES = HeadRules(stuff_area=40)
CELLS, PIXELS = (8, 10), (30, 37)
ORIGINAL = (24, 40)


def detections(seed, count=8):
    """What a network might say of an image of 30 x 37 pixels, with many boxes that hide each other."""
    generator = torch.Generator().manual_seed(seed)
    centre = torch.rand(count, 2, generator=generator) * torch.tensor([37.0, 30.0])
    twins = torch.arange(0, count - 1, 3)
    centre[twins + 1] = centre[twins] + torch.rand(len(twins), 2, generator=generator) * 6
    side = 4 + torch.rand(count, 2, generator=generator) * 20
    boxes = torch.cat((centre - side / 2, centre + side / 2), dim=1).clamp(min=0)
    boxes = torch.minimum(boxes, torch.tensor([37.0, 30, 37, 30]))
    return SimpleNamespace(
        boxes=boxes,
        scores=0.5 + torch.rand(count, generator=generator) / 2,
        labels=torch.randint(1, THINGS + 1, (count,), generator=generator),
        masks=torch.randn(count, 7, 7, generator=generator).add(0.7) * 3,
        semantic=torch.nn.functional.interpolate(
            torch.randn(1, STUFF + THINGS, 3, 3, generator=generator) * 3, size=CELLS, mode="bilinear"
        )[0],
    )


def merged(given, rules=RULES, original=ORIGINAL):
    """The steps in their order, as a network takes them."""
    kept = confident(given.boxes, given.scores, rules)
    boxes, scores, labels, masks = (one[kept] for one in (given.boxes, given.scores, given.labels, given.masks))
    pasted = paste_masks(masks.sigmoid(), boxes, PIXELS, 0.5, aligned=True)
    kept = apart(scores, labels, pasted, rules)
    boxes, scores, labels, masks = (one[kept] for one in (boxes, scores, labels, masks))
    logits = panoptic_logits(given.semantic, boxes / 4, labels, masks, STUFF, aligned=True)
    channels, semantic = (label_cells(one, PIXELS, original) for one in (logits, given.semantic))
    return panoptic_map(channels, semantic, scores, labels, CATEGORIES, rules)


def iou(one, other):
    width, height = (max(0.0, min(one[axis + 2], other[axis + 2]) - max(one[axis], other[axis])) for axis in (0, 1))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return width * height / (sum(areas) - width * height)


@cache
def enlarging(cells, pixels):
    """How much each cell counts at each pixel: pixel i lies at (i + 0.5) / 4 - 0.5 cells, not beyond the outermost."""
    weights = np.zeros((pixels, cells))
    for pixel in range(pixels):
        place = min(max((pixel + 0.5) / 4 - 0.5, 0), cells - 1)
        first = min(int(place), cells - 2)
        weights[pixel, first : first + 2] = 1 - place + first, place - first
    return weights


def enlarged(cells):
    return enlarging(CELLS[0], PIXELS[0]) @ cells @ enlarging(CELLS[1], PIXELS[1]).T


def plainly_merged(given, rules=RULES, original=ORIGINAL):
    """The description, one instance, class and pixel after the other: (category, score, set of pixels)."""
    order = sorted(range(len(given.scores)), key=lambda i: -given.scores[i].item())
    boxes, chosen = given.boxes.tolist(), []
    for i in order:
        hidden = any(iou(boxes[i], boxes[j]) > 0.5 for j in chosen)
        if given.scores[i].item() > 0.6 and not hidden and len(chosen) < 100:
            chosen.append(i)
    taken, instances = {1: set(), 2: set()}, []
    pasted = paste_masks(given.masks.sigmoid(), given.boxes, PIXELS, 0.5, aligned=True)
    for i in chosen:
        pixels, label = set(map(tuple, pasted[i].nonzero().tolist())), int(given.labels[i])
        if pixels and len(pixels & taken[label]) <= 0.3 * len(pixels):
            instances.append(i)
            taken[label] |= pixels
    scores = [given.semantic[c].numpy() for c in range(STUFF)]
    segmented = [np.zeros(CELLS)] if not instances else []
    for i in instances:
        segmented.append(np.zeros(CELLS))
        logits = np.zeros(CELLS)
        class_, mask = given.semantic[STUFF + int(given.labels[i]) - 1].tolist(), given.masks[i].tolist()
        for y, x, down, along in cells_of([side / 4 for side in boxes[i]], *CELLS):
            segmented[-1][y, x] = class_[y][x]
            logits[y, x] = read(mask, down, along)
        scores.append(segmented[-1] + logits)
    scores.append(given.semantic[STUFF:].numpy().max(0) - np.max(segmented, axis=0))
    channels = np.argmax([enlarged(one) for one in scores], axis=0).tolist()
    semantic = np.argmax([enlarged(one.numpy()) for one in given.semantic], axis=0).tolist()
    pixels = {}
    for y in range(original[0]):
        row = int((y + 0.5) * PIXELS[0] / original[0])
        for x in range(original[1]):
            column = int((x + 0.5) * PIXELS[1] / original[1])
            pixels.setdefault(channels[row][column], {})[y, x] = semantic[row][column]
    stuff = [set(pixels.get(c, {})) for c in range(STUFF)]
    segments = []
    for k, i in enumerate(instances, start=STUFF):
        own = pixels.get(k, {})
        counts = [list(own.values()).count(c) for c in range(STUFF)]
        if own and max(counts) >= len(own) / 2:
            stuff[counts.index(max(counts))] |= set(own)
        elif own:
            segments.append((CATEGORIES.things[int(given.labels[i]) - 1].id, given.scores[i].item(), set(own)))
    for category, own in zip(CATEGORIES.stuff, stuff, strict=True):
        if len(own) >= rules.stuff_area:
            segments.append((category.id, None, own))
    return segments


def as_map(segments, size):
    ids, found = np.zeros(size, np.int32), []
    for number, (category, score, pixels) in enumerate(segments, start=1):
        ids[tuple(zip(*pixels, strict=True))] = number
        found.append(Segment(number, category, len(pixels), score=score))
    return PanopticMap(ids, tuple(found))


def a_truth(seed, size):
    """Blocks of all categories."""
    blocks = np.random.default_rng(seed).integers(0, 6, (3, 4))
    ids = np.kron(blocks, np.ones((size[0] // 3, size[1] // 4), int))
    ids = np.pad(ids, ((0, size[0] - ids.shape[0]), (0, size[1] - ids.shape[1])))
    kinds = [(number, category.id) for number, category in enumerate(CATEGORIES, start=1) if (ids == number).any()]
    return PanopticMap(ids, tuple(Segment(n, category, int((ids == n).sum())) for n, category in kinds))


def test_equals_a_slow_loop_from_its_description_on_200_cases():
    ours, theirs = PanopticQuality(CATEGORIES), PanopticQuality(CATEGORIES)
    kinds = np.zeros(3, int)
    for seed in range(200):
        given = detections(seed)
        found, expected = merged(given), as_map(plainly_merged(given), ORIGINAL)
        np.testing.assert_array_equal(found.numpy(), expected.ids)
        assert found.segments == expected.segments
        truth = a_truth(seed, ORIGINAL)
        ours.update(truth, found)
        theirs.update(truth, expected)
        scores = [segment.score for segment in found.segments]
        kinds += [sum(s is not None for s in scores), scores.count(None), int((found.numpy() == 0).any())]
    assert ours.compute().metrics() == theirs.compute().metrics()
    assert ours.compute().metrics()["pq"] > 0
    assert (kinds > [300, 200, 100]).all(), kinds


def a_case(channels, semantic, scores, labels):
    tensors = (torch.tensor(channels), torch.tensor(semantic), torch.tensor(scores), torch.tensor(labels))
    return tensors


def test_half_of_an_instance_on_one_stuff_class_makes_it_that_stuff():
    rules = HeadRules(stuff_area=0)
    # An instance of four pixels; the semantic map has stuff class 0 (grass) below two of them, then below one.
    half = panoptic_map(*a_case([[3, 3, 3, 3, 1]], [[0, 0, 3, 3, 1]], [0.9], [1]), CATEGORIES, rules)
    assert [(s.category_id, s.area, s.score) for s in half.segments] == [(7, 4, None), (90, 1, None)]
    assert half.ids.tolist() == [[1, 1, 1, 1, 2]]
    less = panoptic_map(*a_case([[3, 3, 3, 3, 1]], [[0, 1, 3, 3, 1]], [0.9], [1]), CATEGORIES, rules)
    assert [(s.category_id, s.area) for s in less.segments] == [(11, 4), (90, 1)]
    # A majority of another thing class changes nothing.
    other = panoptic_map(*a_case([[3, 3, 3, 3, 1]], [[4, 4, 4, 4, 1]], [0.9], [1]), CATEGORIES, rules)
    assert [(s.category_id, s.area) for s in other.segments] == [(11, 4), (90, 1)]
    stricter = HeadRules(stuff_area=0, majority=0.75)
    assert panoptic_map(*a_case([[3, 3, 3, 3, 1]], [[0, 0, 3, 3, 1]], [0.9], [1]), CATEGORIES, stricter).segments[
        0
    ].score == pytest.approx(0.9)


def test_small_stuff_and_the_unknown_are_void_and_small_things_are_not():
    channels = [[0] * 6 + [1] * 4 + [3] + [4]]
    found = panoptic_map(
        *a_case(channels, [[0] * 6 + [1] * 4 + [3, 3]], [0.9], [2]), CATEGORIES, HeadRules(stuff_area=5)
    )
    assert [(s.id, s.category_id, s.area) for s in found.segments] == [(1, 5, 1), (2, 7, 6)]
    assert found.ids.tolist() == [[2] * 6 + [0] * 4 + [1, 0]]
    assert HeadRules().stuff_area == 4096


def test_an_instance_that_becomes_stuff_counts_for_its_area():
    case = a_case([[0, 0, 0, 3, 3]], [[0, 0, 0, 0, 0]], [0.9], [1])
    assert [s.area for s in panoptic_map(*case, CATEGORIES, HeadRules(stuff_area=5)).segments] == [5]
    assert panoptic_map(*case, CATEGORIES, HeadRules(stuff_area=6)).segments == ()


def test_no_instance_at_all():
    nothing = torch.zeros(0), torch.zeros(0, dtype=torch.int64)
    found = panoptic_map(torch.tensor([[0, 3]]), torch.tensor([[0, 0]]), *nothing, CATEGORIES, HeadRules(stuff_area=0))
    assert found.ids.tolist() == [[1, 0]]
    assert len(confident(torch.zeros(0, 4), torch.zeros(0))) == 0
    assert len(apart(*nothing, torch.zeros(0, 4, 4, dtype=torch.bool))) == 0


def test_without_stuff_classes_things_stay():
    things = Categories([category for category in CATEGORIES if category.isthing])
    found = panoptic_map(*a_case([[0, 0, 1]], [[0, 1, 1]], [0.9], [2]), things)
    assert found.ids.tolist() == [[1, 1, 0]]


def test_detections_are_hidden_whatever_their_class_and_must_be_confident():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30], [0, 0, 10, 4], [40, 40, 50, 50]])
    scores = torch.tensor([0.7, 0.9, 0.61, 0.8, 0.59])
    assert confident(boxes, scores).tolist() == [1, 3, 2]
    assert confident(boxes, scores, HeadRules(instances=2)).tolist() == [1, 3]
    assert confident(boxes, scores, HeadRules(score_threshold=0.5)).tolist() == [1, 3, 2, 4]


def test_masks_on_others_of_their_class_are_dropped():
    masks = torch.zeros(4, 1, 10, dtype=torch.bool)
    masks[0, 0, :10] = masks[1, 0, :4] = masks[2, 0, :3] = True
    scores, labels = torch.tensor([0.7, 0.8, 0.9, 0.95]), torch.tensor([1, 2, 1, 1])
    # The first has three of its ten pixels on the third; the second is of another class; the last has no pixel.
    assert apart(scores, labels, masks).tolist() == [2, 1, 0]
    assert apart(scores, labels, masks, HeadRules(overlap_threshold=0.29)).tolist() == [2, 1]
    # The second lies on the third with three of four pixels. What is dropped hides nothing.
    labels = torch.tensor([1, 1, 1, 1])
    assert apart(scores, labels, masks).tolist() == [2, 0]


def test_labels_are_of_the_best_channel_and_read_at_the_nearest_pixel():
    logits = torch.randn(20, 4, 5, generator=torch.Generator().manual_seed(0))
    found = label_cells(logits, (14, 17), (14, 17))
    whole = torch.nn.functional.interpolate(logits[None], scale_factor=4, mode="bilinear")[0, :, :14, :17]
    assert (found == whole.argmax(0)).all()
    larger = label_cells(logits, (14, 17), (28, 34))
    assert (larger == found.repeat_interleave(2, 0).repeat_interleave(2, 1)).all()
    smaller = label_cells(logits, (14, 17), (7, 17))
    assert (smaller == found[1::2]).all()


def test_the_first_of_equal_channels_wins():
    assert not label_cells(torch.zeros(20, 2, 2), (8, 8), (8, 8)).any()


def test_a_gpu_gives_the_same_and_waits_once():
    given = detections(5)
    expected = merged(given)
    kept = confident(given.boxes, given.scores, RULES)
    logits = panoptic_logits(
        given.semantic, given.boxes[kept] / 4, given.labels[kept], given.masks[kept], STUFF, aligned=True
    )
    plain = [label_cells(one, PIXELS, ORIGINAL) for one in (logits, given.semantic)]
    expected = panoptic_map(*plain, given.scores[kept], given.labels[kept], CATEGORIES, RULES)
    with PretendedGpu() as gpu:
        there = [label_cells(on_gpu(one), PIXELS, ORIGINAL) for one in (logits, given.semantic)]
        assert gpu.waits.total() == 0
        found = panoptic_map(*there, on_gpu(given.scores[kept]), on_gpu(given.labels[kept]), CATEGORIES, RULES)
        assert gpu.waits.total() == 1
    assert (found.ids.inner == expected.ids).all()
    assert found.segments == expected.segments


def test_choosing_on_a_gpu_gives_the_same_and_waits_a_few_times():
    given = detections(5)
    masks = paste_masks(given.masks.sigmoid(), given.boxes, PIXELS, 0.5, aligned=True)
    expected = confident(given.boxes, given.scores), apart(given.scores, given.labels, masks)
    assert 0 < len(expected[1]) < 8
    with PretendedGpu() as gpu:
        hidden = confident(on_gpu(given.boxes), on_gpu(given.scores))
        assert gpu.waits.total() <= 1
        separate = apart(on_gpu(given.scores), on_gpu(given.labels), on_gpu(masks))
        assert gpu.waits.total() <= 3
    assert hidden.inner.tolist() == expected[0].tolist()
    assert separate.inner.tolist() == expected[1].tolist()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"channels": torch.zeros(0, 4, dtype=torch.int64)}, "maps of the image's size"),
        ({"semantic": torch.zeros(1, 5, dtype=torch.int64)}, "maps of the image's size"),
        ({"channels": torch.zeros(1, 4)}, "must be int64"),
        ({"scores": torch.zeros(2)}, "as many scores as labels"),
        ({"scores": torch.tensor([1.5])}, "score 1.5 is not from 0 to 1"),
        ({"scores": torch.tensor([float("nan")])}, "score nan"),
        ({"labels": torch.tensor([3])}, r"thing label 3 is not in 1\.\.2"),
        ({"labels": torch.tensor([0])}, r"thing label 0"),
        ({"channels": torch.full((1, 4), 5)}, r"channel 5 is not in 0\.\.4"),
        ({"channels": torch.full((1, 4), -1)}, r"channel -1"),
        ({"semantic": torch.full((1, 4), 5)}, r"semantic class 5 is not in 0\.\.4"),
    ],
)
def test_wrong_input_is_refused(changed, message):
    names = ("channels", "semantic", "scores", "labels")
    given = dict(zip(names, a_case([[0, 1, 2, 3]], [[0, 1, 2, 3]], [0.9], [1]), strict=True))
    with pytest.raises(ValueError, match=message):
        panoptic_map(**{**given, **changed}, categories=CATEGORIES)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"nms_iou": 1.1}, "nms_iou must be from 0 to 1, not 1.1"),
        ({"score_threshold": float("nan")}, "score_threshold must be"),
        ({"overlap_threshold": -1}, "overlap_threshold must be"),
        ({"majority": 0.4}, "majority must be from 0.5 to 1, not 0.4"),
        ({"instances": 0}, "instances must be at least 1 instance, not 0"),
        ({"stuff_area": -1}, "stuff_area must be at least 0 pixels, not -1"),
    ],
)
def test_rules_beyond_their_range_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        HeadRules(**changed)
