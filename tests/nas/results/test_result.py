from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from autopanoptic.nas import (
    Architecture,
    Choice,
    FunctionEvaluator,
    GridSearch,
    JournalError,
    RandomSearch,
    Result,
    Search,
    SearchSpace,
    TrialState,
)
from autopanoptic.nas.results import plots
from autopanoptic.nas.results.plots import best_so_far


def measure(architecture: Architecture) -> dict[str, float]:
    if architecture["k0"] == 1 and architecture["k1"] == 1:
        raise RuntimeError("does not fit")
    ones = sum(architecture[f"k{i}"] == 1 for i in range(6))
    return {"accuracy": ones + (architecture["op"] == "conv") / 2, "latency": ones**2 + len(architecture)}


@pytest.fixture
def result(space: SearchSpace, tmp_path: Path) -> Result:
    objectives = {"accuracy": "max", "latency": "min"}
    return Search(space, RandomSearch(), measure, objectives=objectives, journal=tmp_path / "j.jsonl").run(40)


def test_best_is_the_first_of_equals(result: Result) -> None:
    done = [trial for trial in result.history if trial.state is TrialState.COMPLETED]
    top = max(trial.metrics["accuracy"] for trial in done)
    assert result.best == next(trial for trial in done if trial.metrics["accuracy"] == top)


def test_pareto_is_what_none_dominates(result: Result) -> None:
    done = {t.id: (t.metrics["accuracy"], -t.metrics["latency"]) for t in result.history.completed}
    front = {
        number
        for number, (a, b) in done.items()
        if not any(c >= a and d >= b and (c > a or d > b) for c, d in done.values())
    }
    assert [trial.id for trial in result.pareto()] == sorted(front)


def test_hypervolume_of_the_front(result: Result) -> None:
    far, near = {"accuracy": -1e3, "latency": 1e3}, {"accuracy": 1e3, "latency": 0.0}
    assert result.hypervolume(far) > 0
    assert result.hypervolume(near) == 0
    best = result.best.metrics
    corner = {"accuracy": best["accuracy"] - 1, "latency": best["latency"] + 2}
    assert result.hypervolume(corner) >= 2


@pytest.mark.parametrize("reference", [{}, {"accuracy": 1}, {"accuracy": 1, "latency": 2, "other": 3}])
def test_reference_has_every_objective(result: Result, reference: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"value of each objective of \['accuracy', 'latency'\]"):
        result.hypervolume(reference)


def test_result_without_a_completed_trial(space: SearchSpace, tmp_path: Path) -> None:
    result = Search(space, RandomSearch()).result()
    with pytest.raises(ValueError, match="None of the 0 trials completed"):
        _ = result.best
    assert result.pareto() == []
    assert result.to_json()["best"] is None
    for plot in (result.plot_history, result.plot_options):
        assert plot(tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_journal_gives_the_same_result(result: Result, tmp_path: Path) -> None:
    read = Result.from_journal(tmp_path / "j.jsonl")
    assert read.to_json() == result.to_json()
    assert read.ended == "trials"
    assert "40 trials" in repr(read)


def test_journal_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no journal"):
        Result.from_journal(tmp_path / "none")
    for content in ("", '{"event": "search"}\n', '{"event": "asked"}\n'):
        (tmp_path / "other").write_text(content)
        with pytest.raises(JournalError, match="does not begin with the description of a search"):
            Result.from_journal(tmp_path / "other")


def test_running_search_can_be_read(space: SearchSpace, tmp_path: Path) -> None:
    with Search(space, RandomSearch(), journal=tmp_path / "j") as search:
        search.ask()
        read = Result.from_journal(tmp_path / "j")
        assert [trial.state for trial in read.history] == [TrialState.RUNNING]


def test_table(result: Result) -> None:
    table = result.table()
    assert len(table) == 40
    assert list(table.columns[:5]) == ["trial", "state", "seconds", "accuracy", "latency"]
    assert table.loc[3, "op"] == result.history[3].architecture["op"]
    assert table["accuracy"].isna().sum() == sum(trial.state is TrialState.FAILED for trial in result.history) > 0


def test_table_without_pandas(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    assert result.table() == result.rows()


def test_names_that_collide_in_a_table_are_marked() -> None:
    space = SearchSpace([Choice("state", ["on"]), Choice("value", [1])])
    row = Search(space, GridSearch(), lambda a: {"value": 2, "seconds": 3}).run().rows()[0]
    assert row == {
        "trial": 0,
        "state": "completed",
        "seconds": row["seconds"],
        "value": 2,
        "seconds (metric)": 3,
        "state (option)": "on",
        "value (option)": 1,
    }


def test_json_file(result: Result, tmp_path: Path) -> None:
    written = result.to_json(tmp_path / "new" / "r.json")
    read = json.loads((tmp_path / "new" / "r.json").read_text())
    assert read == written
    assert read["trials"][result.best.id]["architecture"] == result.best.architecture.to_json()
    assert SearchSpace.from_json(read["space"]) == result.space
    assert [trial["state"] for trial in read["trials"]].count("failed") > 0


def test_option_counts(result: Result) -> None:
    counts = result.option_counts()
    done = result.history.completed
    assert sum(counts["op"].values()) == len(done)
    assert sum(counts["size"].values()) == sum(trial.architecture["op"] == "conv" for trial in done)
    with pytest.raises(ValueError, match="top must be at least 1, not 0"):
        result.option_counts(0)
    top = result.option_counts(1)
    best = result.history.ranked()[0].architecture
    assert {label: {o: n for o, n in found.items() if n} for label, found in top.items() if label in best} == {
        label: {option: 1} for label, option in best.items()
    }


def _picture(path: Path) -> Any:
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    picture = matplotlib.image.imread(path)
    assert picture.ndim == 3
    assert min(picture.shape[:2]) > 50
    assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 10
    return picture


def test_plots_are_pictures(result: Result, tmp_path: Path) -> None:
    for plot in (result.plot_history, result.plot_pareto, result.plot_options):
        path = tmp_path / "new" / f"{plot.__name__}.png"
        assert plot(path) == path
        _picture(path)


def test_the_best_so_far_breaks_no_constraint() -> None:
    values, feasible = np.array([9.0, 1.0, 5.0, 3.0]), np.array([False, True, False, True])
    np.testing.assert_equal(best_so_far(values, feasible, "max"), [np.nan, 1.0, 1.0, 3.0])
    np.testing.assert_equal(best_so_far(values, feasible, "min"), [np.nan, 1.0, 1.0, 1.0])


def test_a_plot_of_what_breaks_a_constraint(tmp_path: Path) -> None:
    space = SearchSpace([Choice("a", range(6))])
    evaluate = FunctionEvaluator(lambda a: {"value": float(a["a"]), "size": float(a["a"])})
    for limit in (2.0, -1.0):  # some, or all of them
        found = Search(space, RandomSearch(), evaluate, objectives="value", constraints={"size": (None, limit)}).run(6)
        _picture(found.plot_history(tmp_path / "history.png"))


def test_plots_of_many_choices_and_of_none(tmp_path: Path) -> None:
    many = SearchSpace([Choice(f"choice{i}", list("abcd")) for i in range(56)])
    result = Search(many, RandomSearch(), lambda a: 1.0).run(5)
    assert _picture(result.plot_options(tmp_path / "many.png")).shape[1] >= 1200
    empty = Search(SearchSpace([]), RandomSearch(), lambda a: 1.0).run()
    assert len(empty.history) == 1
    _picture(empty.plot_options(tmp_path / "none.png"))
    _picture(empty.plot_history(tmp_path / "one.png"))


@pytest.mark.parametrize(("choices", "options"), [(1000, 4), (3, 1000)])
def test_a_plot_of_options_draws_no_more_than_can_be_seen(tmp_path: Path, choices: int, options: int) -> None:
    rng = np.random.default_rng(0)
    counts: dict[str, dict[Any, int]] = {
        f"c{n}": dict(enumerate(rng.integers(1, 9, options).tolist())) for n in range(choices)
    }
    counts["decided"] = {0: 0, 1: 5}
    figure = plots.options_figure(counts)
    bars = sum(len(bar.get_paths()) for axes in figure.axes for bar in axes.collections)
    labels = [label.get_text() for axes in figure.axes for label in axes.get_yticklabels()]
    assert "decided" in labels
    assert len(labels) == min(choices + 1, 112)
    assert bars <= 112 * options
    assert bars < 1000
    assert (figure.get_suptitle() != "") == (choices == 1000)
    assert figure.get_suptitle() in ("", "112 of 1,001 choices: those whose options are used most unequally")
    assert ("(gray: the options below 0.4%)" in figure.axes[0].get_xlabel()) == (options == 1000)
    if choices < 1000:
        _picture(plots.options(counts, tmp_path / "p.png"))


def test_names_in_plots_are_no_formulas(tmp_path: Path) -> None:
    space = SearchSpace([Choice(r"$\frac$", [r"$\sqrt$", "b"])])
    names = [r"$\over$", r"[/val] $acc$"]
    found = Search(space, RandomSearch(), lambda a: dict.fromkeys(names, 1.0), objectives=dict.fromkeys(names, "max"))
    result = found.run(2)
    for plot in (result.plot_history, result.plot_pareto, result.plot_options):
        _picture(plot(tmp_path / "p.png"))


def test_pareto_plot_needs_two_objectives(space: SearchSpace, tmp_path: Path) -> None:
    result = Search(space, RandomSearch(), lambda a: 1.0).run(2)
    with pytest.raises(ValueError, match="has 'value' alone"):
        result.plot_pareto(tmp_path / "p.png")


def test_plots_leave_no_figure_behind(result: Result, tmp_path: Path) -> None:
    from matplotlib import pyplot

    result.plot_history(tmp_path / "p.png")
    assert pyplot.get_fignums() == []
