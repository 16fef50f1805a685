import json
from dataclasses import replace

import pytest

from autopanoptic.panoptic.model.config import PanopticConfig

PRESETS = [PanopticConfig.scenes(5, 4), PanopticConfig.coco(), PanopticConfig.coco(100, 50, searched=True)]


@pytest.mark.parametrize("config", PRESETS)
def test_json_round_trip_gives_an_equal_hashable_config(config: PanopticConfig) -> None:
    again = PanopticConfig.from_json(json.loads(json.dumps(config.to_json())))
    assert again == config
    assert hash(again) == hash(config)


def test_json_without_a_field_takes_the_default() -> None:
    values = PanopticConfig.coco().to_json()
    del values["neck"]
    assert PanopticConfig.from_json(values) == PanopticConfig.coco()


def test_presets_have_the_published_widths() -> None:
    assert PanopticConfig.coco().stage_widths == (96, 240, 480, 960)
    searched = PanopticConfig.coco(searched=True)
    assert (searched.stem_width, *searched.stage_widths) == (72, 172, 432, 864, 1728)
    assert searched.batch_norm_momentum == 0.01
    assert sum(PanopticConfig.coco().stage_depths) == 40


def test_the_published_network_keeps_the_published_forms() -> None:
    for config in PRESETS[1:]:
        assert (config.backbone_init, config.roi_aligned, config.mask_aligned) == ("published", False, False)
        assert config.segmentation_loss_weight == 0.3
        assert config.segmentation_align_corners
        assert not config.padding_ignored
    scenes = PRESETS[0]
    assert (scenes.backbone_init, scenes.roi_aligned, scenes.mask_aligned) == ("fan_in", True, True)
    assert scenes.loss_weights()["segmentation"] == pytest.approx(2.0, abs=0.01)
    for config in (scenes, PanopticConfig()):
        assert not config.segmentation_align_corners
        assert config.padding_ignored


def test_one_factor_multiplies_the_losses_of_pixels_in_any_model() -> None:
    config = PanopticConfig(pixel_loss_factor=10.0, relation_loss_weight=3.0)
    assert config.loss_weights() == pytest.approx(
        {
            "segmentation": 3.0, "first_segmentation": 3.0, "roi_segmentation": 0.4, "first_roi_segmentation": 0.4,
            "panoptic": 1.0, "relation": 3.0,
        }
    )  # fmt: skip
    own = config.loss_weights({"segmentation": 0.2, "relation": 1.0})
    assert (own["segmentation"], own["first_segmentation"], own["panoptic"], own["relation"]) == (2.0, 2.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone_init": "xavier"}, "backbone_init must be one of published, fan_in, not 'xavier'"),
        ({"mask_aligned": 1}, "mask_aligned must be true or false, not 1"),
        ({"num_things": -1}, "num_things must be an integer of at least 0, not -1"),
        ({"num_things": 0, "num_stuff": 0}, "num_things and num_stuff are both 0; a network needs at least one class"),
        ({"stem_width": 0}, "stem_width must be an integer of at least 1, not 0"),
        ({"num_things": True}, "num_things must be an integer"),
        ({"num_stuff": 255}, "at most 254"),
        ({"neck": "nasfpn"}, "neck must be one of fpn, panet, bifpn, search, not 'nasfpn'"),
        ({"stage_widths": (24, 48, 96)}, "stage_widths must hold 4 numbers"),
        ({"stage_widths": (25, 48, 96, 128)}, "even .*not 25"),
        ({"stage_widths": (24, 48, 48, 128)}, "must grow from stem_width 16 on"),
        ({"stage_widths": "wide"}, "must be a sequence, not 'wide'"),
        ({"box_regression_weights": (10, 10, 5)}, r"box_regression_weights must hold 4 numbers, not \[10, 10, 5\]"),
        ({"rpn_regression_weights": (1, 1, 0, 1)}, "rpn_regression_weights must hold positive numbers, not 0"),
        ({"anchor_ratios": (0.5, -1.0)}, "positive numbers, not -1.0"),
        ({"norm_groups": 7}, "pyramid_channels must be a multiple of norm_groups 7, not 48"),
        ({"box_nms_iou": 1.5}, r"box_nms_iou must lie in \[0, 1\], not 1.5"),
        ({"mask_threshold": float("nan")}, "finite number, not nan"),
        ({"rpn_background_iou": 0.8}, "rpn_background_iou 0.8 must not exceed"),
        ({"batch_norm_momentum": 0.0}, r"\(0, 1\]"),
        ({"segmentation_loss_weight": -0.3}, "segmentation_loss_weight must not be negative, not -0.3"),
        ({"pixel_loss_factor": -1.0}, "pixel_loss_factor must not be negative, not -1.0"),
        ({"image_divisor": 48}, "multiple of the stride 32"),
        ({"segmentation_channels": 8}, "largest of fusion_reductions, 16, not 8"),
    ],
)
def test_a_bad_field_is_named_with_its_value(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(PRESETS[0], **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_thing": 3}, "no field 'num_thing'; did you mean 'num_things'"),
        ({"stage_depths": [1, 2, 2, 0]}, "at least 1, not 0"),
    ],
)
def test_bad_json_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PanopticConfig.from_json(values)
