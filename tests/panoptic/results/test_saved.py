"""Saved networks: whatever is wrong with a file, one line names it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from autopanoptic.nas import Architecture, RandomSearch, SearchSpace
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.results.saved import load_network, new_network, save_network
from autopanoptic.panoptic.search.first_candidates import first_candidates

Damage = Callable[[bytes], bytes]
FILES = ("config.json", "architecture.json", "weights.pt")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = PanopticConfig.scenes(2, 2)
    with torch.device("meta"):
        space = SearchSpace.from_module(PanopticNetwork(config))
    architecture = space.canonical({choice.label: choice.options[0] for choice in space.choices})
    folder = tmp_path_factory.mktemp("saved") / "network"
    save_network(new_network(config, architecture), architecture, folder)
    return folder


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "network"))


DAMAGES: dict[str, Damage] = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "random": lambda content: bytes(range(255, 128, -1)),
    "other keys": lambda content: b'{"some": "thing"}',
    "a list": lambda content: b"[1, 2]",
    "lists as values": lambda content: b'{"mask.0": []}',
}


@pytest.mark.parametrize("file", ["config.json", "architecture.json"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named_in_one_line(copy: Path, file: str, damage: str) -> None:
    path = copy / file
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.raises(ValueError, match=file) as raised:
        load_network(copy)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"PK"])
def test_damaged_weights_are_named(copy: Path, content: bytes) -> None:
    (copy / "weights.pt").write_bytes(content)
    with pytest.raises(ValueError, match=rf"weights\.pt \({len(content)} bytes\) is damaged"):
        load_network(copy)


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_named(copy: Path, file: str) -> None:
    (copy / file).unlink()
    with pytest.raises(ValueError, match=f"{file} is missing"):
        load_network(copy)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere: there is no such folder"):
        load_network(tmp_path / "nowhere")


def test_values_of_the_wrong_kind_are_refused(copy: Path) -> None:
    values = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**values, "neck": 3}))
    with pytest.raises(ValueError, match=r"config\.json.*neck must be one of"):
        load_network(copy)


def test_weights_of_another_shape_are_named(copy: Path) -> None:
    state = torch.load(copy / "weights.pt", weights_only=True)
    state["rpn.head.conv.0.0.weight"] = torch.zeros(3)
    torch.save(state, copy / "weights.pt")
    with pytest.raises(ValueError, match=r"rpn\.head\.conv\.0\.0\.weight is \(3,\), not \(48, 48, 3, 3\)"):
        load_network(copy)


def test_an_architecture_with_a_backbone_fits_no_fixed_one(saved: Path) -> None:
    architecture, fixed = Architecture.load(saved / "architecture.json"), PanopticConfig.scenes(2, 2)
    beside = (
        r"chooses the blocks of a searched backbone \(6 choices, such as backbone\.0\), but the backbone is resnet50"
    )
    with pytest.raises(ValueError, match=beside):
        new_network(replace(fixed, backbone="resnet50"), architecture)
    with torch.device("meta"):
        space = SearchSpace.from_module(PanopticNetwork(replace(fixed, backbone="resnet50")))
    with pytest.raises(ValueError, match=f"{beside}; take --backbone search"):
        first_candidates(saved / "architecture.json", space, replace(fixed, backbone="resnet50"), RandomSearch())


def test_a_saved_network_is_loaded(copy: Path) -> None:
    state = torch.load(copy / "weights.pt", weights_only=True)
    network = load_network(copy)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert Architecture.load(copy / "architecture.json")
