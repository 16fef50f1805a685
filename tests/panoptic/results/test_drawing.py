"""The picture of a network, and what it is drawn from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from autopanoptic.nas import Architecture, Supernet
from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.operators.options import BLOCK_OPTIONS
from autopanoptic.panoptic.report.found import _parts
from autopanoptic.panoptic.results.drawing import draw_network
from autopanoptic.panoptic.results.outline import Layer, Outline, _in_order


def a_network(config: PanopticConfig, **options: str) -> tuple[PanopticNetwork, Architecture]:
    with torch.device("meta"):
        supernet = Supernet(PanopticNetwork(config))
        architecture = supernet.space.sample(np.random.default_rng(0))
        architecture = supernet.space.canonical({**architecture, **options})
        network = supernet.subnet(architecture, inherit=False)
    assert isinstance(network, PanopticNetwork)
    return network, architecture


def test_an_outline_has_the_operators_and_widths_of_every_part() -> None:
    config = replace(PanopticConfig.scenes(3, 2), neck="search")
    network, architecture = a_network(config, neck="panet", **{"backbone.2": "xception3", "mask.1": "at5"})
    outline = Outline.of(network, architecture)
    assert outline.stem == 16
    assert {name: [layer.width for layer in blocks] for name, blocks in outline.stages.items()} == {
        "C2": [24], "C3": [48, 48], "C4": [96, 96], "C5": [128]
    }  # fmt: skip
    blocks = [layer.operator for blocks in outline.stages.values() for layer in blocks]
    assert blocks == [architecture[f"backbone.{index}"] for index in range(6)]
    assert blocks[2] == "xception3"
    assert (outline.neck, outline.pyramid) == ("panet", {f"P{level}": 48 for level in range(2, 7)})
    assert outline.segmentation == tuple(Layer(architecture[f"segmentation.{i}"], 24) for i in range(2))
    assert outline.mask == (Layer(architecture["mask.0"], 48), Layer("at5", 48))
    assert outline.box == (128, 128)
    assert outline.to_background == {f"P{i}": architecture[f"f2b.p{i}"] for i in range(2, 6)}
    assert outline.to_foreground == {f"P{i}": architecture[f"b2f.p{i}"] for i in range(2, 7)}
    assert (outline.things, outline.stuff, outline.roi_sizes) == (3, 2, (7, 10))


def test_the_blocks_of_a_fixed_backbone_name_themselves() -> None:
    network, architecture = a_network(replace(PanopticConfig.scenes(3, 2), backbone="efficientnet-lite0"))
    stages = Outline.of(network, architecture).stages
    assert stages["C2"] == (Layer("ir3", 16), Layer("ir3", 24), Layer("ir3", 24))
    assert stages["C3"] == (Layer("ir5", 40), Layer("ir5", 40))
    blocks = ("shuffle3", "xception3", "shuffle5", "shuffle7", "shuffle3", "shuffle3")
    found = replace(PanopticConfig.scenes(3, 2), backbone="shufflenet", backbone_blocks=blocks)
    network, architecture = a_network(found)
    drawn = [layer.operator for stage in Outline.of(network, architecture).stages.values() for layer in stage]
    assert drawn == list(blocks)


def test_blocks_are_counted_not_spelled() -> None:
    labels = [f"backbone.{index}" for index in (10, 2, 1, 39)]
    assert sorted(labels, key=_in_order) == [f"backbone.{index}" for index in (1, 2, 10, 39)]
    network, architecture = a_network(replace(PanopticConfig.scenes(3, 2), stage_depths=(1, 2, 12, 1)))
    outline = Outline.of(network, architecture)
    assert [layer.operator for layer in outline.stages["C4"]] == [architecture[f"backbone.{i}"] for i in range(3, 15)]


@pytest.mark.parametrize(
    ("model", "layers", "reading", "scored", "components"),
    [
        (
            "panoptic-fpn", [Layer("conv3", 24)] * 4, "one stack for each of P2 to P5, added", "2 stuff classes", {},
        ),
        (
            "upsnet", [Layer("deform3", 48), Layer("deform3", 24)], "shared by P2 to P5",
            "2 stuff and 3 thing classes", {"panoptic head": "upsnet"},
        ),
        (
            "bgrnet", [Layer("deform3", 48), Layer("deform3", 24)], "shared by P2 to P5",
            "2 stuff and 3 thing classes", {"fusion": "graph"},
        ),
    ],
)  # fmt: skip
def test_published_models_are_outlined_as_they_are(
    model: str, layers: list[Layer], reading: str, scored: str, components: dict[str, str], tmp_path: Path
) -> None:
    settings = load_config("scenes", {"search.space": "auto-panoptic", "network.model": model})
    network, architecture = a_network(settings.network_for(3, 2))
    outline = Outline.of(network, architecture)
    assert (list(outline.segmentation), outline.reading, outline.scored) == (layers, reading, scored)
    assert outline.in_turn == (model != "panoptic-fpn")
    assert outline.components == components
    rows = dict(_parts(outline).rows)
    told = f"{', '.join(f'{one.operator} {one.width}' for one in layers)}; scores {scored}"
    assert rows[f"segmentation head ({reading})"][0].text == told
    assert {name: rows[name][0].text for name in components} == components
    draw_network(network, architecture, tmp_path / "network.png")


@pytest.mark.parametrize(("things", "stuff"), [(3, 2), (3, 0), (0, 2)])
def test_networks_of_all_kinds_are_drawn(tmp_path: Path, things: int, stuff: int) -> None:
    network, architecture = a_network(PanopticConfig.scenes(things, stuff))
    before = {name: value.device for name, value in network.state_dict().items()}
    path = draw_network(network, architecture, tmp_path / "new" / "network.png", "a $ network")
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.width > picture.height > 300
        # Boxes of the blocks' colors are there.
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 50
    assert {name: value.device for name, value in network.state_dict().items()} == before
    assert not any(module._forward_hooks for module in network.modules())


def test_an_elastic_network_is_outlined_in_the_sizes_it_has(tmp_path: Path) -> None:
    config = replace(PanopticConfig.scenes(3, 2), space="elastic", elastic_blocks=BLOCK_OPTIONS)
    with torch.device("meta"):
        supernet = Supernet(PanopticNetwork(config))
        sizes = {
            "backbone.c3.depth": 3,
            "backbone.c3.width": 96,
            "mask.depth": 1,
            "mask.width": 72,
            "pyramid.width": 36,
        }
        drawn = {choice.label: choice.options[-1] for choice in supernet.space.choices}
        architecture = supernet.space.canonical({**drawn, **sizes, "backbone.c3.1": "shuffle7"})
        network = supernet.subnet(architecture, inherit=False)
    assert isinstance(network, PanopticNetwork)
    outline = Outline.of(network, architecture)
    assert outline.stages["C3"] == (Layer("xception3", 96), Layer("shuffle7", 96), Layer("xception3", 96))
    assert outline.mask == (Layer("at5", 72),)
    assert [layer.width for layer in outline.segmentation] == [48, 48, 48]
    assert set(outline.pyramid.values()) == {36}
    draw_network(network, architecture, tmp_path / "network.png")
