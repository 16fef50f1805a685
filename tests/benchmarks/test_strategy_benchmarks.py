from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from autopanoptic.nas import Strategy
from benchmarks.strategies import contestants, npz, report, runner, summary
from benchmarks.strategies.cli import app
from benchmarks.strategies.nni_peer import Nni
from benchmarks.strategies.optuna_peer import Optuna
from benchmarks.strategies.ours import Ours
from benchmarks.strategies.problem import Contestant, Done, Problem
from benchmarks.strategies.protocols import Budget, UntilBest
from benchmarks.strategies.results import Results, read
from benchmarks.strategies.runner import RunFile, Runner
from benchmarks.strategies.source import Source

ROOT = Path(__file__).resolve().parents[2]
OURS = ["random", "regularized-evolution-10-3", "evolution"]


class Places:
    """Where a benchmark reads and writes."""

    def __init__(self, table: Path, folder: Path) -> None:
        self.table, self.results, self.runs, self.docs = table, folder / "results", folder / "runs", folder / "docs"

    def invoke(self, command: str, *arguments: str) -> Result:
        words = [command, "--table", str(self.table), "--runs", str(self.runs), "--results", str(self.results)]
        return CliRunner().invoke(app, [*words, *arguments])

    def measure(self, command: str, names: list[str], *arguments: str) -> dict[str, Any]:
        chosen = [word for name in names for word in ("--contestant", name)]
        found = self.invoke(command, *chosen, *arguments)
        assert found.exit_code == 0, found.output
        (path,) = self.results.glob(f"{command}-*.json")
        values: dict[str, Any] = json.loads(path.read_text())
        return values


@pytest.fixture
def places(table_file: Path, tmp_path: Path) -> Places:
    return Places(table_file, tmp_path)


def test_contestants_say_what_they_are() -> None:
    assert contestants.contestant("regularized-evolution-10-3").about == (
        "RegularizedEvolution(population=10, sample=3, mutation_rate=None)"
    )
    assert re.fullmatch(
        r"nni 3\.0 RegularizedEvolution\(population_size=10, sample_size=3\)",
        Nni("RegularizedEvolution", {"population_size": 10, "sample_size": 3}).about,
    )
    pytest.importorskip("optuna")
    assert re.fullmatch(
        r"optuna [\d.]+ TPESampler\(multivariate=False\)", Optuna("TPESampler", {"multivariate": False}).about
    )
    with pytest.raises(ValueError, match="There is no contestant 'nobody'; choose from random, "):
        contestants.contestant("nobody")


def test_a_strategy_of_ones_own_takes_part(places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "from autopanoptic.nas import RandomSearch\n\nclass Mine(RandomSearch):\n    pass\n"
    (tmp_path / "of_my_own.py").write_text(
        f"{source}\nclass Needs(Mine):\n    def __init__(self, size):\n        pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    found = places.measure(
        "queries", ["of_my_own:Mine", "random"], "--seeds", "2", "--dataset", "cifar100", "--jobs", "2"
    )
    mine, random = found["entries"]
    assert (mine["contestant"], mine["about"]) == ("of_my_own:Mine", "Mine()")
    assert mine["evaluations"] == random["evaluations"]
    assert mine["seeds"] == 2
    for name, message in {
        "of_my_own:Other": "The strategy of_my_own:Other cannot be imported: module 'of_my_own' has no",
        "nowhere:Mine": "The strategy nowhere:Mine cannot be imported: No module named 'nowhere'. Give MODULE:CLASS,",
        "of_my_own:Needs": "of_my_own:Needs cannot be made without arguments: .*'size'. Give its parameters defaults.",
        "collections:Counter": "collections:Counter is not a class derived from autopanoptic.nas.Strategy",
    }.items():
        with pytest.raises(ValueError, match=message):
            contestants.contestant(name)


def test_queries_from_the_command_line(places: Places) -> None:
    found = places.measure(
        "queries", ["random", "evolution"], "--seeds", "4", "--horizon", "50", "--dataset", "cifar100"
    )
    entries = {entry["contestant"]: entry for entry in found["entries"]}
    assert list(entries) == ["random", "evolution"]
    entry = entries["random"]
    counts = entry["evaluations"]
    assert len(counts) == entry["seeds"] == 4
    assert len(set(counts)) > 1
    assert entry["summary"]["mean"] == pytest.approx(np.mean(counts))
    assert entry["summary"]["median"] == pytest.approx(np.median(counts))
    assert entry["curve"]["evaluations"][-1] == 50
    assert entry["settings"] == {"protocol": "UntilBest", "column": "test200/cifar100", "cap": 15_625}
    assert {"autopanoptic", "numpy", "python"} <= set(entry["versions"])
    assert set(entry["machine"]) == {"cpu", "cores", "system", "architecture"}


def test_the_command_names_no_folder(places: Places) -> None:
    found = places.measure("budget", ["random"], "--seeds", "2", "--seconds", "500")
    assert found["entries"][0]["command"] == (
        "python -m benchmarks.strategies budget --table tiny.npz --contestant random --seeds 2 --seconds 500.0 "
        "--results results --runs runs"
    )
    assert str(places.table.parent) not in json.dumps(found)


def test_a_run_that_is_capped_leaves_no_mean(places: Places) -> None:
    found = places.measure("queries", ["random"], "--seeds", "6", "--cap", "3", "--dataset", "cifar10")
    (entry,) = found["entries"]
    assert entry["summary"]["found"] < 6
    assert entry["summary"]["mean"] is entry["summary"]["mean_distinct"] is entry["summary"]["q75"] is None
    assert entry["curve"]["evaluations"][-1] == 3


def test_a_horizon_that_no_run_reaches_is_refused_before_any_run(places: Places) -> None:
    for command in ("queries", "bounded"):
        failed = places.invoke(command, "-c", "random", "--cap", "3", "--horizon", "4", "--dataset", "cifar10")
        assert failed.exit_code == 2
        assert "give a --horizon of at most the --cap" in " ".join(failed.output.replace("│", " ").split())
    assert not places.results.exists() or not list(places.results.iterdir())


def test_contestants_are_added_to_the_results(places: Places) -> None:
    places.measure("budget", ["random", "nni-random"], "--seeds", "2")
    found = places.measure("budget", ["evolution", "random"], "--seeds", "3")
    assert [(e["contestant"], e["seeds"]) for e in found["entries"]] == [
        ("random", 3),
        ("nni-random", 2),
        ("evolution", 3),
    ]


class NotInstalled(Contestant):
    """A peer whose package is not there."""

    about = "NotInstalled"

    def play(self, problem: Problem, seed: int, done: Done) -> None:
        raise ModuleNotFoundError("No module named 'no_such_module'")


def test_the_library_has_each_of_its_contestants() -> None:
    ours = {name: one for name, one in contestants.CONTESTANTS.items() if isinstance(one, Ours)}
    assert len(ours) > 9
    for name, one in ours.items():
        assert isinstance(one.make(), Strategy), name


def test_who_cannot_take_part_is_noted(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(contestants.CONTESTANTS, "missing", NotInstalled())
    found = places.measure(
        "front", ["nni-random", "missing", "random"], "--seeds", "2", "--evaluations", "10", "--dataset", "cifar10"
    )
    assert [entry["contestant"] for entry in found["entries"]] == ["random"]
    whys = {item["contestant"]: item["why"] for item in found["left_out"]}
    assert whys["nni-random"] == "NNI's Random maximises one metric, without constraints."
    assert "no_such_module" in whys["missing"]


@pytest.mark.parametrize("name", ["nobody", "random"])
def test_a_wrong_option_is_explained(places: Places, name: str) -> None:
    if name == "random":
        places.table.write_text("nothing")
    found = places.invoke("budget", "--contestant", name)
    assert found.exit_code == 2
    assert ("There is no contestant" if name == "nobody" else "cannot be read") in found.output


class Counted(Contestant):
    """Random rows; counts its runs, and is interrupted in one of them."""

    about = "Counted"

    def __init__(self) -> None:
        self.played: list[int] = []
        self.interrupt: int | None = None

    def play(self, problem: Problem, seed: int, done: Done) -> None:
        self.played.append(seed)
        if seed == self.interrupt:
            raise KeyboardInterrupt
        for row in np.random.default_rng(seed).permutation(81).tolist():
            if done(row):
                return


def test_an_interrupted_benchmark_goes_on(table_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted()
    monkeypatch.setitem(contestants.CONTESTANTS, "counted", counted)
    table = npz.load(table_file)
    protocol = UntilBest("test200/cifar10", 81)
    player = Runner(Source(table_file), 5, tmp_path / "runs")
    counted.interrupt = 3
    with pytest.raises(KeyboardInterrupt):
        player.runs(protocol, "counted", table)
    counted.interrupt = None
    file = RunFile.of(tmp_path / "runs", protocol, "counted", table)
    assert list(file.runs) == [0, 1, 2]
    with file.path.open("a") as torn:
        torn.write('{"seed": 3, "evalu')
    runs = player.runs(protocol, "counted", table)
    assert counted.played == [0, 1, 2, 3, 3, 4]
    assert [run["seed"] for run in runs] == [0, 1, 2, 3, 4]
    assert [run["evaluations"] for run in runs] == [
        protocol.run(counted, table, seed)["evaluations"] for seed in range(5)
    ]
    counted.played.clear()
    player.runs(protocol, "counted", table)
    assert counted.played == []
    player.runs(UntilBest("test200/cifar10", 80), "counted", table)  # another protocol has runs of its own
    Runner(Source(table_file), 5, tmp_path / "runs", fresh=True).runs(protocol, "counted", table)
    assert counted.played == [0, 1, 2, 3, 4] * 2


def test_runs_depend_on_everything(table_file: Path, arrays: dict[str, Any], tmp_path: Path) -> None:
    table = npz.load(table_file)
    arrays["test200"][0, 0] += 1e-3
    other = npz.from_arrays("tiny", arrays)
    protocols = [UntilBest("test200/cifar10", 81), UntilBest("test200/cifar10", 80)]
    files = [
        RunFile.of(tmp_path, protocol, name, one).path
        for protocol in protocols
        for name in ("random", "evolution")
        for one in (table, other)
    ]
    assert len(set(files)) == 8


def test_several_processes_give_the_same_runs(table_file: Path, tmp_path: Path) -> None:
    table = npz.load(table_file)
    found = [
        Runner(Source(table_file), 4, tmp_path / str(jobs), jobs).runs(Budget(1500), "evolution", table)
        for jobs in (1, 2)
    ]
    assert [{**run, "cpu_seconds": 0} for run in found[0]] == [{**run, "cpu_seconds": 0} for run in found[1]]


def test_the_curve_ends_with_the_run() -> None:
    runs = [
        {"seed": 0, "evaluations": 4, "found": True, "improvements": [[1, 5.0], [4, 0.0]]},
        {"seed": 1, "evaluations": 2, "found": True, "improvements": [[1, 3.0], [2, 0.0]]},
        {"seed": 2, "evaluations": 9, "found": False, "improvements": [[2, 1.0]]},
    ]
    assert summary.regret_curve(runs, [2, 4, 9])["median"] == [1.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="seed 2 ended after 9 evaluations without the best"):
        summary.regret_curve(runs, [10])
    assert summary.grid(1000)[0] == 1
    assert summary.grid(1000)[-1] == 1000


def test_propose_times_each_strategy(tmp_path: Path) -> None:
    words = [
        "propose",
        "-c",
        "random",
        "--choices",
        "5",
        "--trials",
        "20",
        "--proposals",
        "4",
        "--results",
        str(tmp_path),
    ]
    assert CliRunner().invoke(app, words).exit_code == 0
    entries = json.loads((tmp_path / "propose.json").read_text())["entries"]
    assert [entry["problem"] for entry in entries] == [
        "5 choices, 20 trials, 1 objective",
        "5 choices, 20 trials, 2 objectives",
    ]
    for entry in entries:
        assert 0 <= entry["ms"]["median"] <= entry["ms"]["p95"] <= entry["ms"]["max"]
    peers = CliRunner().invoke(app, [*words[:2], "nni-random", *words[3:]])
    assert peers.exit_code == 2
    assert "not one of the library's strategies" in peers.output.replace("\n", " ")


def test_the_report_has_the_numbers_of_the_results(places: Places) -> None:
    places.measure("budget", OURS, "--seeds", "3", "--seconds", "1500")
    places.measure("queries", ["random", "nni-random"], "--seeds", "3", "--horizon", "40")
    places.measure("bounded", ["random"], "--seeds", "3", "--horizon", "20", "--dataset", "cifar10")
    places.measure("front", ["random", "nni-random"], "--seeds", "3", "--evaluations", "50", "--dataset", "cifar10")
    path = places.results / "queries-tiny.json"
    values = json.loads(path.read_text())
    values["entries"][0]["summary"]["mean"] = 123.4
    values["entries"][1]["summary"].update(mean=None, std=None, mean_distinct=None, q75=None, found=2)
    path.write_text(json.dumps(values))
    assert (
        CliRunner().invoke(app, ["report", "--results", str(places.results), "--docs", str(places.docs)]).exit_code == 0
    )
    page = (places.docs / "benchmarks.md").read_text()
    assert re.search(r"\| random \| 3 \| 3 \| 123\.4 \|", page)
    assert re.search(r"\| nni-random \| 3 \| 2 \| - \| - \| \d+ \| \d+ \| > 15625 \| - \|", page)
    random = read(places.results / "budget-tiny.json").entries["val12/cifar10", "random"]["summary"]
    test = random["test"]["cifar10"]
    assert f"| random | 3 | {random['evaluations']['mean']:.1f} | {test['mean']:.2f} ± {test['std']:.2f} (" in page
    assert "Left out: nni-random. NNI's Random maximises one metric" in page
    assert "python -m benchmarks.strategies budget --table tiny.npz" in page
    assert "| `latency_devices` | (devices,) text |" in page
    for image in re.findall(r"\]\((benchmarks/.*\.png)\)", page):
        assert (places.docs / image).read_bytes().startswith(b"\x89PNG")
    assert len(re.findall(r"\.png", page)) == 3


def test_a_report_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="measure something first"):
        report.write(tmp_path, tmp_path)


def test_the_page_of_the_documentation_is_that_of_the_results(tmp_path: Path) -> None:
    page = report.write(ROOT / "benchmarks" / "results" / "strategies", tmp_path)
    assert page.read_text() == (ROOT / "docs" / "benchmarks.md").read_text(), (
        "run python -m benchmarks.strategies report"
    )


def test_results_survive_a_round_trip(tmp_path: Path, table_file: Path) -> None:
    table = npz.load(table_file)
    found = Results.of(tmp_path, "budget", table, "command")
    found.put("p", "random", numbers=[1, 2.5, None], nested={"a": [[1, 2], [3, 4]]})
    found.leave_out("p", "nni-random", "a reason, [1 2] in brackets")
    again = read(found.path)
    assert (again.entries, again.left_out) == (found.entries, found.left_out)
    assert Results.of(tmp_path, "budget", table, "").entries == found.entries
    assert runner.FOLDER.parts[0] == "runs"  # which git ignores


def test_the_guide_says_of_a_known_cost_what_the_results_do() -> None:
    entries = json.loads((ROOT / "benchmarks" / "results" / "strategies" / "front-nasbench201.json").read_text())[
        "entries"
    ]
    guide = " ".join((ROOT / "docs" / "guide" / "strategies.md").read_text().split())

    def after_50(contestant: str) -> float:
        (found,) = (
            entry["curve"] for entry in entries
            if entry["contestant"] == contestant and entry["problem"].startswith("test200/cifar100 and")
        )  # fmt: skip
        share: float = found["median"][found["evaluations"].index(50)]
        return share

    known, nsga2, tpe, modelled = map(
        after_50, ("bayesian-optimization-known", "nsga2", "optuna-tpe", "bayesian-optimization")
    )
    assert f"after 50 evaluations has {known:.2f} of the true front's hypervolume, that of NSGA-II {nsga2:.2f}" in guide
    assert f"that of Optuna's TPE {tpe:.2f}, and its own where the latency is modelled {modelled:.2f}" in guide
