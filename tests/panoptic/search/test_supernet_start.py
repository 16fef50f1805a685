"""The weights with which a supernet begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from autopanoptic.nas import Supernet
from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.weights import save_weights
from autopanoptic.panoptic.results.backbones import backbone_part, save_backbone
from autopanoptic.panoptic.run.weights import network_weights, supernet_weights
from autopanoptic.panoptic.search.strategies import hand_made
from autopanoptic.panoptic.search.supernet_start import begin as begin_with
from autopanoptic.panoptic.search.supernet_start import describe_start
from autopanoptic.panoptic.stages import supernet
from autopanoptic.panoptic.stages.networks import build, network_config
from autopanoptic.panoptic.stages.settings import Settings
from autopanoptic.panoptic.training.training import Training

SCENES = load_config("scenes")


def settings(path: Path, **changes: Any) -> Settings:
    return load_config("scenes", {"supernet_init": str(path), "machine.device": "cpu", **changes})


@pytest.fixture(scope="module")
def other(datasets: Datasets) -> PanopticNetwork:
    return build(network_config(SCENES, datasets.train.categories), seed=7)


def begin(how: Settings, config: PanopticConfig) -> PanopticNetwork:
    return begin_with(build(config, how.seed), how.supernet_init)


def check_supernet_start(how: Settings, categories: Categories) -> str:
    return describe_start(build(network_config(how, categories), 0), how.supernet_init)


def taken(found: PanopticNetwork, other: PanopticNetwork, prefix: str) -> bool:
    theirs = other.state_dict()
    own = {name: value for name, value in found.state_dict().items() if name.startswith(prefix)}
    return bool(own) and all(torch.equal(value, theirs[name]) for name, value in own.items())


def test_a_whole_supernet_is_taken(other: PanopticNetwork, datasets: Datasets, tmp_path: Path) -> None:
    save_weights(other, tmp_path / "w.pt")
    how = settings(tmp_path / "w.pt")
    assert taken(begin(how, other.config), other, "")
    said = check_supernet_start(how, datasets.train.categories)
    assert said.startswith(
        f"The supernet begins with {len(other.state_dict())} tensors of {tmp_path / 'w.pt'} (backbone "
    )
    assert "left out" not in said
    assert "drawn" not in said


def test_of_other_classes_the_backbone_is_taken_and_the_rest_is_named(
    other: PanopticNetwork, datasets: Datasets, tmp_path: Path
) -> None:
    foreign = build(SCENES.network_for(9, 4), seed=5)
    save_weights(foreign, tmp_path / "w.pt")
    how = settings(tmp_path / "w.pt")
    found = begin(how, other.config)
    assert taken(found, foreign, "backbone.")
    assert taken(found, build(other.config, SCENES.seed), "neck.")
    said = check_supernet_start(how, datasets.train.categories)
    heads = len([name for name in foreign.state_dict() if name.startswith("roi_heads.")])
    assert (
        f"left out of it are {len([n for n in foreign.state_dict() if not n.startswith('backbone.')])} (neck " in said
    )
    assert f"roi_heads {heads}" in said
    assert "; drawn from the seed are " in said


def test_a_pretrained_backbone_is_taken_from_its_file(other: PanopticNetwork, tmp_path: Path) -> None:
    save_backbone(other.backbone, tmp_path / "backbone.pt")
    found = begin(settings(tmp_path / "backbone.pt"), other.config)
    assert taken(found, other, "backbone.")
    assert not taken(found, other, "neck.")


def test_what_does_not_fit_is_refused_by_name(other: PanopticNetwork, datasets: Datasets, tmp_path: Path) -> None:
    def refused(message: str, **changes: Any) -> None:
        with pytest.raises(ValueError, match=message):
            check_supernet_start(settings(tmp_path / "w.pt", **changes), datasets.train.categories)

    path = tmp_path / "w.pt"
    space = Supernet(other).space
    save_backbone(other.backbone, path, backbone_part(hand_made(space)))
    refused("holds the backbone of one architecture alone")
    save_weights(other, path)
    refused(r"search\.space auto-panoptic\): \d+ missing", **{"search.space": "auto-panoptic"})
    refused(r"\d+ of another shape.* backbone\.stem", **{"network.stem_width": 8})
    torch.save([1], path)
    refused("holds a list, not a state dict")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"supernet_init: .*w\.pt is neither scratch nor a file"):
        check_supernet_start(settings(path), datasets.train.categories)


def test_a_trained_supernet_outlives_the_file_that_it_began_with(
    other: PanopticNetwork, datasets: Datasets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[PanopticNetwork] = []
    compared: list[bool] = []

    def train(network: PanopticNetwork, training: Training, folder: Path, **_: Any) -> None:
        begun.append(network)
        assert taken(network, other, "")

    monkeypatch.setattr(supernet, "train", train)
    monkeypatch.setattr(supernet, "require_training", lambda *_, any_start: compared.append(any_start))
    save_weights(other, tmp_path / "w.pt")
    how = settings(tmp_path / "w.pt", largest=None)
    supernet.train_supernet(how, datasets, tmp_path / "run", progress=False)
    assert len(begun) == 1
    supernet.train_supernet(how, datasets, tmp_path / "run", progress=False)
    (tmp_path / "w.pt").unlink()
    supernet.train_supernet(how, datasets, tmp_path / "run", progress=False)
    assert compared == [False, True]
    with pytest.raises(FileNotFoundError, match="supernet_init"):
        supernet.train_supernet(how, datasets, tmp_path / "new", progress=False)


def test_runs_and_pretrainings_are_found_by_their_names(
    other: PanopticNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run, pretraining = Path("runs/pets"), Path("runs/pretraining")
    save_weights(other, run / "supernet" / "supernet.pt")
    save_backbone(other.backbone, pretraining / "supernet" / "backbone.pt")
    assert supernet_weights("pets") == {"supernet_init": str(run / "supernet" / "supernet.pt")}
    assert supernet_weights("runs/pretraining") == {"supernet_init": str(pretraining / "supernet" / "backbone.pt")}
    assert supernet_weights("scratch") == {"supernet_init": "scratch"}
    assert network_weights("pets") == {"init": str(run / "supernet" / "supernet.pt")}
    (tmp_path / "supernet").mkdir()
    assert network_weights("supernet") == {"init": "supernet"}
    save_backbone(
        other.backbone, pretraining / "found" / "backbone.pt", backbone_part(hand_made(Supernet(other).space))
    )
    assert network_weights("pretraining") == {
        "init": str(pretraining / "found" / "backbone.pt"), "init_part": "backbone",
    }  # fmt: skip
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        FileNotFoundError, match=r"empty has no weights to start from: looked for supernet/supernet\.pt"
    ):
        supernet_weights("empty")
