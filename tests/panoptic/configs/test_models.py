"""The published systems by name: what each name stands for, and what stands beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from autopanoptic.panoptic.configs.config import load_config, values_of
from autopanoptic.panoptic.configs.layers import ConfigError
from autopanoptic.panoptic.configs.models import MODELS, name_of
from autopanoptic.panoptic.model.fusion.connections import Connections
from autopanoptic.panoptic.model.parts.kinds import COMPONENTS, BranchFusion
from autopanoptic.panoptic.model.parts.registry import own_parts, register


def test_the_networks_that_are_searched_anyway_are_auto_panoptics() -> None:
    for config in ("scenes", "coco", "cityscapes"):
        assert load_config(config, {"network.model": "Auto-Panoptic"}) == load_config(config)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_its_parts_its_losses_and_its_rules_in_every_config(name: str) -> None:
    model = MODELS[name]
    assert {*model.parts, "box_head"} == set(COMPONENTS)
    for config in ("scenes", "coco"):
        found, plain = load_config(config, {"network.model": name}), values_of(load_config(config))
        values = values_of(found)
        expected = {"network": {**model.parts, **model.network}, "merge": model.merge}
        for section, given in expected.items():
            assert values[section] == {**plain[section], **given}
        assert "model" not in values["network"]
        assert name_of(values["network"]) == name
        if found.retrained_network is not None:
            assert name_of(vars(found.retrained_network)) == name


BY_SCORE = {"order": "score", "overlap_threshold": 0.3, "score_threshold": 0.6}
PAPERS: dict[str, tuple[dict[str, float], dict[str, object]]] = {
    "auto-panoptic": ({"segmentation": 0.3}, {}),
    "panoptic-fpn": ({"segmentation": 0.5}, {"order": "score"}),
    "upsnet": ({"segmentation": 0.2, "roi_segmentation": 0.04, "panoptic": 0.1}, BY_SCORE),
    "sognet": ({"segmentation": 0.2, "roi_segmentation": 0.04, "panoptic": 0.1, "relation": 1.0}, BY_SCORE),
    "bgrnet": ({"first_segmentation": 0.25, "segmentation": 0.25, "roi_segmentation": 0.0}, {"order": "score"}),
}
"""What each paper, or here for BGRNet what the guide says, gives its losses and its rules."""


@pytest.mark.parametrize("name", MODELS)
def test_losses_weigh_and_maps_are_made_as_the_papers_say(name: str) -> None:
    found = load_config("coco", {"network.model": name})
    losses, rules = PAPERS[name]
    weights = found.network.loss_weights()
    assert {loss: weights[loss] for loss in losses} == losses
    assert {rule: getattr(found.merge, rule) for rule in rules} == rules


def test_components_of_fixed_widths_are_refused_in_the_space_of_widths_when_the_config_is_read() -> None:
    with own_parts():
        register(BranchFusion("rigid", lambda *_: Connections()))
        with pytest.raises(
            ConfigError, match=r"network\.fusion: the fusion 'rigid' is registered for .* auto-panoptic$"
        ):
            load_config("scenes", {"network.fusion": "rigid"})
        load_config("scenes", {"network.fusion": "rigid", "search.space": "auto-panoptic"})


def test_what_stands_beside_a_name_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "base: scenes\nnetwork: {model: panoptic-fpn, segmentation_loss_weight: 2.5}\nmerge: {score_threshold: 0.3}\n"
    )
    found = load_config(file)
    assert (found.network.segmentation_loss_weight, found.network.box_head) == (2.5, "two-fc")
    assert (found.merge.score_threshold, found.merge.stuff_area) == (0.3, 64)
    again = load_config(file, {"network.model": "panoptic-fpn", "merge.order": "reference"})
    assert (again.network.segmentation_loss_weight, again.merge.order) == (0.5, "reference")
    assert name_of({**MODELS["panoptic-fpn"].parts, "mask_head": "searched"}) is None


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("below", ["upsnet", "bgrnet"])
def test_nothing_is_left_of_a_name_below_another(tmp_path: Path, below: str, name: str) -> None:
    first, second, other = (tmp_path / f"{stem}.yaml" for stem in ("first", "second", "other"))
    own = "merge: {stuff_area: 7}\nsearch: {space: auto-panoptic}\nsupernet: {passes: 24}"
    first.write_text(f"base: scenes\nnetwork: {{model: {below}, mask_layers: 2}}\n{own}\n")
    second.write_text(f"base: first.yaml\nnetwork: {{model: {name}}}\n")
    other.write_text(f"base: scenes\nnetwork: {{mask_layers: 2}}\n{own}\nquick: {{network: {{model: {below}}}}}\n")
    expected = load_config(other, {"network.model": name})
    assert load_config(first, {"network.model": name}) == load_config(second) == expected
    quick = load_config(other, quick=True)
    assert load_config(other, {"network.model": name}, quick=True).network == expected.network
    assert name_of(vars(quick.network)) == below
    # Another value of the same part of the config is no name.
    changed = load_config(first, {"network.mask_layers": 3})
    assert name_of(vars(changed.network)) == below
    assert changed.network.box_head == "two-fc"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "network: {model: panoptic-fp}",
            "mine.yaml, line 2: network.model must be one of auto-panoptic, .*did you me",
        ),
        ("network: {model: 3}", "line 2: network.model must be one of auto-panoptic, panoptic-fpn.*, not 3"),
        ("quick: {network: {model: x}}", "line 2: network.model must be one of"),
        ("retrained_network: {model: panoptic-fpn}", "retrained_network.model: unknown key"),
        (
            "network: {model: panoptic-fpn, fusion: attention}",
            "the fusion 'attention' needs features of stuff at P2 to P5, which the semantic head 'panoptic-fpn' does",
        ),
    ],
)
def test_what_is_no_model_is_refused_by_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(f"base: scenes\n{text}\n")
    with pytest.raises(ConfigError, match=message):
        load_config(tmp_path / "mine.yaml")
