import itertools

import pytest
import torch

from autopanoptic.panoptic.model.panoptic_head.overlap import filled, overlap_truth, relation_loss, without_overlaps
from autopanoptic.panoptic.model.panoptic_head.pasting import place


def rectangles(size, *boxes):
    masks = torch.zeros(len(boxes), *size, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[y1:y2, x1:x2] = True
    return masks


def test_a_tenth_of_the_smaller_mask_is_an_overlap():
    # 100, 10 and 20 pixels; the first two share one pixel, a tenth of 10; the first and the third one, a twentieth.
    masks = rectangles((12, 30), (0, 0, 10, 10), (9, 0, 19, 1), (9, 9, 29, 10))
    assert overlap_truth(masks).tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    assert overlap_truth(masks, 0.05).tolist() == [[0, 1, 1], [1, 0, 0], [1, 0, 0]]
    assert overlap_truth(masks, 0.11).sum() == 0


def test_the_truth_equals_its_definition():
    masks = torch.rand(7, 5, 5, generator=torch.Generator().manual_seed(0)) < torch.linspace(0, 1, 7)[:, None, None]
    found = overlap_truth(masks, 0.4)
    for i, j in itertools.product(range(7), repeat=2):
        smaller = min(masks[i].sum(), masks[j].sum())
        expected = i != j and bool(smaller) and (masks[i] & masks[j]).sum() >= 0.4 * smaller
        assert found[i, j] == expected
    assert 0 < found.sum() < 42


@pytest.mark.parametrize("masks", [torch.zeros(2, 3, 3), torch.zeros(3, 3, dtype=torch.bool)])
def test_what_is_no_mask_is_refused(masks):
    with pytest.raises(ValueError, match="masks must be"):
        overlap_truth(masks)


def test_filled_masks_overlap_where_one_thing_lies_before_another():
    """A ball of 3 x 3 before the middle of a bar, and another thing beside them; none of the masks overlap."""
    bar, ball, beside = rectangles((9, 12), (0, 3, 9, 6), (3, 2, 6, 7), (10, 0, 12, 9))
    masks = torch.stack((bar & ~ball, ball, beside))
    assert overlap_truth(masks).sum() == 0
    assert (filled(masks)[:2] == torch.stack((bar & ~ball, ball))).all()
    # The ball splits the bar into two, and no column goes across: only a part that reaches around it closes the gap.
    notched = bar.clone()
    notched[6] = notched[2] = bar[3]
    masks[0] = notched & ~rectangles((9, 12), (3, 3, 6, 6))[0]
    masks[1] = rectangles((9, 12), (3, 3, 6, 6))[0]
    assert overlap_truth(masks).sum() == 0
    assert overlap_truth(filled(masks)).tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]


def test_overlaps_are_removed_as_by_hand():
    """Two boxes that share the middle one of three cells; the first gives way by a half."""
    boxes = torch.tensor([[0.0, 0, 2, 1], [1.0, 0, 3, 1]])
    pasted = torch.tensor([[[2.0, 1, 0]], [[0.0, 3, -1]]])
    overlaps = torch.tensor([[0, 0.5], [0, 0]])
    found = without_overlaps(pasted, place(boxes, (1, 3), aligned=True), overlaps)
    # sigmoid(1) = 0.731059 and sigmoid(3) = 0.952574: 1 - 1 * 0.731059 * 0.952574 * 0.5 = 0.651806.
    assert found[0, 0].tolist() == pytest.approx([2, 0.651806, 0], abs=1e-6)
    assert found[1, 0].tolist() == [0, 3, -1]


def test_overlap_removal_equals_its_sum():
    generator = torch.Generator().manual_seed(0)
    boxes, overlaps = torch.tensor([[0.0, 0, 5, 5]]).repeat(4, 1), torch.rand(4, 4, generator=generator)
    pasted = torch.randn(4, 5, 5, generator=generator)
    expected = pasted.clone()
    for i, j in itertools.product(range(4), repeat=2):
        expected[i] -= pasted[i] * pasted[i].sigmoid() * pasted[j].sigmoid() * overlaps[i, j]
    found = without_overlaps(pasted, place(boxes, (5, 5), aligned=True), overlaps)
    torch.testing.assert_close(found, expected)


def test_the_loss_by_hand():
    overlaps, truth = torch.tensor([[0, 0.6], [0, 0]]), torch.tensor([[0.0, 1], [1, 0]])
    # O + O^T is 0.6 at both places that should be 1.
    assert relation_loss(overlaps, truth).item() == pytest.approx(2 * 0.4**2 / 4)
    nothing = torch.zeros(0, 0, requires_grad=True)
    assert relation_loss(nothing, torch.zeros(0, 0)).item() == 0
