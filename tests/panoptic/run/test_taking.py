"""A run that searches the supernet of another one."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.cli import app
from autopanoptic.panoptic.configs.config import change_settings, load_config
from autopanoptic.panoptic.report import report
from autopanoptic.panoptic.results.fronts import HAND_MADE, Fronts, Point
from autopanoptic.panoptic.run.folder import Run, load_run
from autopanoptic.panoptic.run.prepare import prepared
from autopanoptic.panoptic.run.search import finished_search, search
from autopanoptic.panoptic.run.taking import take_supernet
from autopanoptic.panoptic.run.train_supernet import train_supernet
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
    settings = change_settings(SETTINGS, {"search.max_gflops": MOST})
    take_supernet(settings, tmp_path / "second", trained)
    assert not list((tmp_path / "second").rglob("*.ckpt"))
    monkeypatch.setattr("autopanoptic.panoptic.stages.supernet.train", _refuse)
    run = Run(settings, tmp_path / "second", quiet())
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
        ({"supernet.passes": 3, "search.trials": 9}, r"differ in supernet.passes \(2, not 3\)\. Leave"),
        ({"seed": 1}, r"differ in seed \(0, not 1\)"),
        ({"search.space": "published"}, r"differ in search.space \(elastic, not published\)"),
        ({"network.mask_layers": 3}, r"differ in network.mask_layers \(2, not 3\)"),
        ({"data.scenes.train": 5}, r"differ in data.scenes.train \(4, not 5\)"),
    ],
)
def test_another_supernet_is_refused_by_what_differs(
    trained: Path, tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        take_supernet(change_settings(SETTINGS, changes), tmp_path / "second", trained)
    assert not (tmp_path / "second").exists()


def test_what_has_no_part_in_a_supernet_may_be_another(trained: Path, tmp_path: Path) -> None:
    changes = {
        "search.objective": "pq_things", "retrain.passes": 9, "init": "scratch", "merge.stuff_area": 1,
        "machine.workers": 2,
    }  # fmt: skip
    take_supernet(change_settings(SETTINGS, changes), tmp_path, trained)


def test_a_run_that_has_not_trained_it_is_refused(tmp_path: Path) -> None:
    Run(SETTINGS, tmp_path / "first", quiet())
    with pytest.raises(FileNotFoundError, match="has not trained its supernet; `autopanoptic panoptic train-supernet"):
        take_supernet(SETTINGS, tmp_path / "second", tmp_path / "first")


def test_a_copy_that_was_broken_off_is_made_again(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(source: Path, target: Path, **_: Any) -> None:
        target.mkdir(parents=True)
        (target / "supernet.pt").write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copytree", broken)
        with pytest.raises(KeyboardInterrupt):
            take_supernet(SETTINGS, tmp_path, trained)
    assert not (tmp_path / "supernet").exists()
    take_supernet(SETTINGS, tmp_path, trained)
    assert (tmp_path / "supernet/supernet.pt").read_bytes() == (trained / "supernet/supernet.pt").read_bytes()
    assert not list(tmp_path.glob("*.partial"))


def test_what_a_refused_run_has_left_is_no_supernet_of_the_next(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "supernet").mkdir()
    (tmp_path / "supernet/supernet.pt").write_bytes(b"another")
    take_supernet(SETTINGS, tmp_path, trained)
    assert (tmp_path / "supernet/supernet.pt").read_bytes() != b"another"
    (tmp_path / "supernet/supernet.pt").write_bytes(b"its own")
    Run(SETTINGS, tmp_path, quiet())  # has begun
    take_supernet(SETTINGS, tmp_path, trained)
    assert (tmp_path / "supernet/supernet.pt").read_bytes() == b"its own"


@pytest.fixture
def called(trained: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Settings, Path]]:
    """A working folder with that run, where the stages do nothing; what they are called with."""
    found: list[tuple[Settings, Path]] = []
    monkeypatch.chdir(trained.parents[1])
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    monkeypatch.setattr(pipeline, "Pipeline", _recording(found))
    monkeypatch.setattr(report, "write_report", lambda folder, **_: folder / "report.html")
    return found


@pytest.mark.parametrize(("budget", "half"), [(0.24, "0.12"), (0.14, None)])
def test_the_command_takes_the_config_with_it_and_says_how_to_go_on(
    called: list[tuple[Settings, Path]], budget: float, half: str | None
) -> None:
    fronts = Fronts("pq", "gflops", 1, budget, {"searched": (Point(Architecture({}), 0.1, 1.0, None),)})
    for name, run in (("second", "first"), ("third", "runs/first")):
        shutil.rmtree(Path("runs", name), ignore_errors=True)
        Path("runs", name).mkdir()
        fronts.save(Path("runs", name))
        result = runner.invoke(app, ["run", "--supernet-from", run, "--name", name, "--max-gflops", str(MOST)])
        assert result.exit_code == 0, result.output
        assert (f"--supernet-from {name} --max-gflops {half}\n" in result.output) == (half is not None)
        assert called[-1][0] == change_settings(SETTINGS, {"search.max_gflops": MOST})
        assert (called[-1][1] / "supernet/supernet.pt").is_file()
    assert load_run(Path("runs/first")) == SETTINGS


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


def _recording(found: list[tuple[Settings, Path]]) -> Callable[..., Any]:
    class Recorded:
        def __init__(self, settings: Settings, folder: Path, console: Console) -> None:
            found.append((settings, folder))

        def run(self) -> None: ...

    return Recorded


def _refuse(*_: Any, **__: Any) -> None:
    raise AssertionError("the supernet was trained anew")
