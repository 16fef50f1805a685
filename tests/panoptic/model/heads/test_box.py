"""The box head's losses."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.heads.box import VectorGroupNorm, box_head, box_losses


def test_box_losses_are_averaged_over_all_rois() -> None:
    logits, deltas = torch.randn(3, 3), torch.randn(3, 12)
    labels, wanted = torch.tensor([0, 2, 1]), torch.randn(3, 4)
    classification, box = box_losses(logits, deltas, labels, wanted, torch.tensor([1, 2]))
    expected = -sum(logits[i].log_softmax(0)[label] for i, label in enumerate(labels)) / 3
    torch.testing.assert_close(classification, expected)
    difference = torch.stack((deltas[1, 8:12] - wanted[1], deltas[2, 4:8] - wanted[2])).abs()
    smooth = torch.where(difference < 1, difference**2 / 2, difference - 0.5)
    torch.testing.assert_close(box, smooth.sum() / 3)


@pytest.mark.parametrize("rois", [3, 500])
def test_features_with_their_channels_side_by_side_give_the_same(config: PanopticConfig, rois: int) -> None:
    head = box_head(config, 8)
    x = torch.randn(rois, 8, config.box_roi_size, config.box_roi_size, requires_grad=True)
    expected = nn.Sequential(*head)(x)
    found = head(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected)
    wanted = torch.autograd.grad(expected.square().sum(), [x, head[1].weight])
    gradients = torch.autograd.grad(found.square().sum(), [x, head[1].weight])
    for one, other in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_vectors_are_normed_as_by_torch() -> None:
    norm, own = nn.GroupNorm(4, 24), VectorGroupNorm(4, 24)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    own.load_state_dict(norm.state_dict())
    x = torch.randn(5, 24, requires_grad=True)
    torch.testing.assert_close(own(x), norm(x))
    wanted = torch.autograd.grad(norm(x).square().sum(), [x, *norm.parameters()])
    found = torch.autograd.grad(own(x).square().sum(), [x, *own.parameters()])
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert own(x[:0]).shape == (0, 24)


def test_costs_see_every_layer_on_the_meta_device(config: PanopticConfig) -> None:
    with torch.device("meta"):
        head = box_head(config, 8)
        seen: list[nn.Module] = []
        for layer in head:
            layer.register_forward_hook(lambda module, *_: seen.append(module))
        head(torch.empty(3, 8, config.box_roi_size, config.box_roi_size))
    assert seen == list(head)
