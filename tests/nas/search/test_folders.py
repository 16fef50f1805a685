"""Each trial has a folder of its own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from autopanoptic.nas import (
    ASHA,
    Architecture,
    Budget,
    Choice,
    Context,
    GridSearch,
    Hyperband,
    RandomSearch,
    Result,
    Schedule,
    Search,
    SearchSpace,
    SuccessiveHalving,
    TrialState,
)
from autopanoptic.nas.storage.folders import TrialFolders

SPACE = SearchSpace([Choice("a", range(8))])
LARGE = SearchSpace([Choice("a", range(1000))])
PROMOTING = ASHA(4, reduction=2)


def writes(architecture: Architecture, context: Context) -> float:
    (context.folder / "weights").write_text(str(architecture["a"]))
    return float(architecture["a"])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_is_made_when_it_is_used(tmp_path: Path) -> None:
    def half(architecture: Architecture, context: Context) -> float:
        return writes(architecture, context) if int(architecture["a"]) % 2 else 0.0

    search = Search(SPACE, GridSearch(), half, folder=tmp_path / "deep" / "f")
    assert not (tmp_path / "deep").exists()
    search.run()
    assert names(tmp_path / "deep" / "f") == ["search.txt", *(f"trial-{number}" for number in (1, 3, 5, 7))]
    assert (search.folder_of(search.history[3]) / "weights").read_text() == "3"
    assert not search.folder_of(search.history[2]).exists()


def test_a_relative_folder_does_not_move_with_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    search = Search(SPACE, GridSearch(), writes, folder="f")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    search.run(1)
    assert names(tmp_path / "f") == ["search.txt", "trial-0"]


def test_without_a_folder_there_is_none() -> None:
    search = Search(SPACE, GridSearch())
    trial = search.ask()
    assert trial is not None
    with pytest.raises(ValueError, match=r"Search\(..., folder="):
        _ = search.context_of(trial).folder
    with pytest.raises(ValueError, match=r"Search\(..., folder="):
        search.folder_of(trial)
    with pytest.raises(ValueError, match=r"keep_best=2 says which folders of trials stay; give folder= as well"):
        Search(SPACE, GridSearch(), keep_best=2)
    with pytest.raises(ValueError, match="keep_best must be a whole number from 0"):
        Search(SPACE, GridSearch(), folder="f", keep_best=-1)


def test_a_trial_that_is_run_again_finds_its_own_folder(tmp_path: Path) -> None:
    def make(evaluate: Any) -> Search:
        return Search(SPACE, GridSearch(), evaluate, folder=tmp_path / "f", journal=tmp_path / "j", keep_best=1)

    def breaks_off(architecture: Architecture, context: Context) -> float:
        (context.folder / "epoch").write_text("3")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(breaks_off).run()
    found = []

    def goes_on(architecture: Architecture, context: Context) -> float:
        found.append((context.trial_id, (context.folder / "epoch").exists()))
        return 1.0

    make(goes_on).run(2)
    assert found == [(0, True), (1, False)]


def test_another_search_does_not_get_the_folders(tmp_path: Path) -> None:
    Search(SPACE, GridSearch(), writes, folder=tmp_path / "f", journal=tmp_path / "j").run(1)
    with pytest.raises(ValueError, match="has the folders of another search"):
        Search(SPACE, GridSearch(), writes, folder=tmp_path / "f", journal=tmp_path / "other")
    early = Search(SPACE, GridSearch(), writes, folder=tmp_path / "g")
    Search(SPACE, GridSearch(), writes, folder=tmp_path / "g").run(1)
    with pytest.raises(ValueError, match="has the folders of another search"):
        early.run(1)
    assert len(Search(SPACE, GridSearch(), writes, folder=tmp_path / "f", journal=tmp_path / "j").run(3).history) == 3


def test_folders_of_the_best_stay(tmp_path: Path) -> None:
    values = [3, 9, 1, 9, 8, 2, 7, 0]
    seen: list[list[str]] = []

    def evaluate(architecture: Architecture, context: Context) -> float:
        writes(architecture, context)
        seen.append([name.removeprefix("trial-") for name in names(context.folder.parent)[1:]])
        return float(values[int(architecture["a"])])

    Search(SPACE, GridSearch(), evaluate, folder=tmp_path / "f", keep_best=2).run()
    assert names(tmp_path / "f") == ["search.txt", "trial-1", "trial-3"]
    assert seen == [["0"], ["0", "1"], ["0", "1", "2"], ["0", "1", "3"], *(["1", "3", str(n)] for n in range(4, 8))]


def test_the_front_stays_beside_the_best(tmp_path: Path) -> None:
    points = [(0, 9), (1, 8), (5, 5), (2, 2), (6, 6), (9, 0), (8, 1), (7, 5)]

    def evaluate(architecture: Architecture, context: Context) -> dict[str, float]:
        writes(architecture, context)
        one, other = points[int(architecture["a"])]
        return {"one": one, "other": other}

    search = Search(
        SPACE, GridSearch(), evaluate, objectives={"one": "max", "other": "max"}, folder=tmp_path / "f", keep_best=0
    )
    result = search.run()
    assert names(tmp_path / "f")[1:] == [f"trial-{trial.id}" for trial in result.pareto()]
    assert [trial.id for trial in result.pareto()] == [0, 1, 4, 5, 6, 7]


def test_stopped_trials_lose_their_folders_and_failed_ones_keep_them(tmp_path: Path) -> None:
    def evaluate(architecture: Architecture, context: Context, report: Any) -> float:
        writes(architecture, context)
        if architecture["a"] == 1:
            raise RuntimeError("later perhaps")
        report(1, {"value": 8.0 - int(architecture["a"])})
        return 8.0 - int(architecture["a"])

    stopper = SuccessiveHalving(max_step=3)
    search = Search(SPACE, GridSearch(), evaluate, folder=tmp_path / "f", keep_best=1, stopper=stopper)
    result = search.run()
    assert {trial.state for trial in result.history} == {TrialState.COMPLETED, TrialState.FAILED, TrialState.STOPPED}
    assert names(tmp_path / "f") == ["search.txt", "trial-0", "trial-1"]


class Trains:
    """Goes on from what it has left in its folder, which must be all that its budget says."""

    def __init__(self, interrupt_after: int | None = None) -> None:
        self.begun: list[tuple[int, Budget]] = []
        self.interrupt_after = interrupt_after

    def __call__(self, architecture: Architecture, context: Context) -> float:
        if len(self.begun) == self.interrupt_after:
            raise KeyboardInterrupt
        assert context.trial_id is not None
        assert context.budget is not None
        self.begun.append((context.trial_id, context.budget))
        path = context.folder / "epoch"
        assert (int(path.read_text()) if path.exists() else 0) == context.budget.start
        path.write_text(str(context.budget.end))
        return float(architecture["a"])


def promoting(tmp_path: Path, evaluate: Any, keep_best: int | None = 1, budget: Schedule = PROMOTING) -> Search:
    return Search(
        LARGE, RandomSearch(), evaluate, folder=tmp_path / "f", journal=tmp_path / "j", keep_best=keep_best,
        budget=budget,
    )  # fmt: skip


def trials_with_folders(folder: Path) -> set[int]:
    return {int(name.removeprefix("trial-")) for name in names(folder) if name.startswith("trial-")}


def test_paused_trials_go_on_in_their_folders_which_go_when_the_search_is_over(tmp_path: Path) -> None:
    evaluate = Trains()
    result = promoting(tmp_path, evaluate).run(20)
    assert [budget.start for _, budget in evaluate.begun].count(2) == result.history.n_completed > 1
    assert result.history.paused
    assert result.best is not None
    assert trials_with_folders(tmp_path / "f") == {result.best.id}


def test_until_the_search_is_over_no_folder_of_a_paused_trial_goes(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        promoting(tmp_path, Trains(interrupt_after=15)).run(20)
    paused = {trial.id for trial in Result.from_journal(tmp_path / "j").history.paused}
    assert len(paused) > 3
    assert paused <= trials_with_folders(tmp_path / "f")
    ended = promoting(tmp_path, Trains()).run(20, seconds=0)
    assert ended.ended == "seconds"
    assert paused <= trials_with_folders(tmp_path / "f")
    evaluate = Trains()
    result = promoting(tmp_path, evaluate).run(20)
    assert {trial_id for trial_id, budget in evaluate.begun if budget.start} & paused
    assert result.best is not None
    assert trials_with_folders(tmp_path / "f") == {result.best.id}


def test_a_search_that_goes_on_after_its_end_begins_again_what_it_has_removed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = promoting(tmp_path, Trains()).run(20)
    paused = {trial.id: trial.reached for trial in first.history.paused}
    evaluate = Trains()
    result = promoting(tmp_path, evaluate).run(60)
    promoted = [trial_id for trial_id, _ in evaluate.begun if trial_id in paused]
    assert promoted
    begun = dict(reversed(evaluate.begun))  # the first of each
    assert all(begun[trial_id].start == 0 < paused[trial_id] < begun[trial_id].end for trial_id in promoted)
    assert f"Trial {promoted[0]} goes on, but its folder was removed" in caplog.text
    (tmp_path / "alone").mkdir()
    alone = promoting(tmp_path / "alone", Trains()).run(60)
    assert [(t.architecture, t.reached, t.metrics) for t in result.history] == [
        (t.architecture, t.reached, t.metrics) for t in alone.history
    ]


def test_without_keep_best_a_search_that_goes_on_has_all_its_folders(tmp_path: Path) -> None:
    paused = {trial.id for trial in promoting(tmp_path, Trains(), keep_best=None).run(20).history.paused}
    evaluate = Trains()
    result = promoting(tmp_path, evaluate).run(60)
    assert {trial_id for trial_id, budget in evaluate.begun if budget.start} & paused
    assert result.best is not None
    assert trials_with_folders(tmp_path / "f") == {result.best.id}


def test_where_none_is_completed_the_best_at_the_largest_budget_stays(tmp_path: Path) -> None:
    result = promoting(tmp_path, Trains(), budget=ASHA(64, reduction=2)).run(10)
    assert not result.history.completed
    assert result.best is not None
    assert trials_with_folders(tmp_path / "f") == {result.best.id}


def test_what_hyperband_gives_up_is_removed_while_the_search_runs(tmp_path: Path) -> None:
    hyperband = Hyperband(9)
    seen: list[set[int]] = []

    class Looks(Trains):
        def __call__(self, architecture: Architecture, context: Context) -> float:
            given_up = set(hyperband.given_up(search.history)) if search.history.completed else set()
            seen.append(given_up)
            assert not given_up & trials_with_folders(tmp_path / "f")
            return super().__call__(architecture, context)

    search = promoting(tmp_path, Looks(), budget=hyperband)
    search.run(hyperband.trials)
    assert max(map(len, seen)) >= 8


def test_which_paused_trials_have_lost_their_folders_is_written_down(tmp_path: Path) -> None:
    folders = TrialFolders(tmp_path, "x")
    for trial_id in (1, 2, 3):
        folders.of(trial_id).mkdir()
    folders.remove_paused([2, 7])
    folders.remove_paused([1])
    again = TrialFolders(tmp_path, "x")
    assert [number for number in range(9) if again.has_lost(number, again.of(number))] == [1, 2]
    again.of(2).mkdir()
    assert not again.has_lost(2, again.of(2))
    assert again.has_lost(2, again.of(2) / "repeat-1")


@pytest.mark.parametrize("moment", ["before", "renamed", "half removed"])
def test_a_removal_that_is_cut_short_is_completed(tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def make() -> Search:
        return Search(SPACE, GridSearch(), writes, folder=tmp_path / "f", journal=tmp_path / "j", keep_best=1)

    class Killed(BaseException):
        pass

    def killed(path: Any, *others: Any) -> None:
        if moment == "half removed":
            (Path(path) / "weights").unlink()
        raise Killed

    target = (os, "replace") if moment == "before" else (shutil, "rmtree")
    make().run(1)
    search = make()
    with monkeypatch.context() as patch:
        patch.setattr(*target, killed)
        with pytest.raises(Killed):
            search.run(3)
    search.close()
    visible = [name for name in names(tmp_path / "f") if not name.startswith(".")]
    assert all((tmp_path / "f" / name / "weights").exists() for name in visible[1:])
    make().run(4)
    assert names(tmp_path / "f") == ["search.txt", "trial-3"]


def test_what_cannot_be_removed_does_not_end_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuses(path: Any) -> None:
        raise PermissionError("not yours")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", refuses)
        result = Search(SPACE, GridSearch(), writes, folder=tmp_path / "f", keep_best=1).run()
    assert result.history.n_completed == 8
    assert "not yours" in caplog.text


def test_ids_are_read_from_names_alone_that_are_theirs(tmp_path: Path) -> None:
    folders = TrialFolders(tmp_path, "x")
    for name in ("trial-3", "trial-12", "trial-03", "trial-x", "trial-", "trial-99999999999999999999", "other"):
        (tmp_path / name).mkdir()
    assert list(folders) == [3, 12]


def test_who_asks_and_tells_has_folders_as_well(tmp_path: Path) -> None:
    with Search(SPACE, RandomSearch(), folder=tmp_path / "f", keep_best=1) as search:
        for value in (1.0, 3.0, 2.0):
            trial = search.ask()
            assert trial is not None
            (search.context_of(trial).folder / "x").touch()
            search.tell(trial, {"value": value})
    assert names(tmp_path / "f") == ["search.txt", "trial-1"]
