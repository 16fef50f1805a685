"""The stages in which a run's backbones learn to classify images, and what starts from them."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.configs.config import ConfigError, change_settings, load_config, values_of
from autopanoptic.panoptic.configs.layers import Layer
from autopanoptic.panoptic.configs.schema import settings_of
from autopanoptic.panoptic.pretraining.recipe import PretrainingRecipe
from autopanoptic.panoptic.results.backbones import STATE, backbone_part, pretraining_folder
from autopanoptic.panoptic.run.folder import Run
from autopanoptic.panoptic.run.prepare import prepare
from autopanoptic.panoptic.run.pretrain import pretrain, pretrain_supernet
from autopanoptic.panoptic.run.retrain import retrain
from autopanoptic.panoptic.run.search import search
from autopanoptic.panoptic.run.train_supernet import train_supernet
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.networks import build, network_config
from autopanoptic.panoptic.stages.pipeline import Pipeline
from autopanoptic.panoptic.stages.starts import start_of, started
from autopanoptic.panoptic.stages.supernet import SUPERNET
from autopanoptic.panoptic.training.recipe import Recipe

RECIPE = Recipe(passes=1, batch_size=1, warmup=0)
PRETRAINING = {
    "passes": 2, "batch_size": 2, "warmup": 0, "image_size": 32, "tail_width": 8, "bins": 2,
    "recalibration_batches": 1, "validated_paths": 1,
}  # fmt: skip
SETTINGS = load_config(
    "scenes",
    {
        "data.scenes": {"train": 4, "nas_val": 2, "val": 4},
        "pretraining": {"supernet": PRETRAINING, "found": PRETRAINING},
        "init": "pretrained",
        "largest": None,
        "supernet": replace(RECIPE, passes=2),
        "retrain": RECIPE,
        "search": {"trials": 3, "recalibration_batches": 1, "finalists": 1, "screened": 2, "screening_passes": 1},
        "machine": {"workers": 1, "supernet_processes": 1, "trainings": 1, "device": "cpu", "evaluation_batch": 1},
    },
)


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


def saved(folder: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = torch.load(folder / "backbone.pt", weights_only=True)[STATE]
    return found


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose stages were programs of their own, up to the pretraining of what was found."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("runs") / "staged"
    prepare(Run(SETTINGS, folder, quiet()))
    for stage in (pretrain_supernet, train_supernet, search, pretrain):
        stage(Run.open(folder, quiet()))
    return folder


def test_prepare_cuts_a_classification_set_of_the_scenes(staged: Path) -> None:
    classes = {path.name for path in (staged / "crops" / "train").iterdir()}
    assert classes == {path.name for path in (staged / "crops" / "val").iterdir()}
    assert len(classes) > 3


def test_the_supernet_begins_with_its_pretrained_backbone(staged: Path, tmp_path: Path) -> None:
    run = Run.open(shutil.copytree(staged, tmp_path / "run"), quiet())
    backbone = saved(pretraining_folder(run.folder))
    drawn = build(network_config(run.settings, prepare(run).train.categories), run.settings.seed)
    differing = [name for name, value in drawn.backbone.state_dict().items() if not torch.equal(value, backbone[name])]
    assert any(value.dim() == 4 for name, value in backbone.items() if name in differing)
    # Another backbone is another training, which the finished one is not taken for.
    changed = {name: value + 1 if value.is_floating_point() else value for name, value in backbone.items()}
    torch.save({STATE: changed}, pretraining_folder(run.folder) / "backbone.pt")
    with pytest.raises(ValueError, match="holds another training, which differs in the starting weights of backbone"):
        train_supernet(run)


def test_found_networks_begin_with_backbones_of_their_own(staged: Path) -> None:
    run = Run.open(staged, quiet())
    found = Architecture.load(staged / "architecture.json")
    folder = pretraining_folder(staged, found)
    assert folder == staged / "pretraining" / backbone_part(found).id
    assert (folder / "accuracy.json").is_file()
    config = network_config(run.settings, prepare(run).train.categories, searched=True)
    begun = started(run.settings, config, found, staged / "supernet" / SUPERNET)
    scratch = started(replace_init(run.settings, "scratch"), config, found, Path())
    backbone = saved(folder)
    for name, value in begun.state_dict().items():
        own = backbone.get(name.removeprefix("backbone.")) if name.startswith("backbone.") else None
        assert torch.equal(value, scratch.state_dict()[name] if own is None else own), name
    assert start_of(run.settings) == "from pretrained backbones"


def replace_init(settings: Settings, init: str) -> Settings:
    return replace(settings, init=init, pretraining=replace(settings.pretraining, found=None))


def test_the_run_of_all_stages_goes_on_from_there(staged: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(staged, tmp_path / "run"))
    kept = {path: path.read_bytes() for path in (folder / "pretraining").rglob("backbone.pt")}
    assert len(kept) == 3  # the supernet and the two that are screened
    reports = Pipeline(SETTINGS, folder, quiet()).run()
    assert {path: path.read_bytes() for path in kept} == kept
    # Those that are compared begin by the same rule.
    for name, report in reports.items():
        assert (pretraining_folder(folder, report.architecture) / "backbone.pt").is_file(), name


def test_a_stage_does_not_begin_without_the_backbones_it_starts_from(staged: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(staged, tmp_path / "run"))
    shutil.rmtree(folder / "pretraining")
    with pytest.raises(FileNotFoundError, match="`autopanoptic panoptic pretrain --name run` does"):
        retrain(Run.open(folder, quiet()))
    shutil.rmtree(folder / "supernet")
    with pytest.raises(FileNotFoundError, match="`autopanoptic panoptic pretrain-supernet --name run` does"):
        train_supernet(Run.open(folder, quiet()))


def test_a_run_without_pretraining_says_how_one_is_made(tmp_path: Path) -> None:
    settings = change_settings(SETTINGS, {"init": "scratch", "pretraining": {"supernet": None, "found": None}})
    run = Run(settings, tmp_path / "run", quiet())
    with pytest.raises(ValueError, match=r"pretraining\.supernet of its config is null.* --set pretraining\.supernet="):
        pretrain_supernet(run)
    with pytest.raises(ValueError, match=r"pretraining\.found of its config is null.* --set init=pretrained"):
        pretrain(run)


def test_a_config_leaves_out_what_goes_with_its_images(tmp_path: Path) -> None:
    small = load_config("scenes", {"pretraining.supernet": {}}).pretraining
    assert (small.supernet, small.found) == (PretrainingRecipe.small(), None)
    assert load_config("scenes", {"init": "pretrained"}).pretraining.found == PretrainingRecipe.small()
    folder = {"pretraining.images": str(tmp_path)}
    given = load_config("scenes", {**folder, "pretraining.supernet": {"passes": 7}, "init": "pretrained"})
    assert given.pretraining.supernet == replace(PretrainingRecipe.imagenet_supernet(), passes=7)
    assert given.pretraining.found == PretrainingRecipe.imagenet()
    assert settings_of(Layer(values_of(given))) == given


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pretraining.found": {}}, "pretraining.found is for networks that start from it: set init to pretrained"),
        ({"init": "pretrained", "pretraining.found": None}, "init is pretrained, but pretraining.found is null"),
        ({"pretraining.images": "x"}, "pretraining.images are given, but nothing is pretrained on them"),
        ({"pretraining.supernet": {"passes": 0}}, "pretraining.supernet.passes must be at least 1, not 0"),
        ({"pretraining.supernet": {"bins": "x"}}, "pretraining.supernet.bins must be a whole number or a list"),
        ({"pretraining.supernet": {"pases": 1}}, "pretraining.supernet.pases: unknown key; did you mean passes?"),
        ({"pretraining": 3}, "pretraining must be a section"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_pretraining_is_named_by_its_key(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("scenes", changes)
    assert str(caught.value).removeprefix("changes: ").startswith(message), caught.value
