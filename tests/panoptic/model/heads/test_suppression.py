"""Non-maximum suppression within groups."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import nms

from autopanoptic.panoptic.model.heads.suppression import kept_at_once, kept_by_kernel, kept_in_groups


def boxes_of(count: int, side: float) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(count)
    corner = torch.rand(count, 2, generator=generator) * side
    boxes = torch.cat((corner, corner + torch.rand(count, 2, generator=generator) * side / 3), dim=1)
    groups = torch.randint(0, 4, (count,), generator=generator)
    return boxes, torch.rand(count, generator=generator), groups, torch.rand(count, generator=generator) < 0.8


def group_by_group(
    boxes: torch.Tensor, scores: torch.Tensor, groups: torch.Tensor, valid: torch.Tensor, threshold: float
) -> list[int]:
    kept: list[int] = []
    for group in groups.unique():
        places = torch.where((groups == group) & valid)[0]
        kept += places[nms(boxes[places], scores[places], threshold)].tolist()
    return sorted(kept, key=lambda place: -scores[place])


@pytest.mark.parametrize("function", [kept_at_once, kept_in_groups])
@pytest.mark.parametrize(("count", "side"), [(1, 10.0), (60, 100.0), (1500, 1300.0)])
def test_each_group_is_suppressed_by_itself(function: type, count: int, side: float) -> None:
    arguments = boxes_of(count, side)
    expected = group_by_group(*arguments, 0.5)
    assert function(*arguments, 0.5).tolist() == expected  # type: ignore[call-arg]


@pytest.mark.parametrize("function", [kept_at_once, kept_in_groups])
def test_boxes_that_take_no_part_are_never_kept(function: type) -> None:
    boxes, scores, groups, _ = boxes_of(30, 100.0)
    boxes[3] = float("nan")
    none = torch.zeros(30, dtype=torch.bool)
    assert function(boxes, scores, groups, none, 0.5).tolist() == []  # type: ignore[call-arg]
    one = none.clone()
    one[7] = True
    assert function(boxes, torch.zeros(30), groups, one, 0.5).tolist() == [7]  # type: ignore[call-arg]
    empty = boxes[:0], scores[:0], groups[:0], none[:0]
    assert function(*empty, 0.5).tolist() == []  # type: ignore[call-arg]


@pytest.mark.parametrize("function", [kept_at_once, kept_by_kernel])
def test_nothing_is_suppressed_at_1(function: type) -> None:
    boxes, scores, groups, valid = boxes_of(30, 100.0)
    boxes[5] = boxes[3]
    taking_part = torch.where(valid)[0]
    expected = taking_part[scores[taking_part].argsort(descending=True)]
    assert function(boxes, scores, groups, valid, 1.0).tolist() == expected.tolist()  # type: ignore[call-arg]


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.7])
def test_the_compiled_kernel_keeps_what_torchvision_keeps(threshold: float) -> None:
    """Also where whole pixels make overlaps that lie at the threshold, and boxes without an area."""
    boxes, scores, groups, valid = boxes_of(900, 30.0)
    arguments = (boxes.round(), scores, groups, valid)
    assert kept_by_kernel(*arguments, threshold).tolist() == group_by_group(*arguments, threshold)
