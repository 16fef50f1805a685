"""Matching and coding of boxes: torchvision's results."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.detection import _utils
from torchvision.ops import box_iou

from autopanoptic.panoptic.model.heads.matching import BoxCoder, Matcher


def random_boxes(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 80
    return torch.cat((corner, corner + 1 + torch.rand(count, 2, generator=generator) * 40), dim=1)


@pytest.mark.parametrize("low_quality", [True, False])
def test_the_matches_are_torchvisions(low_quality: bool) -> None:
    truth = random_boxes(7, 0)
    anchors = torch.cat((random_boxes(300, 1), truth[:5] + torch.arange(4.0)))
    # Ties: two anchors overlap a thing alike, and a thing is overlapped by none.
    quality = box_iou(torch.cat((truth, truth[:1] + 500)), torch.cat((anchors, anchors[:5])))
    expected = _utils.Matcher(0.7, 0.3, allow_low_quality_matches=low_quality)(quality)
    assert torch.equal(Matcher(0.7, 0.3, allow_low_quality_matches=low_quality)(quality), expected)
    assert len(expected.unique()) > 5, "several things are matched"


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)])
def test_boxes_are_coded_as_torchvision_codes_them(weights: tuple[float, float, float, float]) -> None:
    own, theirs = BoxCoder(weights), _utils.BoxCoder(weights)
    boxes, wanted = [random_boxes(20, 0), random_boxes(5, 1)], [random_boxes(20, 2), random_boxes(5, 3)]
    encoded = own.encode(wanted, boxes)
    assert all(torch.equal(a, b) for a, b in zip(encoded, theirs.encode(wanted, boxes), strict=True))
    offsets = torch.randn(25, 12, generator=torch.Generator().manual_seed(4)) * 3  # some are clipped
    assert torch.equal(own.decode(offsets, boxes), theirs.decode(offsets, boxes))


def test_no_boxes_are_decoded_to_none() -> None:
    assert BoxCoder((1.0, 1.0, 1.0, 1.0)).decode(torch.zeros(0, 12), [torch.zeros(0, 4)]).shape == (0, 3, 4)
