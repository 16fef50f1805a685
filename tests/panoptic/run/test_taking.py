"""A run that searches the supernet of another one."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from autopanoptic.panoptic.cli import app
from autopanoptic.panoptic.configs.config import change_settings, load_config
from autopanoptic.panoptic.report import report
from autopanoptic.panoptic.results.fronts import HAND_MADE
from autopanoptic.panoptic.run.folder import Run, load_run
from autopanoptic.panoptic.run.prepare import prepared
from autopanoptic.panoptic.run.search import finished_search, search
from autopanoptic.panoptic.run.taking import origin_of, take_supernet
from autopanoptic.panoptic.run.train_supernet import train_supernet, trained_supernet
from autopanoptic.panoptic.search.strategies import family
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages import pipeline
from autopanoptic.panoptic.stages.search import Candidates
from autopanoptic.panoptic.training.recipe import Recipe

RECIPE = Recipe(passes=1, batch_size=2, warmup=0)
SETTINGS = load_config(
    "scenes",
    {
        "data.scenes": {"train": 4, "nas_val": 2, "val": 2},
        "largest": RECIPE,
        "supernet": replace(RECIPE, passes=2),
        "retrain": RECIPE,
        "search": {"trials": 8, "recalibration_batches": 1, "finalists": 1, "screened": 0},
        "machine": {"workers": 1, "supernet_processes": 1, "trainings": 1, "device": "cpu"},
    },
)
MOST = 0.13
"""GFLOPs, which the three smallest of the hand-made family keep."""
runner = CliRunner()


def quiet() -> Console:
    return Console(file=io.StringIO())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has trained its supernet."""
    folder = tmp_path_factory.mktemp("first") / "runs" / "first"
    torch.set_num_threads(SETTINGS.machine.threads)
    train_supernet(Run(SETTINGS, folder, quiet()))
    return folder


def test_the_other_run_searches_it_within_its_own_budget(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(change_settings(SETTINGS, {"search.max_gflops": MOST}), tmp_path / "second", quiet())
    take_supernet(run, trained)
    assert not list(run.folder.rglob("*.ckpt"))
    assert origin_of(run.folder) == trained
    monkeypatch.setattr("autopanoptic.panoptic.stages.supernet.train", _refuse)
    search(run)
    searched, fronts = finished_search(run)
    assert fronts is not None
    assert fronts.budget == MOST
    assert max(trial.metrics["gflops"] for trial in searched.history.completed) <= MOST
    # What one makes by hand within the budget, and nothing dearer, is what it is compared with.
    assert [round(point.cost, 3) for point in fronts.series[HAND_MADE]] == [0.072, 0.113, 0.122]
    weights = [torch.load(one / "supernet/supernet.pt", weights_only=True) for one in (trained, run.folder)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_a_limit_that_nothing_made_by_hand_keeps_is_compared_with_the_smallest(trained: Path, tmp_path: Path) -> None:
    settings = change_settings(SETTINGS, {"search.max_gflops": 0.07})
    run = Run(SETTINGS, trained, quiet())
    candidates = Candidates(settings, train_supernet(run), prepared(run), tmp_path, progress=False)
    (alone,) = candidates.by_hand()
    assert alone == family(candidates.supernet.space)[0]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"supernet.passes": 4, "search.trials": 9}, r"differ in supernet.passes \(2, not 4\)\. Leave"),
        ({"seed": 1}, r"differ in seed \(0, not 1\)"),
        ({"search.space": "published"}, r"differ in search.space \(elastic, not published\)"),
        ({"network.mask_layers": 3}, r"differ in network.mask_layers \(2, not 3\)"),
        ({"data.scenes.train": 5}, r"differ in data.scenes.train \(4, not 5\)"),
        ({"machine.checkpoint_every": 7}, r"differ in machine.checkpoint_every \(\d+, not 7\)"),
        ({"search.max_gflops": 1e-3}, "gflops"),  # which no candidate keeps
    ],
)
def test_what_is_refused_leaves_nothing(trained: Path, tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        take_supernet(Run(change_settings(SETTINGS, changes), tmp_path / "second", quiet()), trained)
    assert not (tmp_path / "second").exists()


def test_what_has_no_part_in_a_supernet_may_be_another(trained: Path, tmp_path: Path) -> None:
    changes = {
        "search.objective": "pq_things", "retrain.passes": 9, "init": "scratch", "merge.stuff_area": 1,
        "machine.workers": 2, "machine.evaluation_batch": 1,
    }  # fmt: skip
    run = Run(change_settings(SETTINGS, changes), tmp_path, quiet())
    take_supernet(run, trained)
    trained_supernet(run)


def test_maps_that_validated_its_training_were_merged_by_the_same_rules(trained: Path, tmp_path: Path) -> None:
    validated = change_settings(SETTINGS, {"supernet.validate_every": 2})
    other = Run(validated, tmp_path / "other", quiet()).folder
    shutil.copytree(trained / "supernet", other / "supernet")
    with pytest.raises(ValueError, match=r"differ in merge\.stuff_area"):
        take_supernet(Run(change_settings(validated, {"merge.stuff_area": 1}), tmp_path / "second", quiet()), other)


def test_a_run_that_has_not_trained_it_is_refused(tmp_path: Path) -> None:
    Run(SETTINGS, tmp_path / "first", quiet())
    with pytest.raises(FileNotFoundError, match=r"that run has not trained its supernet$"):
        take_supernet(Run(SETTINGS, tmp_path / "second", quiet()), tmp_path / "first")
    assert not (tmp_path / "second").exists()


def test_a_run_that_trains_its_own_keeps_it(trained: Path, tmp_path: Path) -> None:
    run = Run(SETTINGS, tmp_path, quiet())
    (tmp_path / "supernet/largest").mkdir(parents=True)
    (tmp_path / "supernet/largest/last.ckpt").write_bytes(b"half")
    with pytest.raises(ValueError, match="has begun to train a supernet of its own"):
        take_supernet(run, trained)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["last.ckpt"]
    (tmp_path / "supernet/supernet.pt").write_bytes(b"its own")
    take_supernet(run, trained)
    assert (tmp_path / "supernet/supernet.pt").read_bytes() == b"its own"


def test_a_trained_supernet_is_no_other_one(trained: Path, tmp_path: Path) -> None:
    run = Run(change_settings(SETTINGS, {"seed": 5}), tmp_path, quiet())
    (tmp_path / "supernet").mkdir()
    (tmp_path / "supernet/supernet.pt").write_bytes(b"of seed 5")
    with pytest.raises(ValueError, match=r"differ in seed \(0, not 5\)"):
        take_supernet(run, trained)


def test_what_has_been_taken_needs_the_other_run_no_more(trained: Path, tmp_path: Path) -> None:
    other = shutil.copytree(trained, tmp_path / "other")
    run = Run(SETTINGS, tmp_path / "second", quiet())
    take_supernet(run, other)
    shutil.rmtree(other)
    take_supernet(run, other)
    trained_supernet(run)


def test_what_lies_in_a_folder_that_is_no_run_is_not_touched(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/precious").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="holds no generated scenes"):
        take_supernet(Run(SETTINGS, tmp_path, quiet()), trained)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "data/precious"]


def test_a_copy_that_is_broken_off_is_made_when_the_run_goes_on(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(source: Path, target: Path) -> None:
        if source.name == "supernet.pt":
            Path(target).write_bytes(b"half")
            raise KeyboardInterrupt
        Path(target).write_bytes(Path(source).read_bytes())

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", broken)
        with pytest.raises(KeyboardInterrupt):
            take_supernet(Run(SETTINGS, tmp_path, quiet()), trained)
    assert not list(tmp_path.glob("supernet*/"))
    origin = origin_of(tmp_path)
    assert origin is not None
    with pytest.raises(FileNotFoundError, match=f"is to take the supernet of {trained}, .* run --resume --name"):
        train_supernet(Run.open(tmp_path, quiet()))
    take_supernet(Run.open(tmp_path, quiet()), origin)
    assert (tmp_path / "supernet/supernet.pt").read_bytes() == (trained / "supernet/supernet.pt").read_bytes()


@pytest.fixture
def called(trained: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Settings, Path]]:
    """A working folder with that run, where the stages do nothing; what they are called with."""
    found: list[tuple[Settings, Path]] = []
    monkeypatch.chdir(trained.parents[1])
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    monkeypatch.setattr(pipeline, "Pipeline", _recording(found))
    monkeypatch.setattr(report, "write_report", lambda folder, **_: folder / "report.html")
    return found


def test_the_command_takes_the_config_with_it_and_says_how_to_go_on(called: list[tuple[Settings, Path]]) -> None:
    for name, run in (("second", "first"), ("third", "runs/first")):
        result = runner.invoke(app, ["run", "--supernet-from", run, "--name", name, "--max-gflops", str(MOST)])
        assert result.exit_code == 0, result.output
        assert called[-1][0] == change_settings(SETTINGS, {"search.max_gflops": MOST})
        assert (called[-1][1] / "supernet/supernet.pt").is_file()
        assert f" --supernet-from {name} --max-gflops " in result.output.splitlines()[-1]
    assert load_run(Path("runs/first")) == SETTINGS


def test_a_run_that_goes_on_takes_what_it_was_to_take(called: list[tuple[Settings, Path]]) -> None:
    runner.invoke(app, ["run", "--supernet-from", "first", "--name", "fourth"], catch_exceptions=False)
    shutil.rmtree("runs/fourth/supernet")
    result = runner.invoke(app, ["run", "--resume", "--name", "fourth"])
    assert result.exit_code == 0, result.output
    assert Path("runs/fourth/supernet/supernet.pt").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--supernet-from", "frist"], "there is no run 'frist'; runs holds first"),
        (["--supernet-from", "first", "--resume"], "leave out --supernet-from"),
        (["--supernet-from", "first", "--quick"], "has no quick form"),
        (["--supernet-from", "first", "--seed", "7"], "differ in seed (0, not 7)"),
    ],
)
def test_the_command_says_what_cannot_be(called: list[tuple[Settings, Path]], options: list[str], message: str) -> None:
    result = runner.invoke(app, ["run", "--name", "other", *options])
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())
    assert not called
    assert not Path("runs/other").exists()


def test_another_run_of_that_name_stays_as_it_was(called: list[tuple[Settings, Path]]) -> None:
    Run(change_settings(SETTINGS, {"seed": 5}), Path("runs/foreign"), quiet())
    before = sorted(Path("runs/foreign").rglob("*"))
    result = runner.invoke(app, ["run", "--name", "foreign", "--supernet-from", "first"])
    assert (result.exit_code, called) == (1, [])
    assert "holds a run with other settings" in " ".join(result.output.split())
    assert sorted(Path("runs/foreign").rglob("*")) == before


def _recording(found: list[tuple[Settings, Path]]) -> type[Run]:
    class Recorded(Run):
        def run(self) -> None:
            found.append((self.settings, self.folder))

    return Recorded


def _refuse(*_: Any, **__: Any) -> None:
    raise AssertionError("the supernet was trained anew")
