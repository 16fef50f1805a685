"""A run with a fixed backbone: its heads are searched, and the found network needs the file of weights no more."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from autopanoptic.nas import Architecture, Supernet
from autopanoptic.panoptic.configs.config import change_settings, load_config
from autopanoptic.panoptic.report.report import write_report
from autopanoptic.panoptic.results.backbones import save_backbone
from autopanoptic.panoptic.results.saved import load_network
from autopanoptic.panoptic.run.folder import Run
from autopanoptic.panoptic.run.prepare import prepare
from autopanoptic.panoptic.run.retrain import retrain
from autopanoptic.panoptic.run.search import search
from autopanoptic.panoptic.run.train_supernet import train_supernet
from autopanoptic.panoptic.search.strategies import hand_made
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.checks import check_settings
from autopanoptic.panoptic.stages.networks import build, network_of
from autopanoptic.panoptic.trained.evaluate import evaluate
from autopanoptic.panoptic.trained.predict import predict

TINY: dict[str, Any] = {
    "data.scenes": {"train": 2, "nas_val": 2, "val": 1},
    "largest": None,
    **{
        f"{recipe}.{key}": value
        for recipe in ("supernet", "retrain")
        for key, value in (("batch_size", 1), ("warmup", 0))
    },
    "supernet.passes": 2,
    "retrain.passes": 1,
    "search.trials": 4,
    "search.recalibration_batches": 1,
    "search.finalists": 1,
    "search.screened": 0,
    "machine": {"workers": 1, "supernet_processes": 1, "trainings": 1, "device": "cpu", "evaluation_batch": 1},
}
PUBLISHED: dict[str, Any] = {
    "search.space": "auto-panoptic",
    "search.strategy": "random",
    "search.cost": None,
    "supernet.passes": 6,
    "supernet.accumulate": True,
}


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pretrain` writes of the hand-made network's backbone."""
    torch.set_num_threads(1)
    config = load_config("scenes", PUBLISHED).network_for(3, 2)
    supernet = Supernet(build(config, seed=9))
    architecture = hand_made(supernet.space)
    path = tmp_path_factory.mktemp("pretrained") / "backbone.pt"
    save_backbone(supernet.subnet(architecture).backbone, path, architecture)  # type: ignore[arg-type]
    return path


def settings(backbone: Path, **changes: Any) -> Settings:
    return load_config("scenes", {**TINY, "network.backbone": str(backbone), **changes})


@pytest.mark.parametrize("space", ["elastic", "auto-panoptic"])
def test_heads_are_searched_beside_a_fixed_backbone(space: str, backbone: Path, tmp_path: Path) -> None:
    how = settings(backbone, **(PUBLISHED if space == "auto-panoptic" else {}))
    run = Run(how, tmp_path / "run", quiet())
    prepare(run)
    printed = run.console.file.getvalue()  # type: ignore[attr-defined]
    assert f"Backbone {backbone}: frozen are the stem to C2 and all batch norms" in printed
    supernet = train_supernet(run)
    assert not any(label.startswith("backbone.") for label in (choice.label for choice in supernet.space.choices))
    given = torch.load(backbone, weights_only=True)["state_dict"]
    trained = network_of(supernet).backbone.state_dict()
    frozen = [name for name in trained if name.startswith(("stem.", "stages.c2.")) or trained[name].dim() == 1]
    assert all(torch.equal(trained[name], given[name]) for name in frozen)
    assert not torch.equal(trained["stages.c4.0.branch.0.weight"], given["stages.c4.0.branch.0.weight"])
    search(run)
    assert not any(label.startswith("backbone.") for label in Architecture.load(run.folder / "architecture.json"))
    retrain(Run.open(run.folder, quiet()))
    moved = backbone.rename(tmp_path / "elsewhere.pt")
    try:
        _require_usable(run.folder)
    finally:
        moved.rename(backbone)


def _require_usable(folder: Path) -> None:
    """A found network is whole without the file that its backbone came from."""
    network = load_network(folder / "networks" / "searched")
    assert network.config.backbone == "shufflenet"
    assert evaluate(folder / "networks" / "searched", data=folder / "data").images == 1
    image = folder.parent / "image.png"
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(image)
    assert len(predict([image], folder, folder.parent / "pictures")) == 1


def test_a_pretrained_backbone_learns_more_slowly_unless_the_config_says_otherwise(backbone: Path) -> None:
    assert settings(backbone).retrain.backbone_factor == settings(backbone).supernet.backbone_factor == 0.1
    assert load_config("scenes", TINY).retrain.backbone_factor == 1.0
    assert settings(backbone, **{"retrain.backbone_factor": 0.5}).retrain.backbone_factor == 0.5
    assert settings(backbone, **{"retrain.optimizer": "sgd"}).retrain.backbone_factor == 1.0
    largest = settings(backbone, largest={"passes": 2}).largest
    assert largest is not None
    assert largest.backbone_factor == 0.1


def test_a_fixed_backbone_is_not_pretrained_here(backbone: Path) -> None:
    with pytest.raises(ValueError, match=r"init is pretrained, but the backbone is .*; set init to scratch, .* or the"):
        settings(backbone, init="pretrained")
    for name in ("supernet", "found"):
        with pytest.raises(ValueError, match=rf"pretraining\.{name}: only .*; set pretraining\.{name} to null, or the"):
            settings(backbone, **{f"pretraining.{name}": {}, "init": "scratch"})


def test_what_is_no_backbone_is_refused_before_anything_is_trained(backbone: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"network\.backbone: resnet5 is neither search, resnet50"):
        check_settings(load_config("scenes", {**TINY, "network.backbone": "resnet5"}))
    torch.save(torch.load(backbone, weights_only=True)["state_dict"], tmp_path / "supernet.pt")
    how = change_settings(settings(backbone), {"network.backbone": str(tmp_path / "supernet.pt")})
    with pytest.raises(ValueError, match=r"^network\.backbone: .*supernet\.pt is no backbone by its names .*init"):
        Run(how, tmp_path / "run", quiet())
    (tmp_path / "supernet.pt").write_bytes(backbone.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"^network\.backbone: .*supernet\.pt \(\d+ bytes\) is damaged"):
        Run(how, tmp_path / "run", quiet())
    assert not (tmp_path / "run").exists()
    with pytest.raises(ValueError, match=r"network\.backbone_blocks comes from the file that is the backbone"):
        load_config("scenes", {"network.backbone_blocks": ["shuffle3"]})


def test_a_model_without_choices_is_trained_and_not_searched(backbone: Path, tmp_path: Path) -> None:
    how = settings(backbone, **PUBLISHED, **{"network.model": "panoptic-fpn"})
    assert how.init == "supernet"
    run = Run(how, tmp_path / "run", quiet())
    for stage in (prepare, train_supernet, search):
        with pytest.raises(
            ValueError, match=r"there is nothing to search: .* semantic_head panoptic-fpn .* retrain` tr"
        ):
            stage(run)
    retrain(run)
    assert "no supernet to start from" in run.console.file.getvalue()  # type: ignore[attr-defined]
    folder = run.folder / "networks" / "panoptic-fpn"
    assert Architecture.load(folder / "architecture.json") == {}
    assert load_network(folder).config.semantic_head == "panoptic-fpn"
    assert evaluate(folder, data=run.folder / "data").images == 1
    with pytest.raises(FileNotFoundError, match=r"nothing is searched in the run .* panoptic evaluate run` measures"):
        write_report(run.folder)
    image = tmp_path / "image.png"
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(image)
    assert len(predict([image], folder, tmp_path / "pictures")) == 1
    retrain(run, name="again")
    assert (run.folder / "networks" / "again" / "weights.pt").exists()
