"""What may stand among the models, and what is refused before anything is trained."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from autopanoptic.nas import Architecture, SearchSpace
from autopanoptic.panoptic.compare import summary
from autopanoptic.panoptic.compare.making import _refusable, source_of
from autopanoptic.panoptic.compare.naming import Named, Source, all_named, named
from autopanoptic.panoptic.compare.plan import load_plan
from autopanoptic.panoptic.configs.config import load_config, save_config
from autopanoptic.panoptic.configs.layers import ConfigError
from autopanoptic.panoptic.configs.models import MODELS
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.search.designs import architecture_of
from autopanoptic.panoptic.search.strategies import hand_made
from tests.panoptic.compare.conftest import make
from tests.panoptic.stages.test_one_kind import reduced

SCENES = source_of("scenes", [])


@pytest.fixture(scope="module")
def found() -> Architecture:
    """Of the elastic space of the scenes."""
    with torch.device("meta"):
        space = SearchSpace.from_module(PanopticNetwork(replace(PanopticConfig.scenes(2, 2), space="elastic")))
    return hand_made(space)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_one_in_the_space_of_fixed_widths(name: str) -> None:
    one = named(name.upper(), SCENES)
    assert (one.name, one.kind, one.architecture, one.cost) == (name, "model", None, None)
    assert one.settings.search.space == "auto-panoptic"
    assert MODELS[name].parts.items() <= vars(one.settings.network).items()


def test_what_a_configs_file_says_beside_its_models_name_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("base: scenes\nnetwork: {model: upsnet, mask_layers: 3}\nmerge: {stuff_area: 7}\n")
    one = named("panoptic-fpn", source_of(str(file), []))
    assert (one.settings.network.panoptic_head, one.settings.network.mask_layers) == ("merge", 3)
    assert (one.settings.merge.stuff_area, one.settings.merge.score_threshold) == (7, 0.5)
    given = named("upsnet", source_of(str(file), [("network.panoptic_loss_weight", 0.7, "--set")]))
    assert given.settings.network.panoptic_loss_weight == 0.7


def test_the_network_made_by_hand_may_have_a_cost() -> None:
    assert named("hand-made@0.25", SCENES).cost == 0.25
    assert named("mine=hand-made@0.25", SCENES).kind == "hand-made"
    beside = named("hand-made@upsnet", SCENES)
    assert isinstance(beside.cost, Named)
    assert (beside.name, beside.cost.name) == ("hand-made@upsnet", "upsnet")
    mine, beside = all_named(["mine=upsnet", "hand-made@mine"], SCENES)
    assert (beside.name, beside.cost) == ("hand-made@mine", mine)
    for wrong in ("0", "-1", "nan", "inf"):
        with pytest.raises(ValueError, match="a network costs more than 0 GFLOPs"):
            named(f"hand-made@{wrong}", SCENES)


def test_an_architecture_is_of_the_space_that_it_fits(found: Architecture, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    found.save(tmp_path / "one" / "architecture.json")
    one = named(str(tmp_path / "one" / "architecture.json"), SCENES)
    assert (one.name, one.kind, one.architecture) == ("one", "searched", found)
    assert one.settings.search.space == "elastic"
    assert named(f"best={tmp_path}/one/architecture.json", SCENES).name == "best"
    Architecture({"backbone.0": "nothing"}).save(tmp_path / "wrong.json")
    with pytest.raises(ValueError, match=r"wrong\.json: the architecture is none of the networks"):
        named(str(tmp_path / "wrong.json"), SCENES)


def test_a_run_is_what_it_has_found_in_its_own_network(
    found: Architecture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "mine"
    run.mkdir(parents=True)
    settings = load_config(
        "scenes", {"network.pyramid_depths": [0, 2], "merge.score_threshold": 0.3, "retrain.passes": 9}
    )
    save_config(settings, run / "config.yaml")
    with pytest.raises(FileNotFoundError, match="the run runs/mine has found no network yet: it has no architecture"):
        named("mine", SCENES)
    found.save(run / "architecture.json")
    for given in ("mine", "runs/mine", str(run)):
        one = named(given, SCENES)
        assert (one.name, one.kind, one.architecture) == ("mine", "searched", found)
        assert (one.settings.network, one.settings.merge) == (settings.network, settings.merge)
        assert one.settings.retrain == SCENES.settings().retrain  # trained as the others
        assert one.settings.search.space == "elastic"


def test_what_the_command_line_says_of_merging_holds_for_runs_too(found: Architecture, tmp_path: Path) -> None:
    save_config(load_config("scenes", {"merge.score_threshold": 0.3, "merge.stuff_area": 7}), tmp_path / "config.yaml")
    found.save(tmp_path / "architecture.json")
    source = source_of("scenes", [("merge.score_threshold", 0.45, "--set")])
    merge = named(f"mine={tmp_path}", source).settings.merge
    assert (merge.score_threshold, merge.stuff_area) == (0.45, 7)


def test_a_run_on_other_images_is_refused_and_its_architecture_is_not(found: Architecture, tmp_path: Path) -> None:
    save_config(load_config("scenes"), tmp_path / "config.yaml")
    found.save(tmp_path / "architecture.json")
    camvid = source_of("camvid", [("data.path", str(tmp_path), "--data")])
    with pytest.raises(ValueError, match=r"images are others .generated scenes, not .* 192 pixels.*architecture\.json"):
        named(f"mine={tmp_path}", camvid)
    one = named(f"mine={tmp_path}/architecture.json", camvid)
    assert one.settings.network.anchor_sizes == camvid.settings().network.anchor_sizes


def test_a_run_in_which_nothing_is_searched_is_its_network(tmp_path: Path) -> None:
    settings = load_config(
        "scenes", {"network.model": "upsnet", "network.backbone": "resnet50", "search.space": "auto-panoptic"}
    )
    save_config(settings, tmp_path / "config.yaml")
    one = named(f"mine={tmp_path}", SCENES)
    assert (one.name, one.kind, one.architecture) == ("mine", "model", Architecture({}))
    assert one.settings.network == settings.network
    # A pretrained backbone learns more slowly, as in a run of its own.
    assert one.settings.retrain.backbone_factor == settings.retrain.backbone_factor == 0.1


def test_a_network_of_a_comparison_is_one(finished: Path) -> None:
    one = named(str(finished / "networks" / "panoptic-fpn-seed0"), SCENES)
    assert one.name == "panoptic-fpn-seed0"
    assert one.settings.network.semantic_head == "panoptic-fpn"
    assert one.architecture == load_plan(finished).contestants["panoptic-fpn"].architecture


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("upsnt", r"'upsnt' is no model \(auto-panoptic, .*; did you mean upsnet\?"),
        ("nothing-like-it", "and no run or network of one; runs holds no run"),
        ("hand-made@upsnt", "did you mean upsnet"),
        ("mine=upsnet,hand-made@mime", r"'mime' is no model .*; did you mean mine\?"),
        ("", "--models names no network; give some"),
        ("upsnet,upsnet", "two networks are called 'upsnet'"),
        ("a/b=upsnet", "the name 'a/b' must be that of a folder"),
    ],
)
def test_what_is_none_is_refused(given: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        all_named(given.split(","), SCENES)


def test_the_space_is_the_models_and_a_start_that_is_not_trained_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--set search.space=elastic and --models both set search\.space"):
        named("upsnet", Source("scenes", [("search.space", "elastic", "--set search.space=elastic")]))
    with pytest.raises(ValueError, match="--init: init is supernet, and a comparison trains no supernet"):
        source_of("scenes", [("init", "supernet", "--init")])
    with pytest.raises(ValueError, match="and a comparison pretrains no backbones"):
        source_of("scenes", [("init", "pretrained", "--init")])


def test_what_is_wrong_with_a_comparison_is_refused_before_anything_is_trained(
    config_file: Path, scene_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="--seeds must be at least 1, not 0"):
        make(config_file, tmp_path / "a", seeds=0)
    with pytest.raises(ValueError, match="--models: auto-panoptic and hand-made are the same network"):
        make(config_file, tmp_path / "a", ["auto-panoptic", "hand-made"])
    with pytest.raises(ValueError, match=r"hand-made@500: the hand-made network cannot be scaled to 500 GFLOPs"):
        make(config_file, tmp_path / "a", ["hand-made@500"])
    assert not list(tmp_path.glob("a/networks"))


def test_a_model_of_things_and_stuff_is_refused_for_data_of_one_kind(
    config_file: Path, scene_folder: Path, tmp_path: Path
) -> None:
    data = reduced(Path(shutil.copytree(scene_folder, tmp_path / "data")), things=True)
    changes = [("data.path", str(data), "--data")]
    with pytest.raises(ValueError, match=r"upsnet: .*(stuff|things)"):
        make(config_file, tmp_path / "a", ["panoptic-fpn", "upsnet"], changes=changes)
    assert not (tmp_path / "a").exists()  # its data would stand in the way of others


def test_how_one_would_search_makes_no_other_comparison(comparison: Path, config_file: Path) -> None:
    changes = [("search.trials", 99, "--trials"), ("largest", None, "--set")]
    found = make(config_file, comparison, changes=changes)
    assert list(found.plan.contestants) == ["panoptic-fpn", "hand-made"]
    assert found.plan == make(config_file, comparison).plan


def test_a_folder_of_something_else_is_refused_by_what_differs(
    comparison: Path, config_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(FileExistsError, match=r"another comparison, which differs in retrain\.passes \(2, not 3\)"):
        make(config_file, comparison, changes=[("retrain.passes", 3, "--retrain-passes")])
    with pytest.raises(
        FileExistsError, match=r"the network 'panoptic-fpn': network\.semantic_head \(panoptic-fpn, not"
    ):
        make(config_file, comparison, ["panoptic-fpn=upsnet"])
    save_config(load_config("scenes"), tmp_path / "config.yaml")
    with pytest.raises(FileExistsError, match="holds a run; choose another name"):
        make(config_file, tmp_path)


def test_an_architecture_whose_components_were_chosen_is_found_and_described_by_them(tmp_path: Path) -> None:
    with torch.device("meta"):
        space = SearchSpace.from_module(PanopticNetwork(replace(PanopticConfig.scenes(2, 2), space="published")))
    architecture_of("sognet", space).save(tmp_path / "mixed.json")
    found = named(str(tmp_path / "mixed.json"), SCENES)
    assert found.settings.search.space == "published"
    contestant = SimpleNamespace(**vars(found), gflops=1.0, mparams=1.0)
    described = summary._described(cast("Any", SimpleNamespace(contestants={"mixed": contestant})), "mixed")
    assert described.items() >= MODELS["sognet"].parts.items()
    assert described["box_head"] == "two-fc"


def test_one_model_for_all_networks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"--set: network\.model is of one network; name the models"):
        source_of("scenes", [("network.model", "upsnet", "--set")])


def test_the_data_of_a_comparison_that_another_program_makes_stay(tmp_path: Path) -> None:
    record = tmp_path / "data.json"
    record.write_text("{}")
    with pytest.raises(BlockingIOError), _refusable(tmp_path):
        raise BlockingIOError("another program works on it")
    assert record.exists()
