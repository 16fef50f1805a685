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
from autopanoptic.panoptic.results.pretrained import weights_of
from autopanoptic.panoptic.run.weights import network_weights, supernet_weights
from autopanoptic.panoptic.search.reference_weights import from_reference
from autopanoptic.panoptic.search.strategies import hand_made
from autopanoptic.panoptic.search.supernet_start import begin as begin_with
from autopanoptic.panoptic.search.supernet_start import describe_start, require_start
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages import supernet
from autopanoptic.panoptic.stages.checks import check_settings
from autopanoptic.panoptic.stages.networks import build, network_config
from autopanoptic.panoptic.training.training import Training
from tests.panoptic.search.test_reference_weights import DEPTHS, STEM, WIDTHS, single, whole_supernet

SCENES = load_config("scenes")


def settings(path: Path, **changes: Any) -> Settings:
    return load_config("scenes", {"supernet_init": str(path), "machine.device": "cpu", **changes})


@pytest.fixture(scope="module")
def other(datasets: Datasets) -> PanopticNetwork:
    return build(network_config(SCENES, datasets.train.categories), seed=7)


def begin(how: Settings, config: PanopticConfig) -> PanopticNetwork:
    return begin_with(build(config, how.seed), how.supernet_init)


def check_supernet_start(how: Settings, categories: Categories) -> str:
    return describe_start(build(network_config(how, categories), 0), how.supernet_init, categories)


def save_one(supernet: PanopticNetwork, path: Path) -> None:
    """Write the backbone of one of its architectures."""
    whole = Supernet(supernet)
    architecture = hand_made(whole.space)
    save_backbone(whole.subnet(architecture).backbone, path, backbone_part(architecture))  # type: ignore[arg-type]


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


def test_of_other_classes_all_is_taken_but_their_layers_which_are_named(
    other: PanopticNetwork, datasets: Datasets, tmp_path: Path
) -> None:
    foreign = build(SCENES.network_for(9, other.config.num_stuff), seed=5)
    save_weights(foreign, tmp_path / "w.pt")
    how = settings(tmp_path / "w.pt")
    found, drawn = begin(how, other.config).state_dict(), build(other.config, SCENES.seed).state_dict()
    layers = ["roi_heads.box_predictor.classes", "roi_heads.box_predictor.boxes", "roi_heads.mask_predictor.2"]
    for name, value in found.items():
        own = name.rpartition(".")[0] in layers
        assert torch.equal(value, (drawn if own else foreign.state_dict())[name]), name
    said = check_supernet_start(how, datasets.train.categories)
    assert f"begins with {len(found) - 6} tensors of {tmp_path / 'w.pt'} (backbone " in said
    assert f"; it is of other classes: left out of it are {', '.join(layers)}; drawn from the seed are 6 " in said


def test_of_other_heads_the_backbone_is_taken_and_the_rest_is_named(
    other: PanopticNetwork, datasets: Datasets, tmp_path: Path
) -> None:
    foreign = build(load_config("scenes", {"network.mask_layers": 1, "search.space": "elastic",
        "network.box_hidden": 32}).network_for(9, 4), seed=5)  # fmt: skip
    torch.save({"model": {f"module.{name}": value for name, value in foreign.state_dict().items()}}, tmp_path / "w.pt")
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


def test_a_supernets_backbone_is_taken_under_the_published_codes_names(datasets: Datasets, tmp_path: Path) -> None:
    depths = {"network.stage_depths": list(DEPTHS), "network.stem_width": STEM, "network.stage_widths": list(WIDTHS)}
    how = settings(tmp_path / "w.pth", **{"search.space": "auto-panoptic"}, **depths)
    config = network_config(how, datasets.train.categories)
    theirs = whole_supernet()
    torch.save({"model": {f"module.{name}": value for name, value in theirs.items()}}, tmp_path / "w.pth")
    found = begin(how, config).state_dict()
    drawn = build(config, how.seed).state_dict()
    backbone = {name: value for name, value in drawn.items() if name.startswith("backbone.")}
    for name, value in from_reference(theirs, backbone, DEPTHS).items():
        assert torch.equal(found[name], value), name
    assert all(torch.equal(found[name], value) for name, value in drawn.items() if name not in backbone)
    said = check_supernet_start(how, datasets.train.categories)
    assert f"begins with {len(backbone)} tensors of {tmp_path / 'w.pth'} (backbone {len(backbone)}); left out" in said
    torch.save(single(), tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"supernet_init: .*w\.pth: it holds .* one architecture alone.*whole"):
        check_supernet_start(how, datasets.train.categories)
    how = settings(tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"supernet_init: .* published code, .* but search\.space is elastic; take"):
        check_supernet_start(how, datasets.train.categories)
    how = settings(tmp_path / "w.pth", **{"search.space": "auto-panoptic", "network.backbone": "resnet50"})
    with pytest.raises(ValueError, match=r"supernet_init: .* but the backbone is resnet50; take"):
        check_supernet_start(how, datasets.train.categories)


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
    save_one(other, path)
    refused("holds the backbone of one architecture alone")
    save_weights(other, path)
    refused(r"search\.space auto-panoptic\): \d+ missing", **{"search.space": "auto-panoptic"})
    refused(
        r"width \(16 .* width \(8 .*; take other weights\. 13 of another shape.* stem\.0", **{"network.stem_width": 8}
    )
    torch.save([1], path)
    refused("it is a list, not a state dict")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"supernet_init: .*w\.pt is neither scratch nor a file"):
        check_supernet_start(settings(path), datasets.train.categories)


def test_what_is_not_there_says_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    neither = rf"there is neither {tmp_path}/nosuch nor a run {tmp_path}/runs/nosuch$"
    with pytest.raises(FileNotFoundError, match=f"^supernet_init: nosuch is neither scratch nor a file.*: {neither}"):
        require_start("nosuch")
    with pytest.raises(FileNotFoundError, match=rf"^init: nosuch is neither scratch, supernet, .*: {neither}"):
        check_settings(load_config("scenes", {"init": "nosuch"}))
    none = rf"there is no {tmp_path}/nosuch$"
    with pytest.raises(FileNotFoundError, match=rf"^backbone: nosuch is neither search, resnet50, .*: {none}"):
        weights_of("nosuch")
    (tmp_path / "runs" / "nosuch" / "supernet").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=rf"but the folder {tmp_path}/runs/nosuch; which holds no \*\.pt$"):
        require_start("nosuch")
    (tmp_path / "runs" / "nosuch" / "supernet" / "supernet.pt").touch()
    with pytest.raises(FileNotFoundError, match=r"runs/nosuch; give a file in it, such as supernet/supernet\.pt$"):
        require_start("nosuch")


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
    Path("pets", "images").mkdir(parents=True)  # data of the run's name
    assert network_weights("pets") == {"init": str(run / "supernet" / "supernet.pt")}
    (tmp_path / "supernet").mkdir()
    assert network_weights("supernet") == {"init": "supernet"}
    save_one(other, pretraining / "found" / "backbone.pt")
    assert network_weights("pretraining") == {
        "init": str(pretraining / "found" / "backbone.pt"), "init_part": "backbone",
    }  # fmt: skip
    for wrapped, whole in ((other.state_dict(), True), (other.backbone.state_dict(), False)):
        torch.save({"model": {f"module.{name}": value for name, value in wrapped.items()}}, tmp_path / "ddp.pt")
        assert ("init_part" not in network_weights("ddp.pt")) == whole
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        FileNotFoundError, match=r"empty has no weights to start from: looked for supernet/supernet\.pt"
    ):
        supernet_weights("empty")
