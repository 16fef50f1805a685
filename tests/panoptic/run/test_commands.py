"""The commands of the stages: which run they are about, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from typer.testing import CliRunner

from autopanoptic.nas.cli import app as program
from autopanoptic.panoptic.cli import app
from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.run import prepare, retrain, search, train_supernet
from autopanoptic.panoptic.run.folder import Run, load_run
from autopanoptic.panoptic.run.options import DESCRIBING, KEYS

runner = CliRunner()
STAGES = {"prepare": prepare, "train-supernet": train_supernet, "search": search, "retrain": retrain}
ONLY = ["--architecture", "coco_3.8g"]


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """A working folder where the stages do nothing; what they are called with."""
    found: list[tuple[Any, ...]] = []

    def recorded(stage: str) -> Callable[..., None]:
        return lambda run, *rest: found.append((stage, run.folder.name, run.settings, *rest))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)  # it would outlast the test
    for name, module in STAGES.items():
        monkeypatch.setattr(module, name.replace("-", "_"), recorded(name))
    return found


def invoke(*arguments: str, code: int = 0) -> str:
    result = runner.invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_every_stage_works_on_the_run_of_the_name(called: list[tuple[Any, ...]]) -> None:
    invoke("prepare", "--name", "x", "--seed", "3", "--quick")
    invoke("prepare", "--name", "y")
    for stage in STAGES:
        invoke(stage, "--name", "x")
    own = load_config("scenes", {"seed": 3}, quick=True)
    assert [one[:3] for one in called[2:]] == [(stage, "x", own) for stage in STAGES]
    assert called[1][:3] == ("prepare", "y", load_config("scenes"))


def test_without_a_name_stages_take_the_latest_run_and_prepare_makes_one(called: list[tuple[Any, ...]]) -> None:
    invoke("prepare", "--seed", "1")
    invoke("prepare", "--name", "x", "--seed", "3")
    for stage in ("train-supernet", "search", "retrain"):
        invoke(stage)
    assert [one[1] for one in called[2:]] == ["x"] * 3
    assert called[0][1].startswith("20")


@pytest.mark.parametrize("stage", ["prepare", "train-supernet", "retrain"])
def test_options_make_a_new_run_or_must_be_its_own(called: list[tuple[Any, ...]], stage: str) -> None:
    for _ in range(2):  # the same command goes on with it
        invoke(stage, "--name", "x", "--seed", "3", "--set", "retrain.clip=null")
    assert {one[1:3] for one in called} == {("x", load_config("scenes", {"seed": 3, "retrain.clip": None}))}
    said = invoke(stage, "--name", "x", "--seed", "4", code=1)
    assert "runs/x holds a run with other settings, which differ in" in said
    assert len(called) == 2


@pytest.mark.parametrize("stage", ["train-supernet", "search", "retrain"])
def test_a_mistaken_name_makes_no_run(called: list[tuple[Any, ...]], stage: str, tmp_path: Path) -> None:
    assert "there is no run in runs/x: it has no config.yaml" in invoke(stage, "--name", "x", code=1)
    assert "runs holds no run to go on with" in invoke(stage, code=1)
    assert "--name must be that of a folder under runs, not '../x'" in invoke(stage, "--name", "../x", code=1)
    assert not called
    assert not (tmp_path / "runs").exists()


def test_each_stage_names_the_next(called: list[tuple[Any, ...]]) -> None:
    following = {
        "prepare": "train-supernet --name x", "train-supernet": "search --name x", "search": "retrain --name x",
        "retrain": "evaluate x --network searched",
    }  # fmt: skip
    for stage, then in following.items():
        assert invoke(stage, "--name", "x").endswith(f"Next: autopanoptic panoptic {then}")
    assert invoke("retrain", "--name", "x", *ONLY).endswith("panoptic evaluate x --network coco_3.8g")


def test_an_architecture_is_trained_under_its_name_or_another(called: list[tuple[Any, ...]]) -> None:
    invoke("retrain", "--name", "x", "--seed", "3", *ONLY)
    invoke("retrain", "--name", "x", *ONLY, "--network", "other")
    invoke("retrain", "--name", "x")
    shipped = retrain.read_architecture("coco_3.8g")[1]
    assert [one[3:] for one in called] == [(shipped, "coco_3.8g"), (shipped, "other"), (None, None)]
    told = invoke("retrain", "--name", "z", "--seed", "3", "--network", "other", code=1)
    assert told.startswith("Error: --network names the network of --architecture")
    assert not Path("runs", "z").exists()
    assert "is neither an architecture's file" in invoke("retrain", "--name", "x", "--architecture", "coco", code=1)
    invoke("retrain", "--name", "y", "--seed", "3", "--architecture", "nowhere", code=1)
    assert not Path("runs", "y").exists()


@pytest.mark.parametrize("stage", STAGES)
def test_an_interrupted_stage_says_how_to_go_on(
    called: list[tuple[Any, ...]], stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(run: Run, *rest: Any) -> None:
        raise KeyboardInterrupt

    invoke("prepare", "--name", "my pets")
    monkeypatch.setattr(STAGES[stage], stage.replace("-", "_"), interrupted)
    own = ONLY if stage == "retrain" else []
    said = invoke(stage, "--name", "my pets", *own, code=130)
    assert said.endswith(" ".join(["Interrupted. To go on: autopanoptic panoptic", stage, *own, "--name 'my pets'"]))


def test_the_stages_that_can_begin_a_run_take_the_options_that_describe_one() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name in ("run", "prepare", "train-supernet", "retrain"):
        assert {one.name for one in commands[name].params} >= set(DESCRIBING) > set(KEYS), name
    assert {one.name for one in commands["search"].params} == {"name"}


def test_data_sets_are_converted_beside_the_stage_of_that_name(called: list[tuple[Any, ...]]) -> None:
    converted = runner.invoke(program, ["panoptic", "prepare", "coco", "nowhere"])
    assert (converted.exit_code, "nowhere" in converted.output) == (1, True)
    for options, named in (
        (["--name", "x"], "name"),
        (["--set", "seed=1"], "set"),
        (["--image-size", "9"], "image-size"),
    ):
        refused = invoke("prepare", *options, "coco", "nowhere", code=1)
        assert refused == f"Error: prepare coco is of no run; leave out --{named} before it"
    assert not called


def test_init_is_the_start_of_what_a_command_trains(called: list[tuple[Any, ...]], tmp_path: Path) -> None:
    torch.save({"backbone.weight": torch.zeros(1)}, "w.pt")
    torch.save({"state_dict": {"weight": torch.zeros(1)}}, "found.pt")
    torch.save({"backbone.weight": torch.zeros(1), "neck.weight": torch.zeros(1)}, "whole.pt")
    invoke("train-supernet", "--name", "x", "--init", "w.pt")
    invoke("retrain", "--name", "y", "--init", "found.pt")
    invoke("retrain", "--name", "z", "--init", "whole.pt")
    invoke("retrain", "--name", "a", "--init", "w.pt", "--set", "init_part=all")
    invoke("prepare", "--name", "b", "--supernet-init", "w.pt", "--retrain-init", "scratch")
    weights, found, whole = (str(tmp_path / name) for name in ("w.pt", "found.pt", "whole.pt"))
    assert [(one[2].supernet_init, one[2].init, one[2].init_part) for one in called] == [
        (weights, "supernet", "all"),
        ("scratch", found, "backbone"),
        ("scratch", whole, "all"),
        ("scratch", weights, "all"),
        (weights, "scratch", "all"),
    ]
    assert "Error: --init and --set supernet_init=scratch both set supernet_init" in invoke(
        "train-supernet", "--init", weights, "--set", "supernet_init=scratch", code=1
    )
    assert runner.invoke(app, ["run", "--init", weights]).exit_code == 2
    assert "supernet_init: n.pt is neither scratch nor a file" in invoke("train-supernet", "--init", "n.pt", code=1)


def test_one_network_starts_from_its_own_backbone_in_a_run_that_does_not(called: list[tuple[Any, ...]]) -> None:
    folder = Path("runs", "pretraining", "found")
    folder.mkdir(parents=True)
    torch.save({"state_dict": {"weight": torch.zeros(1)}}, folder / "backbone.pt")
    invoke("prepare", "--name", "x", "--seed", "3")
    invoke("retrain", "--name", "x", *ONLY, "--init", "pretraining")
    invoke("retrain", "--name", "x")
    started, own = called[1][2], called[2][2]
    assert (started.init, started.init_part) == (str(folder / "backbone.pt"), "backbone")
    assert own == load_run(Path("runs", "x")) == load_config("scenes", {"seed": 3})
    said = invoke("retrain", "--name", "x", "--init", "pretraining", code=1)  # of its answer the settings say it
    assert "runs/x holds a run with other settings" in said
    assert "n.pt is neither scratch, supernet, pretrained nor" in invoke(
        "retrain", "--name", "x", *ONLY, "--init", "n.pt", code=1
    )
