"""The whole search of the main job, small: its fronts, the budget, and what is compared at it."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from autopanoptic.nas import Architecture, Result, Supernet
from autopanoptic.nas.supernet.batch_norm import recalibrated
from autopanoptic.panoptic.configs.config import load_config, save_config
from autopanoptic.panoptic.data.coco.layout import find_splits
from autopanoptic.panoptic.model.weights import load_weights
from autopanoptic.panoptic.results.finalists import names_of, within_budget
from autopanoptic.panoptic.results.fronts import Fronts
from autopanoptic.panoptic.results.saved import load_network
from autopanoptic.panoptic.search.evaluator import run_norms
from autopanoptic.panoptic.stages.batches import recalibration_batches
from autopanoptic.panoptic.stages.comparison import NetworkReport
from autopanoptic.panoptic.stages.networks import build
from autopanoptic.panoptic.stages.pipeline import Pipeline, network_within
from autopanoptic.panoptic.training.recipe import Recipe

RECIPE = Recipe(passes=1, batch_size=1, warmup=0)
SETTINGS = load_config(
    "scenes",
    {
        "data.scenes": {"train": 2, "nas_val": 6, "val": 2},
        "largest": RECIPE,
        "supernet": replace(RECIPE, passes=2),
        "retrain": RECIPE,
        "search": {"trials": 8, "recalibration_batches": 1, "finalists": 2, "screened": 3, "screening_passes": 2},
        "machine": {"workers": 1, "supernet_processes": 1, "trainings": 1, "device": "cpu", "evaluation_batch": 1},
    },
)  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, NetworkReport], str]:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("runs") / "cost"
    console = Console(file=io.StringIO(), width=80)
    reports = Pipeline(SETTINGS, folder, console).run()
    return folder, reports, console.file.getvalue()  # type: ignore[attr-defined]


def test_the_fronts_are_those_of_the_journals(finished: tuple[Path, dict[str, NetworkReport], str]) -> None:
    folder, _, text = finished
    fronts = Fronts.load(folder)
    for name, journal in (("searched", "search"), ("random", "random"), ("hand-made", "family")):
        result = Result.from_journal(folder / f"{journal}.jsonl")
        assert [one.direction for one in result.history.objectives] == ["max", "min"]
        shown = result.history.completed if name == "hand-made" else result.pareto()
        assert {point.architecture for point in fronts.series[name]} == {trial.architecture for trial in shown}
    assert len(fronts.series["hand-made"]) == 3  # what keeps the budget
    assert fronts.images == 6
    on_val = Result.from_journal(folder / "val.jsonl").history.completed
    assert {trial.architecture for trial in on_val} == set(fronts.offered())
    assert {point.architecture: point.value for point in fronts.on_val} == {
        t.architecture: t.metrics["pq"] for t in on_val
    }
    assert (folder / "front.png").read_bytes().startswith(b"\x89PNG")
    assert "A candidate's pq has a standard error of" in text
    assert fronts.budget_line(2) in " ".join(text.split())


def test_one_network_of_each_is_compared_at_the_budget(finished: tuple[Path, dict[str, NetworkReport], str]) -> None:
    folder, reports, text = finished
    fronts = Fronts.load(folder)
    assert fronts.budget == reports["hand-made"].gflops
    for name in ("random", "hand-made"):
        assert reports[name].architecture == fronts.chosen(name).architecture
        assert reports[name].gflops == pytest.approx(fronts.chosen(name).cost)
    found = json.loads((folder / "metrics.json").read_text())["searched_minus"]
    assert set(found) <= {"random", "hand-made"}
    for name in set(found) - {"searched"}:
        assert found[name]["images"] == 2
        assert f"searched - {name}: {found[name]['value']:+.1f} PQ" in text


def test_the_best_finalist_on_nas_val_is_what_was_searched(
    finished: tuple[Path, dict[str, NetworkReport], str],
) -> None:
    folder, reports, text = finished
    fronts = Fronts.load(folder)
    shortlist = within_budget(Result.from_journal(folder / "search.jsonl"), fronts)
    assert shortlist.candidates[0] == fronts.chosen("searched").architecture
    short = json.loads((folder / "metrics.json").read_text())["screened_on_nas_val"]
    candidates = {one.id: one for one in shortlist.candidates if one != shortlist.by_hand}
    assert list(short) == list(candidates)[:3]
    assert {path.name for path in (folder / "screening").iterdir()} == set(short)
    first, value = next(iter(short.items()))
    assert f"pq on nas_val after 2 passes: {first} {value:.1f}" in " ".join(text.split())
    found = shortlist.finalists([candidates[name] for name in sorted(short, key=lambda name: -short[name])], 2)
    values = {name: float(value) for name, value in re.findall(r"(searched-\d) (\d+\.\d)", text)}
    assert set(values) == {"searched-1", "searched-2"}
    for name, architecture in names_of(found).items():
        assert Architecture.load(folder / "networks" / name / "architecture.json") == architecture
    best = max(values, key=lambda name: values[name])
    kept_values = json.loads((folder / "metrics.json").read_text())["finalists_on_nas_val"]
    assert {name: round(value, 1) for name, value in kept_values.items()} == values
    assert reports["searched"].architecture == names_of(found)[best]
    kept, trained = (load_network(folder / "networks" / name).state_dict() for name in ("searched", best))
    assert all(torch.equal(kept[name], trained[name]) for name in trained)
    assert reports["searched"].gflops <= fronts.budget * (1 + 1e-9)


def test_a_network_for_another_budget_is_taken_from_the_supernet_in_one_line(
    finished: tuple[Path, dict[str, NetworkReport], str],
) -> None:
    folder, _, _ = finished
    result = Result.from_journal(folder / "search.jsonl")
    costs = sorted(trial.metrics["gflops"] for trial in result.history.completed)
    candidate = result.best_within({"gflops": (None, costs[1])})
    network = network_within(folder, gflops=(None, costs[1]))
    assert not network.training
    assert sum(parameter.numel() for parameter in network.parameters()) == pytest.approx(
        1e6 * candidate.metrics["mparams"]
    )
    # It is the path as the candidate was measured.
    train = find_splits(folder / "data").open(SETTINGS.seed).train
    whole = build(network.config, seed=5)
    load_weights(whole, folder / "supernet" / "supernet.pt")
    supernet = Supernet(whole)
    supernet.activate(candidate.architecture)
    image = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    with recalibrated(supernet, recalibration_batches(SETTINGS, train, 32) or [], run_norms), torch.no_grad():
        torch.testing.assert_close(network(image).segmentation, whole.eval()(image).segmentation)
    with pytest.raises(ValueError, match="gflops"):
        network_within(folder, gflops=(None, 0.001))


def test_a_run_without_a_supernet_has_no_network_to_give(tmp_path: Path) -> None:
    save_config(SETTINGS, tmp_path / "config.yaml")
    with pytest.raises(FileNotFoundError, match=r"supernet\.pt: the run has not trained its supernet"):
        network_within(tmp_path)


def test_a_finished_search_is_not_run_again(finished: tuple[Path, dict[str, NetworkReport], str]) -> None:
    folder, reports, _ = finished
    before = {path: path.read_bytes() for path in folder.glob("*.jsonl")}
    assert len(before) == 4
    again = Pipeline(SETTINGS, folder, Console(file=io.StringIO())).run()
    assert {path: path.read_bytes() for path in before} == before
    assert {n: r.architecture for n, r in again.items()} == {n: r.architecture for n, r in reports.items()}
