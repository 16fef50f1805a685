from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.heads.roi import PanopticRoIHeads
from autopanoptic.panoptic.model.shapes import FeatureShape

SHAPES = {f"p{level}": FeatureShape(48, 2**level) for level in range(2, 7)}


@pytest.fixture
def heads(config: PanopticConfig, in_space: Callable[..., Any]) -> PanopticRoIHeads:
    built: PanopticRoIHeads = in_space(lambda: PanopticRoIHeads(config, SHAPES))
    return built


@pytest.fixture
def pyramid() -> dict[str, torch.Tensor]:
    return {level: torch.randn(2, 48, -(-96 // s.stride), -(-96 // s.stride)) for level, s in SHAPES.items()}


def test_losses_without_any_roi_are_zero_and_differentiable(
    heads: PanopticRoIHeads, pyramid: dict[str, torch.Tensor], things_on: Callable[..., Any]
) -> None:
    empty = {
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0, dtype=torch.long),
        "masks": things_on(torch.zeros(96, 96, dtype=torch.uint8), torch.zeros(0, 4)),
    }
    for features in pyramid.values():
        features.requires_grad_()
    losses, _ = heads.losses(pyramid, heads.sample([torch.zeros(0, 4)] * 2, [empty] * 2), [(96, 96)] * 2, [empty] * 2)
    assert {name: loss.item() for name, loss in losses.items()} == {"classification": 0, "box": 0, "mask": 0}
    assert all(loss.requires_grad for loss in losses.values())
    sum(losses.values()).backward()
    assert heads.box_predictor.classes.weight.grad is not None


@pytest.mark.parametrize("option", ["dw3", "df5", "at3"])
def test_images_without_a_positive_roi_train_the_box_head(
    heads: PanopticRoIHeads, pyramid: dict[str, torch.Tensor], things_on: Callable[..., Any], option: str
) -> None:
    for layer in heads.mask_head:
        layer[0]._dry_run_choice = option
    empty = {
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0, dtype=torch.long),
        "masks": things_on(torch.zeros(96, 96, dtype=torch.uint8), torch.zeros(0, 4)),
    }
    proposals = [torch.tensor([[1.0, 1, 30, 30], [5, 5, 60, 80]])] * 2
    losses, _ = heads.losses(pyramid, heads.sample(proposals, [empty] * 2), [(96, 96)] * 2, [empty] * 2)
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


@pytest.mark.parametrize("aligned", [True, False])
def test_the_loss_of_a_perfect_mask_is_zero_where_targets_are_aligned(
    config: PanopticConfig,
    in_space: Callable[..., Any],
    things_on: Callable[..., Any],
    pyramid: dict[str, torch.Tensor],
    aligned: bool,
) -> None:
    heads = in_space(lambda: PanopticRoIHeads(replace(config, mask_aligned=aligned), SHAPES))
    with torch.no_grad():
        heads.mask_predictor[2].weight.zero_()
        heads.mask_predictor[2].bias.fill_(20)  # the box is full of the thing
    box = torch.tensor([[10.0, 10, 50, 50]])
    numbers = torch.zeros(96, 96, dtype=torch.uint8)
    numbers[10:50, 10:50] = 1
    target = {"boxes": box, "labels": torch.tensor([1]), "masks": things_on(numbers, box)}
    losses, _ = heads.losses(pyramid, heads.sample([box] * 2, [target] * 2), [(96, 96)] * 2, [target] * 2)
    assert (losses["mask"] < 1e-6) == aligned
