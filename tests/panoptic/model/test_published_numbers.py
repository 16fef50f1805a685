"""The published networks layer by layer: parameters, operations, shapes and constants of Auto-Panoptic and DetNAS.

What the backbones alone count is in ``backbone/test_backbone.py``.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from autopanoptic.nas import FairPaths, FlopCount, ModelSpace, Supernet
from autopanoptic.nas.supernet.uses import divided_rates, places_of_parameters, split_groups
from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.model.backbone.build import build_backbone
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.parts.kinds import HeadOperator
from autopanoptic.panoptic.model.parts.registry import part_of
from autopanoptic.panoptic.search.architecture_files import load_shipped
from autopanoptic.panoptic.training.optimizer import make_optimizer

BAR = 0.005
"""Counts may differ from the published ones by so much of them."""


class Alone(ModelSpace):
    """A backbone of a width."""

    def __init__(self, width: str) -> None:
        super().__init__()
        self.backbone = build_backbone(load_config("coco", {"width": width}).network_for(80, 53))

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        found: dict[str, torch.Tensor] = self.backbone(images)
        return found


@cache
def backbone(width: str) -> Supernet:
    with torch.device("meta"):
        return Supernet(Alone(width))


@cache
def network(searched: bool) -> PanopticNetwork:
    with torch.device("meta"):
        return PanopticNetwork(PanopticConfig.coco(80, 53, searched=searched))


def shapes(searched: bool = False) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in network(searched).state_dict().items()}


def mean_gmacs(width: str, paths: int = 8) -> float:
    supernet = backbone(width)
    flops = FlopCount(supernet, torch.empty(1, 3, 224, 224), unit=1e9)
    return float(np.mean([flops(supernet.space.sample(np.random.default_rng(seed))) for seed in range(paths)]))


def test_the_300m_backbone_has_20_blocks_and_costs_what_detnas_bins_hold() -> None:
    """DetNAS' bins of this space go from 290 to 360 MFLOPs with the classifier's layers, which add 0.04 at most."""
    assert len(backbone("300m").space.choices) == 20
    assert 0.28 < mean_gmacs("300m") < 0.33


def test_the_whole_network_costs_370_gmacs_of_which_the_backbone_is_76() -> None:
    """Of COCO_3.8G at 800x1344; the backbone's 3.57 at 224x224 are 76.5 there."""
    architecture = load_shipped("coco_3.8g")
    whole = FlopCount(Supernet(network(True)), torch.empty(1, 3, 800, 1344), unit=1e9)(architecture)
    path = {label: option for label, option in architecture.items() if label.startswith("backbone.")}
    part = FlopCount(backbone("3.8g"), torch.empty(1, 3, 800, 1344), unit=1e9)(path)
    assert whole == pytest.approx(370, rel=BAR)
    assert part == pytest.approx(3.57 * (800 * 1344) / 224**2, rel=BAR)
    assert int(part) == 76


@pytest.mark.parametrize(
    ("option", "published"),
    [("dw3", 68e3), ("dw5", 72e3), ("at3", 590e3), ("at5", 1.64e6), ("df3", 652e3), ("df5", 2.12e6)],
)
def test_head_options_at_256_channels(option: str, published: float) -> None:
    with torch.device("meta"):
        layer = part_of(HeadOperator, option).build(256, 256)
    count = sum(parameter.numel() for parameter in layer.parameters())
    # 68,352 and 72,448 are given as whole thousands.
    assert count == pytest.approx(published, rel=BAR, abs=500)


def test_the_stems_and_stages_have_the_published_channels() -> None:
    for searched, widths in ((False, (48, 96, 240, 480, 960)), (True, (72, 172, 432, 864, 1728))):
        found = shapes(searched)
        assert found["backbone.stem.0.weight"] == (widths[0], 3, 3, 3)
        assert found["backbone.stem.0.bias"] == (widths[0],)
        laterals = [found[f"neck.pyramid.fpn.inner_blocks.{level}.0.weight"] for level in range(4)]
        assert laterals == [(256, width, 1, 1) for width in widths[1:]]


def test_layers_outside_of_the_backbone_have_the_published_shapes() -> None:
    found = shapes()
    expected = {
        "neck.pyramid.fpn.layer_blocks.3.0.weight": (256, 256, 3, 3),
        "rpn.head.conv.0.0.weight": (256, 256, 3, 3),
        "rpn.head.cls_logits.weight": (3, 256, 1, 1),
        "rpn.head.bbox_pred.weight": (12, 256, 1, 1),
        "roi_heads.box_head.1.weight": (1024, 12544),
        "roi_heads.box_head.4.weight": (1024, 1024),
        "roi_heads.box_predictor.classes.weight": (81, 1024),
        "roi_heads.box_predictor.boxes.weight": (324, 1024),
        "roi_heads.mask_head.3.0.at5.weight": (256, 256, 5, 5),
        "roi_heads.mask_predictor.0.weight": (256, 256, 2, 2),
        "roi_heads.mask_predictor.2.weight": (81, 256, 1, 1),
        "segmentation.layers.0.0.at3.weight": (128, 256, 3, 3),
        "segmentation.layers.2.0.at3.weight": (128, 128, 3, 3),
        "segmentation.score.weight": (54, 512, 1, 1),
    }
    assert {name: found[name] for name in expected} == expected
    without_bias = ("neck.pyramid.fpn.inner_blocks.0.0", "roi_heads.box_head.1", "roi_heads.box_head.4")
    assert not any(f"{name}.bias" in found for name in without_bias)
    assert "roi_heads.mask_head.4.0.dw3.depthwise.weight" not in found
    assert "segmentation.layers.3.0.dw3.depthwise.weight" not in found


@pytest.mark.parametrize(("reductions", "third"), [((4, 8, 16), 16), ((4, 8, 6), 6)])
def test_fusion_units_squeeze_by_their_reduction(reductions: tuple[int, int, int], third: int) -> None:
    """The published code reads r16 as 6, with which its weights go; here that is done on request."""
    config = load_config("coco", {"network.fusion_reductions": list(reductions)}).network_for(80, 53)
    with torch.device("meta"):
        found = {name: tuple(value.shape) for name, value in PanopticNetwork(config).state_dict().items()}
    for part, levels, channels, out in (("foreground_to_background", range(2, 6), 1024, 128),
                                        ("background_to_foreground", range(2, 7), 512, 256)):  # fmt: skip
        for level in levels:
            for option, reduction in (("r4", 4), ("r8", 8), ("r16", third)):
                unit = f"{part}.units.p{level}.{option}"
                assert found[f"{unit}.squeeze.weight"] == (out // reduction, channels)
                assert found[f"{unit}.excite.weight"] == (out, out // reduction)
        assert f"{part}.units.p{max(levels) + 1}.r4.squeeze.weight" not in found


def test_norms_have_the_published_constants() -> None:
    for searched, momentum in ((False, 0.1), (True, 0.01)):
        batch = [m for m in network(searched).modules() if isinstance(m, nn.BatchNorm2d)]
        assert {(one.eps, one.momentum) for one in batch} == {(1e-5, momentum)}
        groups = [m for m in network(searched).modules() if isinstance(m, nn.GroupNorm)]
        assert {one.num_groups for one in groups} == {32}
        # 8 of the FPN, 2 of the box head, 4 of the mask head, 3 of the segmentation branch.
        assert len(groups) == 17


def test_convolutions_of_blocks_have_no_bias_and_dilated_ones_keep_the_size() -> None:
    stages = network(False).backbone.stages
    assert all(one.bias is None for one in stages.modules() if isinstance(one, nn.Conv2d))
    for option, side in (("at3", 3), ("at5", 5)):
        with torch.device("meta"):
            layer = part_of(HeadOperator, option).build(8, 8)
        (one,) = [m for m in layer.modules() if isinstance(m, nn.Conv2d)]
        assert (one.kernel_size, one.dilation, one.padding) == ((side,) * 2, (2, 2), (side - 1,) * 2)
        assert one.bias is not None


def test_weights_are_drawn_as_published() -> None:
    small = {"pyramid_channels": 64, "norm_groups": 8, "box_hidden": 64, "segmentation_channels": 32}
    config = load_config("coco", {"width": "300m", "network": small}).network_for(80, 53)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = PanopticNetwork(config).state_dict()
    channels, taps = 64, 9
    expected = {
        "backbone.stem.0.weight": 0.01,
        "rpn.head.conv.0.0.weight": 0.01,
        "rpn.head.bbox_pred.weight": 0.01,
        # kaiming_uniform with a=1: bounds of sqrt(3 / fan_in).
        "neck.pyramid.fpn.layer_blocks.0.0.weight": 1 / math.sqrt(channels * taps),
        "roi_heads.mask_predictor.2.weight": math.sqrt(2 / 81),
        "roi_heads.mask_head.0.0.df3.weight": 1 / math.sqrt(3 * channels * taps),
        # xavier_normal: the mean of both fans.
        "roi_heads.mask_head.0.0.at3.weight": math.sqrt(2 / (2 * channels * taps)),
        "roi_heads.mask_head.0.0.dw3.pointwise.weight": math.sqrt(2 / (2 * channels)),
    }
    for name, deviation in expected.items():
        assert found[name].std().item() == pytest.approx(deviation, rel=0.1), name
    assert not found["roi_heads.mask_head.0.0.df3.offset.weight"].any()


def test_proposals_and_boxes_have_the_published_constants() -> None:
    config = PanopticConfig.coco()
    assert (config.anchor_sizes, config.anchor_ratios) == ((32, 64, 128, 256, 512), (0.5, 1.0, 2.0))
    assert (config.rpn_foreground_iou, config.rpn_background_iou, config.rpn_nms_iou) == (0.7, 0.3, 0.7)
    assert (config.rpn_samples, config.rpn_positive_fraction) == (256, 0.5)
    assert (config.rpn_pre_nms_train, config.rpn_pre_nms_test) == (2000, 1000)
    assert (config.rpn_post_nms_train, config.rpn_post_nms_test) == (2000, 1000)
    assert (config.box_foreground_iou, config.box_background_iou) == (0.5, 0.5)
    assert (config.box_samples, config.box_positive_fraction) == (512, 0.25)
    assert config.box_regression_weights == (10.0, 10.0, 5.0, 5.0)
    assert (config.box_score_threshold, config.box_nms_iou, config.detections_per_image) == (0.05, 0.5, 100)
    assert (config.box_roi_size, config.mask_roi_size, config.roi_sampling_ratio) == (7, 14, 2)
    assert (config.roi_canonical_size, config.segmentation_loss_weight) == (224, 0.3)


def test_each_option_runs_equally_often_in_a_cycle_of_12() -> None:
    space = Supernet(network(False)).space
    paths = FairPaths(space, seed=3)
    assert paths.cycle == 12
    drawn = [paths.path(step) for step in range(12)]
    expected = {"backbone": 3, "mask": 2, "segmentation": 2, "f2b": 4, "b2f": 4}
    for choice in space.choices:
        uses = Counter(path[choice.label] for path in drawn)
        assert set(uses.values()) == {expected[choice.label.split(".")[0]]}, choice.label
        assert len(uses) == len(choice.options)


def test_the_learning_rate_is_divided_by_the_uses_in_a_cycle() -> None:
    recipe = load_config("coco").supernet
    supernet = Supernet(network(False))
    optimizer = make_optimizer(recipe, supernet.module)
    places = places_of_parameters(supernet.module)
    split_groups(optimizer, places)
    paths = FairPaths(supernet.space)
    parameters = dict(supernet.module.named_parameters())
    expected = {
        "backbone.stages.c2.0.shuffle3.branch.0.weight": 0.02 / 3,
        "roi_heads.mask_head.0.0.at3.weight": 0.02 / 2,
        "roi_heads.mask_head.0.0.at3.bias": 0.04 / 2,
        "foreground_to_background.units.p2.r4.squeeze.weight": 0.02 / 4,
        "background_to_foreground.units.p6.r16.excite.bias": 0.04 / 4,
        "backbone.stem.0.weight": 0.02 / 12,
        "rpn.head.conv.0.0.bias": 0.04 / 12,
        "segmentation.layers.0.1.weight": 0.02 / 12,
    }
    with divided_rates(optimizer, places, [paths.path(step) for step in range(12)]):
        for name, rate in expected.items():
            (group,) = [one for one in optimizer.param_groups if any(p is parameters[name] for p in one["params"])]
            assert group["lr"] == pytest.approx(rate), name
            assert group["weight_decay"] == (0.0 if name.endswith("bias") else 1e-4), name
            assert group["momentum"] == 0.9
