from collections.abc import Callable
from typing import Any

import torch

from autopanoptic.nas import LayerChoice
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.fusion.fusion import Fusion, FusionUnit, modulate, pool_true_pixels
from autopanoptic.panoptic.model.shapes import FeatureShape


def test_padding_does_not_enter_the_pooled_mean() -> None:
    x = torch.randn(2, 5, 6, 8)
    sizes = [(40, 64), (33, 17)]
    pooled = pool_true_pixels(x, sizes, stride=8)
    torch.testing.assert_close(pooled[0], x[0, :, :5, :8].mean(dim=(1, 2)))
    torch.testing.assert_close(pooled[1], x[1, :, :5, :3].mean(dim=(1, 2)))
    x[0, :, 5:] = torch.nan
    assert pool_true_pixels(x, sizes, stride=8).isfinite().all()


def test_images_without_padding_are_pooled_whole() -> None:
    x = torch.randn(2, 5, 4, 4)
    torch.testing.assert_close(pool_true_pixels(x, [(32, 32), (32, 32)], stride=8), x.mean(dim=(2, 3)))


def test_the_attention_is_one_minus_a_sigmoid() -> None:
    unit = FusionUnit(12, 16, 4)
    pooled = torch.randn(3, 12)
    expected = 1 - torch.sigmoid(unit.excite(torch.relu(unit.squeeze(pooled))))
    torch.testing.assert_close(unit(pooled), expected)
    assert unit.squeeze.out_features == 4


def test_modulation_adds_the_attended_features_and_leaves_other_levels_out() -> None:
    features = {"p2": torch.randn(2, 4, 3, 3), "p3": torch.randn(2, 4, 2, 2)}
    attention = {"p3": torch.rand(2, 4, 1, 1)}
    out = modulate(features, attention)
    assert list(out) == ["p3"]
    torch.testing.assert_close(out["p3"], features["p3"] * (1 + attention["p3"]))


def test_one_choice_for_each_target_level(in_space: Callable[..., Any]) -> None:
    sources = {"p3": FeatureShape(8, 8), "p4": FeatureShape(8, 16)}
    targets = {"p2": FeatureShape(16, 4), "p3": FeatureShape(16, 8)}
    fusion = in_space(lambda: Fusion("f2b", sources, targets, PanopticConfig()))
    choices = [m for m in fusion.modules() if isinstance(m, LayerChoice)]
    assert [c.label for c in choices] == ["f2b.p2", "f2b.p3"]
    assert [choices[0][name].squeeze.out_features for name in ("r4", "r8", "r16")] == [4, 2, 1]
    features = {"p2": torch.randn(1, 8, 8, 8), "p3": torch.randn(1, 8, 4, 4), "p4": torch.randn(1, 8, 2, 2)}
    attention = fusion(features, [(32, 32)])
    assert {level: tuple(a.shape) for level, a in attention.items()} == {"p2": (1, 16, 1, 1), "p3": (1, 16, 1, 1)}
