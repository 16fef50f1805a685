"""The whole search of the space auto-panoptic, small: what it writes, and that a kill in the middle changes nothing."""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from autopanoptic.nas import Architecture, InfeasibleError, Result, Supernet
from autopanoptic.panoptic.configs.config import change_settings, load_config, save_config
from autopanoptic.panoptic.data.coco.layout import Datasets, find_split
from autopanoptic.panoptic.quality.bootstrap import value_of
from autopanoptic.panoptic.quality.images import ImageCounts
from autopanoptic.panoptic.results.saved import load_network, new_network
from autopanoptic.panoptic.results.usage import Usage
from autopanoptic.panoptic.run import retrain
from autopanoptic.panoptic.run.folder import SETTINGS
from autopanoptic.panoptic.run.screening import Screened
from autopanoptic.panoptic.search.strategies import hand_made
from autopanoptic.panoptic.stages import pipeline
from autopanoptic.panoptic.stages.comparison import NetworkReport
from autopanoptic.panoptic.stages.networks import build, network_config
from autopanoptic.panoptic.stages.pipeline import Compared, Pipeline
from autopanoptic.panoptic.trained.evaluate import evaluate
from autopanoptic.panoptic.trained.networks import load_trained
from autopanoptic.panoptic.training.recipe import Recipe

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "panoptic_search.py"
RECIPE = Recipe(passes=1, batch_size=2, warmup=0)
SETTINGS_OF_TEST = load_config(
    "scenes",
    {
        "data.scenes": {"train": 4, "nas_val": 2, "val": 2},
        "warmup": RECIPE,
        "supernet": replace(RECIPE, passes=2),
        "retrain": RECIPE,
        "search": {"space": "auto-panoptic", "trials": 13, "recalibration_batches": 1, "finalists": 1, "screened": 0},
        # Several trainings at a time are the matter of test_side_by_side.py.
        "machine": {"workers": 1, "supernet_processes": 1, "trainings": 1, "device": "cpu"},
    },
)


def quiet() -> Console:
    return Console(file=io.StringIO())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, NetworkReport]]:
    torch.set_num_threads(SETTINGS_OF_TEST.machine.threads)
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return folder, Pipeline(SETTINGS_OF_TEST, folder, quiet()).run()


def test_the_folder_holds_all_results(finished: tuple[Path, dict[str, NetworkReport]]) -> None:
    folder, reports = finished
    metrics = json.loads((folder / "metrics.json").read_text())
    assert set(metrics["networks"]) == set(reports) == {"searched", "random", "hand-made"}
    for name, values in metrics["networks"].items():
        assert values["pq"] == pytest.approx(100 * reports[name].quality.all.pq)
        assert values["gflops"] > 0 < values["latency_ms"]
        assert 0.3 < values["mparams"] < 1.5
        assert len(list((folder / "networks" / name / "pictures").glob("*.png"))) == 2
        assert (folder / "networks" / name / "network.png").read_bytes().startswith(b"\x89PNG")
        counts, ids = ImageCounts.load(
            folder / "networks" / name / "images.json", reports[name].quality.images.categories
        )
        assert (value_of(counts), len(ids)) == (pytest.approx(values["pq"]), 2)
    for name, found in metrics["searched_minus"].items():
        assert found["low"] <= found["value"] <= found["high"]
        assert found["value"] == pytest.approx(metrics["networks"]["searched"]["pq"] - metrics["networks"][name]["pq"])
    assert Architecture.load(folder / "architecture.json") == reports["searched"].architecture
    for plot in ("history.png", "options.png"):
        assert (folder / plot).read_bytes().startswith(b"\x89PNG")


def test_a_found_network_is_loaded_by_its_folder(finished: tuple[Path, dict[str, NetworkReport]]) -> None:
    folder, reports = finished
    network = load_network(folder / "networks" / "searched")
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == pytest.approx(1e6 * reports["searched"].mparams)
    stored = torch.load(folder / "networks" / "searched" / "weights.pt", weights_only=True)
    assert all(torch.equal(value, stored[name]) for name, value in network.state_dict().items())


def test_the_networks_know_their_classes_and_are_measured_alike(
    finished: tuple[Path, dict[str, NetworkReport]], tmp_path: Path
) -> None:
    folder, reports = finished
    evaluation = evaluate(folder, device="cpu")
    assert {name: one.quality for name, one in evaluation.networks.items()} == {
        name: report.quality for name, report in reports.items()
    }
    # Away from the run, too.
    alone = load_trained(shutil.copytree(folder / "networks" / "searched", tmp_path / "alone"))
    known = find_split(folder / "data", "train").open().categories
    assert alone.usage == Usage(known, rules=SETTINGS_OF_TEST.merge)


def test_weights_of_another_network_are_refused(
    finished: tuple[Path, dict[str, NetworkReport]], tmp_path: Path
) -> None:
    source = finished[0] / "networks"
    for name, owner in (("config.json", "searched"), ("architecture.json", "hand-made"), ("weights.pt", "searched")):
        shutil.copy(source / owner / name, tmp_path / name)
    with pytest.raises(ValueError, match="does not hold the weights of this network"):
        load_network(tmp_path)


def test_the_answer_comes_from_the_journal(finished: tuple[Path, dict[str, NetworkReport]]) -> None:
    folder, reports = finished
    result = Result.from_journal(folder / "search.jsonl")
    assert result.history.n_completed in (12, 13)  # the answer may have stood in the cycle
    assert reports["searched"].architecture in result.history
    assert {"pq", "gflops", "mparams"} <= set(result.best.metrics)
    drawn = Result.from_journal(folder / "random.jsonl")
    assert drawn.history.n_completed == len(result.history)
    assert drawn.best.architecture == reports["random"].architecture


def test_a_finished_run_is_only_reported_again(finished: tuple[Path, dict[str, NetworkReport]]) -> None:
    folder, reports = finished
    again = Pipeline(SETTINGS_OF_TEST, folder, quiet()).run()
    assert {n: r.quality.all for n, r in again.items()} == {n: r.quality.all for n, r in reports.items()}


def test_names_of_one_network_have_one_latency(
    datasets: Datasets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = network_config(SETTINGS_OF_TEST, datasets.train.categories)
    plain = hand_made(Supernet(build(config, seed=0)).space)
    other = Architecture({**plain, "mask.0": "at3"})
    monkeypatch.setattr(
        retrain,
        "retrain_all",
        lambda _, trained, *rest: {name: new_network(config, trained[name]) for name in trained},
    )
    times = iter([7.0, 8.0])
    monkeypatch.setattr(pipeline, "latency", lambda *_: next(times))
    run = Pipeline(SETTINGS_OF_TEST, tmp_path, quiet())
    run.datasets = datasets
    compared = Compared(None, {"random": other, "hand-made": plain})
    trained = retrain.train_finalists(run, Screened([plain], {}), compared.others)
    found = run._measure(trained, compared, datasets)
    assert {name: one.latency_ms for name, one in found.items()} == {"searched": 7, "random": 8, "hand-made": 7}


def test_other_settings_are_refused(finished: tuple[Path, dict[str, NetworkReport]]) -> None:
    other = change_settings(SETTINGS_OF_TEST, {"seed": 1, "supernet.learning_rate": 0.5, "warmup": None})
    differences = r"warmup \(a section, not null\); supernet\.learning_rate \(0\.003, not 0\.5\); seed \(0, not 1\)\."
    with pytest.raises(FileExistsError, match=rf"holds a run with other settings, which differ in {differences}"):
        Pipeline(other, finished[0], quiet())


def command(folder: Path) -> list[str]:
    return [sys.executable, str(EXAMPLE), "--resume", "--name", folder.name]


def completed(journal: Path) -> int:
    return journal.read_text().count('"completed"') if journal.exists() else 0


def test_a_search_that_cannot_begin_is_refused_before_the_training(tmp_path: Path) -> None:
    few = change_settings(SETTINGS_OF_TEST, {"search.trials": 12})
    with pytest.raises(ValueError, match="12 trials and one for its answer; trials is 12"):
        Pipeline(few, tmp_path / "few", quiet()).run()
    tight = change_settings(SETTINGS_OF_TEST, {"search.max_gflops": 0.01})
    with pytest.raises(InfeasibleError, match=r"break the constraint gflops <= 0.01; 0 of 1000"):
        Pipeline(tight, tmp_path / "tight", quiet()).run()
    assert not [*tmp_path.glob("*/supernet"), *tmp_path.glob("*/data")]
    # Better settings take the place of refused ones, under the same name.
    Pipeline(SETTINGS_OF_TEST, tmp_path / "few", quiet())
    assert load_config(tmp_path / "few" / SETTINGS) == SETTINGS_OF_TEST


@pytest.mark.slow  # benchmarks/pipeline_smoke.sh --short kills a run in each of its stages
@pytest.mark.parametrize("workers", [2, 1])
def test_a_kill_during_the_search_changes_nothing(
    finished: tuple[Path, dict[str, NetworkReport]], tmp_path: Path, workers: int
) -> None:
    folder = tmp_path / "runs" / "killed"
    folder.mkdir(parents=True)
    settings = change_settings(SETTINGS_OF_TEST, {"machine.workers": workers})
    save_config(settings, folder / SETTINGS)
    process = subprocess.Popen(command(folder), cwd=tmp_path, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while completed(folder / "search.jsonl") < 3:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert completed(folder / "search.jsonl") < 12
    whole = finished[0]
    # What comes after the search is not the matter; the networks are refused if they began with another supernet.
    shutil.copytree(whole / "networks", folder / "networks")
    shutil.copy(whole / "random.jsonl", folder)
    Pipeline(settings, folder, quiet()).run()
    assert (folder / "architecture.json").read_text() == (whole / "architecture.json").read_text()

    def trials(path: Path) -> list[tuple[Architecture, dict[str, float]]]:
        return [(t.architecture, dict(t.metrics)) for t in Result.from_journal(path).history]

    assert trials(folder / "search.jsonl") == trials(whole / "search.jsonl")
