from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torchvision.ops import roi_align

from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.heads.box import box_losses
from autopanoptic.panoptic.model.heads.pooling import PyramidRoIAlign
from autopanoptic.panoptic.model.heads.roi import PanopticRoIHeads
from autopanoptic.panoptic.model.shapes import FeatureShape

SHAPES = {f"p{level}": FeatureShape(48, 2**level) for level in range(2, 7)}
POOLED = {level: SHAPES[level] for level in ("p2", "p3", "p4", "p5")}


@pytest.fixture
def heads(config: PanopticConfig, in_space: Callable[..., Any]) -> PanopticRoIHeads:
    built: PanopticRoIHeads = in_space(lambda: PanopticRoIHeads(config, SHAPES))
    return built


@pytest.fixture
def pyramid() -> dict[str, torch.Tensor]:
    return {level: torch.randn(2, 48, -(-96 // s.stride), -(-96 // s.stride)) for level, s in SHAPES.items()}


def test_each_roi_is_pooled_from_the_level_of_its_size(
    config: PanopticConfig, pyramid: dict[str, torch.Tensor]
) -> None:
    pool = PyramidRoIAlign(replace(config, roi_canonical_size=56), POOLED, 7)
    boxes = torch.tensor([[2.0, 2, 22, 22], [0, 0, 40, 30], [5, 5, 70, 80], [0, 0, 1.5, 1.5]])
    pooled = pool(pyramid, [boxes, boxes[:0]], [(20, 24), (96, 96)])
    for index, level in enumerate(("p2", "p3", "p4", "p2")):
        roi = torch.cat((torch.zeros(1, 1), boxes[index : index + 1]), dim=1)
        expected = roi_align(pyramid[level], roi, 7, 1 / SHAPES[level].stride, config.roi_sampling_ratio, True)
        torch.testing.assert_close(pooled[index], expected[0])


@pytest.mark.parametrize(("aligned", "shift"), [(True, 0.0), (False, 2.0)])
def test_features_are_read_where_the_box_is(config: PanopticConfig, aligned: bool, shift: float) -> None:
    # Cell i of P2 lies around pixel 4 i + 2; each of its two channels holds its own x or y.
    centres = 4 * torch.arange(24.0) + 2
    ramp = torch.stack(torch.broadcast_tensors(centres[None, :], centres[:, None]))[None]
    pool = PyramidRoIAlign(replace(config, roi_aligned=aligned), POOLED, 5)
    empty = {level: torch.zeros(1, 2, 24, 24) for level in POOLED}
    (pooled,) = pool({**empty, "p2": ramp}, [torch.tensor([[20.0, 30.0, 40.0, 60.0]])], [(96, 96)])
    expected = torch.stack(
        torch.broadcast_tensors(20 + 4 * (torch.arange(5) + 0.5), (30 + 6 * (torch.arange(5) + 0.5))[:, None])
    )
    torch.testing.assert_close(pooled, expected + shift)


def test_a_count_of_operations_pools_the_whole_map(config: PanopticConfig, pyramid: dict[str, torch.Tensor]) -> None:
    pool = PyramidRoIAlign(config, POOLED, 7)
    boxes = torch.tensor([[0.0, 0, 96, 96]])
    expected = roi_align(pyramid["p2"], [boxes, boxes], 7, 1 / 4, config.roi_sampling_ratio, True)
    torch.testing.assert_close(pool.pool_fixed(pyramid, 2), expected.repeat_interleave(2, dim=0))


def test_box_losses_are_averaged_over_all_rois() -> None:
    logits, deltas = torch.randn(3, 3), torch.randn(3, 12)
    labels, wanted = torch.tensor([0, 2, 1]), torch.randn(3, 4)
    classification, box = box_losses(logits, deltas, labels, wanted)
    expected = -sum(logits[i].log_softmax(0)[label] for i, label in enumerate(labels)) / 3
    torch.testing.assert_close(classification, expected)
    difference = torch.stack((deltas[1, 8:12] - wanted[1], deltas[2, 4:8] - wanted[2])).abs()
    smooth = torch.where(difference < 1, difference**2 / 2, difference - 0.5)
    torch.testing.assert_close(box, smooth.sum() / 3)


def test_losses_without_any_roi_are_zero_and_differentiable(
    heads: PanopticRoIHeads, pyramid: dict[str, torch.Tensor]
) -> None:
    empty = {
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0, dtype=torch.long),
        "masks": torch.zeros(0, 96, 96, dtype=torch.uint8),
    }
    for features in pyramid.values():
        features.requires_grad_()
    losses = heads.losses(pyramid, [torch.zeros(0, 4)] * 2, [(96, 96)] * 2, [empty, empty])
    assert {name: loss.item() for name, loss in losses.items()} == {"classification": 0, "box": 0, "mask": 0}
    assert all(loss.requires_grad for loss in losses.values())
    sum(losses.values()).backward()
    assert heads.box_predictor.classes.weight.grad is not None


@pytest.mark.parametrize("option", ["dw3", "df5", "at3"])
def test_images_without_a_positive_roi_train_the_box_head(
    heads: PanopticRoIHeads, pyramid: dict[str, torch.Tensor], option: str
) -> None:
    for layer in heads.mask_head:
        layer[0]._dry_run_choice = option
    empty = {
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0, dtype=torch.long),
        "masks": torch.zeros(0, 96, 96, dtype=torch.uint8),
    }
    proposals = [torch.tensor([[1.0, 1, 30, 30], [5, 5, 60, 80]])] * 2
    losses = heads.losses(pyramid, proposals, [(96, 96)] * 2, [empty, empty])
    assert losses["classification"] > 0
    assert losses["box"] == losses["mask"] == 0
    sum(losses.values()).backward()
    assert heads.box_predictor.classes.weight.grad.abs().sum() > 0


def test_no_proposal_gives_no_detection(heads: PanopticRoIHeads, pyramid: dict[str, torch.Tensor]) -> None:
    heads.eval()
    found = heads(pyramid, [torch.zeros(0, 4)] * 2, [(96, 96)] * 2)
    assert [(len(d.boxes), tuple(d.masks.shape)) for d in found] == [(0, (0, 20, 20))] * 2


def test_masks_are_those_of_the_detected_class(heads: PanopticRoIHeads, pyramid: dict[str, torch.Tensor]) -> None:
    heads.eval()
    with torch.no_grad():
        heads.box_predictor.classes.bias.copy_(torch.tensor([-9.0, -9, 9, -9]))
        heads.mask_predictor[2].weight.zero_()
        heads.mask_predictor[2].bias.copy_(torch.tensor([0.0, -5, 5, -5]))
    (found, _) = heads(pyramid, [torch.tensor([[1.0, 1, 30, 30]]), torch.zeros(0, 4)], [(96, 96)] * 2)
    assert found.labels.tolist() == [2]
    assert found.scores.item() > 0.99
    torch.testing.assert_close(found.masks, torch.full((1, 20, 20), 5.0).sigmoid())
