"""The configs of the published networks: backbones by their widths, the schedules of the papers, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autopanoptic.panoptic.configs.config import change_settings, load_config, values_of
from autopanoptic.panoptic.configs.layers import ConfigError
from autopanoptic.panoptic.configs.widths import WIDTHS
from autopanoptic.panoptic.data.converters.ade20k import CHALLENGE
from autopanoptic.panoptic.model.config import PanopticConfig

PUBLISHED = ("coco", "ade20k", "cityscapes")
SHAPES: dict[str, tuple[int, tuple[int, ...], tuple[int, ...]]] = {
    "300m": (16, (64, 160, 320, 640), (4, 4, 8, 4)),
    "1.3g": (48, (96, 240, 480, 960), (8, 8, 16, 8)),
    "3.8g": (72, (172, 432, 864, 1728), (8, 8, 16, 8)),
}


def shape(config: PanopticConfig | None) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    assert config is not None
    return config.stem_width, config.stage_widths, config.stage_depths


@pytest.mark.parametrize("name", PUBLISHED)
def test_supernets_are_narrow_and_found_networks_wide(name: str) -> None:
    found = load_config(name)
    assert (shape(found.network), shape(found.retrained_network)) == (SHAPES["1.3g"], SHAPES["3.8g"])
    assert (found.network.batch_norm_momentum, found.network_for(1, 1, retrained=True).batch_norm_momentum) == (
        0.1,
        0.01,
    )
    assert (found.search.space, found.search.strategy, found.search.trials) == ("auto-panoptic", "path-priority", 61)
    assert found.search.recalibration_batches == 500


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_width_is_that_of_supernet_and_found_network(name: str, width: str) -> None:
    plain, found = load_config(name), load_config(name, {"width": width.upper()})
    assert shape(found.network) == shape(found.retrained_network) == SHAPES[width]
    sizes = dict(zip(("stem_width", "stage_widths", "stage_depths"), SHAPES["1.3g"], strict=True))
    assert replace(found.network, **sizes) == plain.network  # type: ignore[arg-type]  # nothing else has changed
    assert "width" not in values_of(found)


def test_a_file_names_widths_and_what_differs_from_them(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("base: coco\nwidth: 300m\nretrained_network: {width: 1.3G, stem_width: 32}\n")
    found = load_config(mine)
    assert shape(found.network) == SHAPES["300m"]
    assert shape(found.retrained_network) == (32, *SHAPES["1.3g"][1:])
    assert shape(load_config(mine, {"network.width": "3.8g"}).network) == SHAPES["3.8g"]
    assert shape(change_settings(found, {"retrained_network.width": "300m"}).retrained_network) == SHAPES["300m"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("width: 2g", "mine.yaml, line 2: width must be one of 300m, 1.3g, 3.8g, not '2g'"),
        ("network: {width: 1.3}", "mine.yaml, line 2: network.width must be one of 300m, 1.3g, 3.8g, not 1.3"),
        ("quick: {network: {width: x}}", "mine.yaml, line 2: network.width must be one of 300m, "),
    ],
)
def test_an_unknown_width_is_refused_by_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(f"base: coco\n{text}\n")
    with pytest.raises(ConfigError) as error:
        load_config(tmp_path / "mine.yaml")
    assert message in str(error.value)


@pytest.mark.parametrize(("name", "changes"), [("scenes", {}), ("coco", {"search.space": "elastic"})])
def test_a_width_is_refused_where_channels_are_choices(name: str, changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"changes: width: .* those of search\.space auto-panoptic; .*c2_widths"):
        load_config(name, {"width": "1.3g", **changes})


def test_the_schedule_of_ade20k_is_the_papers_24_epochs() -> None:
    """Wu et al. 2020, section 4: 24 epochs, the learning rate 0.02 a tenth from the 16th and the 22nd on."""
    found, coco = load_config("ade20k"), load_config("coco")
    images = CHALLENGE["train"] - 2000
    for recipe in (found.supernet, found.retrain):
        assert (recipe.learning_rate, recipe.batch_size) == (0.02, 16)
        assert recipe.passes * recipe.batch_size / images == pytest.approx(24, abs=0.01)
    assert [round(24 * update / found.retrain.passes, 2) for update in found.retrain.milestones] == [16, 22]
    assert found.supernet.passes % 12 == 0
    assert found.supernet.warmup / found.supernet.updates(12) == pytest.approx(250 / 7500, abs=0.001)
    assert (found.data.orientation, found.data.short_side, found.merge) == ("ignore", 800, coco.merge)


def test_the_schedule_of_cityscapes_is_upsnets() -> None:
    found = load_config("cityscapes")
    recipe = found.retrain
    assert (recipe.passes, recipe.milestones, recipe.learning_rate, recipe.warmup) == (12_000, (9000,), 0.02, 1500)
    assert (found.data.short_side, found.data.long_side, found.merge.stuff_area) == (1024, 2048, 2048)
    assert [1024 * factor for factor in recipe.scale_jitter] == [800, 1024]
    assert found.network.segmentation_loss_weight == found.network_for(8, 11, retrained=True).segmentation_loss_weight
    assert found.supernet.passes % 12 == 0


@pytest.mark.parametrize("section", ["network", "retrained_network"])
def test_a_width_is_that_of_the_searched_backbone(section: str) -> None:
    changes = {f"{section}.backbone": "resnet50"}
    assert load_config("coco", changes).backbone(retrained=section != "network") == "resnet50"
    with pytest.raises(ConfigError, match=r"width: .* those of the searched backbone, not of resnet50\. Leave one"):
        load_config("coco", {**changes, "width": "3.8g"})
