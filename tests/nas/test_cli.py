from __future__ import annotations

import json
import threading
from importlib.metadata import EntryPoint, version
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from autopanoptic.nas import Architecture, Choice, RandomSearch, Result, Search, SearchSpace, cli
from autopanoptic.nas.cli import app

RUNNER = CliRunner()


def run(*arguments: str) -> Any:
    return RUNNER.invoke(app, list(arguments), catch_exceptions=False)


def measure(architecture: Architecture) -> dict[str, float]:
    if architecture["k0"] == 1 and architecture["k1"] == 1:
        raise RuntimeError("does not fit")
    return {"acc[uracy]": len(architecture) + 0.25, "latency": sum(architecture[f"k{i}"] == 1 for i in range(6))}


@pytest.fixture
def journal(space: SearchSpace, tmp_path: Path) -> Path:
    objectives = {"acc[uracy]": "max", "latency": "min"}
    Search(space, RandomSearch(), measure, objectives=objectives, journal=tmp_path / "run.jsonl").run(30)
    return tmp_path / "run.jsonl"


def test_version() -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout == f"autopanoptic {version('autopanoptic')}\n"


def test_help_lists_the_commands_and_no_arguments_mean_help() -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert "show" in result.stdout
    assert "panoptic" in result.stdout
    assert "Usage" in run().output


def test_show(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    before = journal.read_bytes()
    result = run("show", str(journal), "--top", "4")
    assert result.exit_code == 0
    assert journal.read_bytes() == before
    text = " ".join(result.stdout.split())
    assert "30 trials of a space of 192:" in text
    assert "completed" in text
    assert "failed" in text
    assert "Best 4 trials" in text
    assert "Pareto front" in text
    assert "acc[uracy]" in text
    assert "8.25" in text
    assert "conv ×" in text


METRICS = [f"{name}{part}" for name in ("pq", "sq", "rq") for part in ("", "_things", "_stuff")]


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """A search with two costs, one of them bounded, nine metrics and 70 choices."""
    space = SearchSpace([Choice(f"block.{n}", ["conv3", "conv5"]) for n in range(70)])
    Search(
        space, RandomSearch(), lambda a: {name: n + 0.123456 for n, name in enumerate(METRICS)}, objectives="rq_stuff",
        costs={"mparams": lambda a: 1.5, "gflops": lambda a: 2.5}, constraints={"gflops": (None, 3)},
        journal=tmp_path / "wide.jsonl",
    ).run(12)  # fmt: skip
    return tmp_path / "wide.jsonl"


def shown(journal: Path, monkeypatch: pytest.MonkeyPatch, columns: int, *arguments: str) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    result = run("show", str(journal), *arguments)
    assert result.exit_code == 0
    assert all(len(line) <= columns for line in result.stdout.splitlines())
    assert "…" not in result.stdout, "nothing is cut"
    return str(result.stdout)


@pytest.mark.parametrize("columns", [40, 60, 80, 120, 200])
def test_show_puts_objectives_and_bounds_first_and_the_rest_where_there_is_room(
    wide: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    text = shown(wide, monkeypatch, columns, "--no-options")
    (header,) = [line.split() for line in text.splitlines() if line.startswith("trial")]
    assert header[:3] == ["trial", "rq_stuff", "gflops"]
    assert "8.1235" in text
    named = [name for name in METRICS if name in text.replace(",", " ").replace(":", " ").split()]
    assert named == METRICS, "shown, or named as left out"
    assert ("--all" in text) == (columns < 200)
    if columns >= 60:
        assert header[3] == "mparams", "the other cost before what the evaluator returned"
        assert header[-2:] == ["seconds", "architecture"]


def test_show_all_needs_no_wide_terminal(wide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(wide, monkeypatch, 60, "--all")
    headers = [name for line in text.splitlines() if line.startswith("trial ") for name in line.split()[1:]]
    assert sorted(headers) == sorted([*METRICS, "gflops", "mparams", "seconds", "architecture"])
    assert "block.69" in text
    assert "--all" not in text


def test_show_prints_the_options_of_the_best_trial(wide: Path, journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(journal, monkeypatch, 80)
    best = Result.from_journal(journal).best
    assert f"Options of the best trial, {best.id}" in text
    words = text.split("Options of the best trial")[1].split("Options of the best 10")[0].split()[2:]
    assert dict(zip(words[::2], words[1::2], strict=True)) == {k: str(v) for k, v in best.architecture.items()}
    assert "and 10 choices more: see them by --all" in shown(wide, monkeypatch, 80)


def test_show_a_search_in_which_nothing_keeps_the_constraints(
    space: SearchSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = {"value": 1.0, "milliseconds": 9.0}
    bound = {"milliseconds": (None, 5)}
    Search(space, RandomSearch(), lambda a: measured, constraints=bound, journal=tmp_path / "j").run(3)
    assert "None of the trials keeps milliseconds" in shown(tmp_path / "j", monkeypatch, 80)


def test_show_without_options(journal: Path) -> None:
    assert "Options of the best" in run("show", str(journal)).stdout
    assert "Options of the best" not in run("show", str(journal), "--no-options").stdout


def test_show_writes_plots_and_the_best_architecture(journal: Path, tmp_path: Path) -> None:
    result = run("show", str(journal), "--plots", str(tmp_path / "plots"), "--save", str(tmp_path / "best.json"))
    assert result.exit_code == 0
    names = {path.name for path in (tmp_path / "plots").iterdir()}
    assert names == {"history.png", "options.png", "pareto.png"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (tmp_path / "plots").iterdir())
    assert len(Architecture.load(tmp_path / "best.json")) == 8


def test_show_a_search_that_runs(space: SearchSpace, tmp_path: Path) -> None:
    with Search(space, RandomSearch(), journal=tmp_path / "j") as search:
        search.ask()
        result = run("show", str(tmp_path / "j"))
    assert result.exit_code == 0
    assert "1 running" in result.stdout
    assert "Best" not in result.stdout


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "There is no journal"),
        ("{", "does not begin with"),
        ('{\n"pq": 3}\n', "line 1 is not JSON"),
        ('{"event": "a"}\n3\n', "line 2 is not an event"),
    ],
)
def test_errors_are_one_clean_line(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "j").write_text(content)
    result = run("show", str(tmp_path / "j"))
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_errors_of_the_system_name_the_file(journal: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run("show", str(journal), "--plots", str(tmp_path / "file" / "plots"))
    assert (result.exit_code, result.stderr) == (1, f"Error: {tmp_path / 'file' / 'plots'}: Not a directory\n")


def test_a_folder_is_refused_by_the_journals_in_it(tmp_path: Path) -> None:
    (tmp_path / "search.jsonl").touch()
    result = run("show", str(tmp_path))
    assert result.exit_code == 1
    assert result.stderr == f"Error: {tmp_path} is a folder. Name the journal itself: {tmp_path / 'search.jsonl'}.\n"


def test_traceback_on_request(tmp_path: Path) -> None:
    result = run("--traceback", "show", str(tmp_path / "j"))
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert "from_journal" in result.stderr


@pytest.mark.parametrize("arguments", [["show"], ["nothing"], ["show", "j", "--top", "0"], ["--wrong"]])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Usage" in result.stderr


# Tasks of other packages


def _task(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_tasks", lambda: {name: EntryPoint(name, value, cli.GROUP)})


def _commands() -> typer.Typer:
    task = typer.Typer(help="A task of another package.")

    @task.command()
    def double(number: int) -> None:
        """Print twice the number."""
        if number == 13:
            raise ValueError("13 is not a number here")
        if number == 14:
            import not_installed_anywhere  # type: ignore[import-not-found]  # noqa: F401
        print(2 * number)

    @task.command()
    def other() -> None:
        """Do something else."""

    return task


COMMANDS = _commands()


def test_task_brings_its_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EntryPoint, "load", lambda self: COMMANDS)
    _task("toy", "toys:app", monkeypatch)
    assert run("toy", "double", "21").stdout == "42\n"
    assert "A task of another package" in run("--help").stdout
    assert "Do something else" in run("toy", "--help").stdout
    assert "install-completion" not in run("toy", "--help").stdout
    assert run("toy", "double", "x").exit_code == 2
    failed = run("toy", "double", "13")
    assert (failed.exit_code, failed.stderr) == (1, "Error: 13 is not a number here\n")
    lacking = run("toy", "double", "14")
    assert lacking.exit_code == 1
    assert "No module named 'not_installed_anywhere'" in lacking.stderr


def test_task_whose_extra_is_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    _task("toy", "not_installed_anywhere:app", monkeypatch)
    listed = run("--help")
    assert listed.exit_code == 0
    assert "Not available" in listed.stdout
    result = run("toy", "double", "21", "--flag")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: The commands of 'toy' cannot be loaded: No module named 'not_installed_anywhere'. "
        "Install what not_installed_anywhere:app needs.\n"
    )


def test_remedy_names_the_extra() -> None:
    task = cli._tasks()["panoptic"]
    assert cli._remedy(task) == "Install it by: pip install 'autopanoptic[panoptic]'"


def test_program_is_installed() -> None:
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="autopanoptic")
    assert script.load() is cli.main


def test_export_optuna(journal: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    storage = f"{tmp_path}/studies.log"
    for name, arguments in (("run", []), ("run", []), ("other", ["--study-name", "other"])):
        result = run("export-optuna", str(journal), storage, *arguments)
        assert result.exit_code == 0
        assert result.stdout == f"Study {name!r} has 30 trials. See it by: optuna-dashboard {storage}\n"
        assert result.stderr == ""
    failed = run("export-optuna", str(journal), "studies.db")
    assert failed.exit_code == 1
    assert failed.stderr.startswith("Error: Optuna cannot open the storage 'studies.db'")
    assert failed.stderr.count("\n") == 1
    assert "There is no journal" in run("export-optuna", str(tmp_path / "none"), storage).stderr


def test_export_optuna_follows(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    path, storage = tmp_path / "later.jsonl", f"{tmp_path}/studies.log"
    search = Search(SearchSpace([Choice("a", range(9))]), RandomSearch(), lambda a: a["a"], journal=path)
    thread = threading.Timer(1.0, lambda: search.run(5))
    thread.start()
    result = run("export-optuna", str(path), storage, "--follow")
    thread.join()
    assert result.exit_code == 0
    first, study, last = result.stdout.splitlines()
    assert first == f"There is no journal {path} yet; waiting for it."
    assert study.startswith("Study 'later' has ")
    assert last == "The search has ended; the study has 5 trials."


def test_journal_is_json_lines_that_others_read(journal: Path) -> None:
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    assert events[0]["event"] == "search"
    assert events[-1]["event"] == "ended"
