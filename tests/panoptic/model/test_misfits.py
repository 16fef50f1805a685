"""What is said of weights that are another network's: the values that differ, and what to do."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.data.categories import Categories, Category
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.misfits import STUFF, reason
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.weights import difference
from autopanoptic.panoptic.results import starting
from autopanoptic.panoptic.results.saved import new_network
from autopanoptic.panoptic.search.architecture_files import load_shipped
from autopanoptic.panoptic.stages.starts import check_start

State = dict[str, Any]


@cache
def supernet(width: str, things: int = 80, stuff: int = 53) -> PanopticNetwork:
    with torch.device("meta"):
        return PanopticNetwork(load_config("coco", {"width": width}).network_for(things, stuff))


def state(width: str, things: int = 80, stuff: int = 53) -> State:
    return dict(supernet(width, things, stuff).state_dict())


def backbone(width: str) -> State:
    return dict(supernet(width).backbone.state_dict())


def categories(things: int, stuff: int) -> Categories:
    return Categories(
        [Category(number + 1, f"c{number}", number < things, (number % 256, 1, 2)) for number in range(things + stuff)]
    )


def test_weights_that_fit_have_no_reason() -> None:
    assert reason(state("1.3g"), state("1.3g")) is None
    assert difference(state("1.3g"), state("1.3g")) is None
    assert reason({"weight": torch.zeros(2)}, {"bias": torch.zeros(2)}) is None


@pytest.mark.parametrize(("own", "found"), [("1.3g", "3.8g"), ("3.8g", "1.3g"), ("1.3g", "300m")])
def test_another_width_is_named_with_the_option_that_takes_it(own: str, found: str) -> None:
    channels = {"300m": 16, "1.3g": 48, "3.8g": 72}
    expected = (
        f"they are of width {found} ({channels[found]} channels in the stem), the network is of width {own} "
        f"({channels[own]} channels in the stem); take --width {found}, or other weights"
    )
    for theirs in (state(found), backbone(found)):
        for mine in (state(own), backbone(own)):
            assert reason(mine, theirs) == expected
    told = difference(state(own), state(found))
    assert told is not None
    assert told.startswith(f"{expected}. ")


def test_a_width_of_no_name_is_said_by_its_channels() -> None:
    odd = {**backbone("1.3g"), "stem.0.weight": torch.empty(20, 3, 3, 3, device="meta")}
    told = reason(backbone("1.3g"), odd)
    assert told is not None
    assert "another width (20 channels in the stem), the network is of width 1.3g" in told
    assert told.endswith("take other weights")


def test_widths_are_those_of_the_published_space_alone() -> None:
    """A stem of 16 channels is that of the width 300m, and of many other backbones."""
    config = load_config("scenes").network_for(80, 53)
    with torch.device("meta"):
        narrow, wide = (PanopticNetwork(replace(config, stem_width=stem)).state_dict() for stem in (8, 16))
    told = str(reason(dict(narrow), dict(wide)))
    assert "another width (16 channels in the stem), the network is of another width (8 channels in the stem)" in told
    assert told.endswith("; take other weights")
    told = str(reason(dict(narrow), state("300m")))
    assert "they are of width 300m (16 channels in the stem)" in told
    assert told.endswith("; take other weights")  # there is no --width in this space


@pytest.mark.parametrize(
    ("mine", "theirs", "told"),
    [
        ("resnet50", "search", "they are of a searched backbone, the network has resnet50; take --backbone search, or"),
        ("search", "resnet50", "they are of resnet50, the network has a searched backbone; take --backbone resnet50"),
        ("resnet50", "efficientnet-lite0", "they are of efficientnet-lite0, the network has resnet50; take --backbone"),
    ],
)
def test_stems_of_other_backbones_are_no_widths(mine: str, theirs: str, told: str) -> None:
    states = {}
    with torch.device("meta"):
        for name in (mine, theirs):
            config = replace(PanopticConfig.scenes(3, 2), backbone=name)
            states[name] = dict(PanopticNetwork(config).state_dict())
    assert str(reason(states[mine], states[theirs])).startswith(told)
    assert str(difference(states[mine], states[theirs])).startswith(told)


def test_classes_are_counted() -> None:
    own = state("300m")
    assert reason(own, state("300m", 100, 50)) == (
        "they are of 100 thing classes, the data has 80 and of 50 stuff classes, the data has 53; take weights of the "
        "same classes, or the backbone alone"
    )
    assert "they are of 50 stuff classes, the data has 53; take" in str(
        reason(own, {**own, STUFF: torch.empty(51, 512)})
    )


@pytest.mark.parametrize("model", ["panoptic-fpn", "upsnet", "bgrnet"])
def test_classes_of_heads_that_score_all_of_them_are_counted(model: str) -> None:
    settings = load_config("scenes", {"search.space": "auto-panoptic", "network.model": model})
    with torch.device("meta"):
        own, more, other = (
            dict(PanopticNetwork(settings.network_for(*kinds)).state_dict()) for kinds in ((3, 2), (5, 2), (4, 1))
        )
    assert str(reason(own, more)).startswith("they are of 5 thing classes, the data has 3; take")
    assert str(reason(own, other)).startswith(
        "they are of 4 thing classes, the data has 3 and of 1 stuff classes, the data has 2; take"
    )


def test_one_architecture_and_a_supernet_are_told_apart() -> None:
    architecture = load_shipped("coco_3.8g")
    with torch.device("meta"):
        single = dict(new_network(PanopticConfig.coco(searched=True), architecture).state_dict())
    whole = state("3.8g")
    assert reason(whole, single) == (
        "they are of one architecture, and here those of every option are needed; take a supernet's, such as "
        "supernet/supernet.pt of a run"
    )
    assert "they are of a whole supernet, and the network is one architecture's" in str(reason(single, whole))


@pytest.mark.parametrize(
    ("width", "given", "part", "message"),
    [
        ("1.3g", "3.8g", "backbone", r"every option of the backbone: they are of width 3\.8g .*; take --width 3\.8g"),
        ("3.8g", "1.3g", "all", r"every option of the networks .*: they are of width 1\.3g .*; take --width 1\.3g"),
    ],
)
def test_weights_of_another_width_are_refused_before_anything_is_trained(
    width: str, given: str, part: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.pt"
    path.touch()
    monkeypatch.setattr(starting, "read_tensors", lambda path: state(given))
    settings = load_config("coco", {"width": width, "init": str(path), "init_part": part})
    with pytest.raises(ValueError, match=rf"init: .*w\.pt does not hold .*{message}"):
        check_start(settings, categories(80, 53))
