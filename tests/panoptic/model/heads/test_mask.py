"""What a mask head that makes no error is worth: its targets, put back in place, against the truth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.ops import roi_align

from autopanoptic.panoptic.data.coco.reader import numbered
from autopanoptic.panoptic.data.label_map import LabelMap, extents_of
from autopanoptic.panoptic.data.loading import masks as loading
from autopanoptic.panoptic.data.loading.masks import ThingMasks, window_of
from autopanoptic.panoptic.data.scenes.draw import draw_scene
from autopanoptic.panoptic.data.scenes.kinds import CATEGORIES
from autopanoptic.panoptic.model.heads.kernels import mask_cells
from autopanoptic.panoptic.model.heads.mask import mask_loss, mask_predictor, mask_targets
from autopanoptic.panoptic.model.prediction import paste_masks

SCENES = 40


@pytest.fixture(scope="module")
def things() -> list[ThingMasks]:
    """Masks and tight boxes of the things of some scenes."""
    found = []
    for index in range(SCENES):
        truth = draw_scene(np.random.default_rng([1, index])).truth
        numbers, _ = numbered(truth.numpy().astype(np.uint32), truth.segments)
        labels = LabelMap.of(numbers, truth.segments, CATEGORIES)
        found.append(ThingMasks(labels.numbers, labels.things, labels.boxes, window_of(labels.boxes, labels.size)))
    return found


def perfect_iou(things: list[ThingMasks], side: int, noise: float, *, aligned: bool) -> float:
    """Mean IoU of pasted targets with the truth; boxes are off by a share of their size."""
    generator = torch.Generator().manual_seed(0)
    values = []
    for found in things:
        tight, masks = found.boxes, found.whole()
        size = (tight[:, 2:] - tight[:, :2]).repeat(1, 2)
        boxes = tight + noise * size * torch.randn(tight.shape, generator=generator)
        targets = mask_targets(found, torch.arange(len(found)), boxes, side, aligned=aligned)
        pasted = paste_masks(targets, boxes, (masks.shape[1], masks.shape[2]), 0.5, aligned=aligned)
        values.append((pasted & masks).sum((1, 2)) / (pasted | masks).sum((1, 2)))
    return float(torch.cat(values).mean())


@pytest.mark.parametrize(
    ("side", "noise", "bar"), [(20, 0.0, 0.99), (28, 0.0, 0.99), (20, 0.05, 0.95), (28, 0.05, 0.96)]
)
def test_a_perfect_mask_head_is_right(things: list[ThingMasks], side: int, noise: float, bar: float) -> None:
    assert perfect_iou(things, side, noise, aligned=True) >= bar
    # The published form loses some 5 points on things of this size.
    assert perfect_iou(things, side, noise, aligned=False) < 0.94


def test_aligned_targets_of_a_box_in_its_own_resolution_are_its_pixels() -> None:
    mask = torch.rand(1, 30, 40, generator=torch.Generator().manual_seed(0)) > 0.5
    found = ThingMasks(mask[0].to(torch.uint8), torch.tensor([1]), torch.tensor([[0.0, 0.0, 40.0, 30.0]]), (30, 40))
    (target,) = mask_targets(found, torch.tensor([0]), torch.tensor([[5.0, 8.0, 25.0, 28.0]]), 20, aligned=True)
    assert torch.equal(target, mask[0, 8:28, 5:25].float())


def test_the_mask_loss_is_that_of_the_true_class() -> None:
    logits, wanted = torch.randn(2, 3, 4, 4), torch.rand(2, 4, 4)
    labels = torch.tensor([2, 1])
    of_class = torch.stack((logits[0, 2], logits[1, 1])).sigmoid()
    expected = -(wanted * of_class.log() + (1 - wanted) * (1 - of_class).log()).mean()
    torch.testing.assert_close(mask_loss(logits, labels, wanted), expected)
    assert mask_loss(logits[:0], labels[:0], wanted[:0]) == 0


def ellipses(height: int, width: int, count: int, seed: int) -> ThingMasks:
    """Things that hide each other, some of them at the borders."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    numbers = np.zeros((height, width), np.uint8)
    for number in range(1, count + 1):
        (y, x), (a, b) = rng.uniform(0, 1, 2) * (height, width), rng.uniform(0.02, 0.4, 2) * (height, width)
        numbers[((rows - y) / a) ** 2 + ((columns - x) / b) ** 2 < 1] = number
    extents = extents_of(numbers, count)
    seen = np.flatnonzero(extents[:, 2])
    boxes = torch.from_numpy(extents[seen].astype(np.float32))
    return ThingMasks(torch.from_numpy(numbers), torch.from_numpy(seen) + 1, boxes, window_of(boxes, (height, width)))


def rois_on(found: ThingMasks, number: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes within the image, near the things that they are for or anywhere."""
    generator = torch.Generator().manual_seed(seed)
    things = torch.randint(len(found), (number,), generator=generator)
    near = found.boxes[things]
    boxes = near + 0.3 * (near[:, 2:] - near[:, :2]).repeat(1, 2) * torch.randn(number, 4, generator=generator)
    height, width = found.numbers.shape
    limit = torch.tensor([width, height] * 2, dtype=torch.float32)
    corners = torch.rand(number // 4, 2, 2, generator=generator).sort(1).values.flatten(1) * limit
    boxes[: number // 4] = corners
    boxes = torch.minimum(boxes.clamp(min=0), limit)
    return things, torch.cat((torch.minimum(boxes[:, :2], boxes[:, 2:]), torch.maximum(boxes[:, :2], boxes[:, 2:])), 1)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize(("size", "at_once"), [((96, 128), None), ((96, 128), 1), ((600, 900), None), ((70, 1100), 1)])
def test_targets_are_those_of_whole_masks(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], at_once: int | None, aligned: bool
) -> None:
    if at_once is not None:
        monkeypatch.setattr(loading, "AT_ONCE", at_once)  # a window each
    for seed in range(4):
        found = ellipses(*size, count=6, seed=seed)
        things, boxes = rois_on(found, 40, seed)
        targets = mask_targets(found, things, boxes, 28, aligned=aligned)
        rois = torch.cat((torch.arange(40)[:, None], boxes), dim=1)
        expected = roi_align(found.whole()[things][:, None].float(), rois, 28, aligned=aligned)[:, 0]
        if max(size) <= loading.STEP:
            assert torch.equal(targets, expected)
        torch.testing.assert_close(targets, expected, rtol=0, atol=1e-4)
        assert expected.mean() > 0.1


def test_masks_are_made_inside_boxes() -> None:
    numbers = torch.zeros(800, 1333, dtype=torch.uint8)
    numbers[300:340, 700:760], numbers[310:390, 30:50] = 1, 2
    boxes = torch.tensor([[700.0, 300, 760, 340], [30, 310, 50, 390]])
    found = ThingMasks(numbers, torch.tensor([1, 2]), boxes, window_of(boxes, (800, 1333)))
    (window,) = found.windows()
    # From the multiple of 256 before a box to its end, of the larger one on each axis.
    assert window.masks.shape == (2, 390 + 2 - 256, 760 + 2 - 512)
    assert window.masks.sum((1, 2)).tolist() == [40 * 60, 80 * 20]
    assert window.corners.tolist() == [[512, 256], [0, 256]]


@pytest.mark.parametrize("at_once", [2**19, 64 * 100])
def test_the_predictor_is_a_transposed_convolution_a_relu_and_a_convolution(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mask_cells, "AT_ONCE", at_once)  # values of 245 cells, 64 each
    predictor = mask_predictor(16, 4)
    for layer in (predictor[0], predictor[2]):
        nn.init.normal_(layer.bias)
    x = torch.randn(5, 16, 7, 7, requires_grad=True)
    expected = nn.Sequential(*predictor)(x)
    found = predictor(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected)
    inputs = [x, *predictor.parameters()]
    wanted = torch.autograd.grad(expected.square().sum(), inputs)
    for one, other in zip(torch.autograd.grad(found.square().sum(), inputs), wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-3)
    assert predictor(x[:0]).shape == (0, 4, 14, 14)
    with torch.no_grad():
        torch.testing.assert_close(predictor(x), expected)
        assert predictor(x[:0]).shape == (0, 4, 14, 14)
