"""The study of what the search is worth: its rows resume, and what its parts do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from autopanoptic.nas import Architecture, Choice, PathPriority, RandomSearch, Search, SearchSpace
from autopanoptic.panoptic.configs.config import change_settings
from autopanoptic.panoptic.settings.settings import Settings
from benchmarks.search_worth import cli, plan, study
from benchmarks.search_worth.expectations import EXPECTED
from benchmarks.search_worth.parts import as_many, drawn, equal, ranking, searches, shipped
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.runner import Found, Job, run
from benchmarks.search_worth.sections import drawn as drawn_section
from benchmarks.search_worth.sections import selection
from benchmarks.search_worth.sections.ranked import compared
from benchmarks.search_worth.sections.worth import differences
from benchmarks.search_worth.study import ELASTIC, FEW, MANY, MIDDLE, Study
from benchmarks.strategies.results import surroundings
from tests.benchmarks.study_rows import SEARCHED_MINUS_HAND_MADE, made_up

QUIET = Console(quiet=True)
STUDY = Study()


def job(names: tuple[str, ...], begun: list[str], stop: str | None = None) -> Job:
    """A job that notes which rows it makes, and is interrupted before one."""

    def work(rows: Rows) -> Found:
        for name in names:
            if name not in rows:
                if name == stop:
                    raise KeyboardInterrupt
                begun.append(name)
                yield name, {"value": name}

    return Job("worth", "made up", "these", names, work)


def test_an_interrupted_study_goes_on_where_it_was(tmp_path: Path) -> None:
    rows, begun = Rows(tmp_path), list[str]()
    with pytest.raises(KeyboardInterrupt):
        run([job(("a/1", "a/2", "a/3"), begun, stop="a/2")], rows, QUIET)
    assert begun == ["a/1"]
    assert rows["a/1"]["value"] == "a/1"  # written at once
    assert run([job(("a/1", "a/2", "a/3"), begun)], rows, QUIET)
    assert begun == ["a/1", "a/2", "a/3"]
    assert run([job(("a/1", "a/2", "a/3"), begun)], rows, QUIET)
    assert begun == ["a/1", "a/2", "a/3"]
    assert list(rows.under("a")) == ["1", "2", "3"]


def test_when_the_time_is_over_nothing_new_begins(tmp_path: Path) -> None:
    begun: list[str] = []
    assert not run([job(("a",), begun)], Rows(tmp_path), QUIET, hours=0)
    assert not begun


def test_a_job_that_is_left_early_ends_what_is_under_way(tmp_path: Path) -> None:
    ended: list[str] = []

    def work(rows: Rows) -> Iterator[tuple[str, Mapping[str, Any]]]:
        try:
            yield "a", {}
            rows.folder.joinpath("b.json").mkdir()  # cannot be replaced by a row
            yield "b", {}
        finally:
            ended.append("closed")

    with pytest.raises(OSError, match=r"b\.json"):
        run([Job("worth", "made up", "these", ("a", "c"), work)], Rows(tmp_path), QUIET)
    assert ended == ["closed"]


def test_a_row_of_other_settings_is_refused(tmp_path: Path) -> None:
    rows = Rows(tmp_path)
    rows.put("a", {"settings": "others"})
    with pytest.raises(ValueError, match=r"a\.json is of other settings \(others\) than the study has now \(these\)"):
        run([job(("a",), [])], rows, QUIET)


def test_the_settings_of_seeds_are_one_problem_and_others_are_not() -> None:
    assert ELASTIC.digest != study.OPERATORS.digest
    assert ELASTIC.digest != replace(ELASTIC, changes={**study.FORMER, "retrain.passes": 181}).digest
    assert ELASTIC.digest == replace(ELASTIC, changes={**study.FORMER, "machine.workers": 3}).digest


def test_partial_rows_make_whole_comparisons_first() -> None:
    jobs = plan.jobs(STUDY, QUIET)
    assert [name for one in jobs[:4] for name in one.names] == [
        "worth/scenes/seed-0/run", "worth/scenes/seed-0/small", "worth/scenes/seed-1/run", "worth/scenes/seed-1/small",
    ]  # fmt: skip
    assert {one.part for one in jobs} == set(plan.PARTS) == set(EXPECTED)
    names = [name for one in jobs for name in one.names]
    assert len(names) == len(set(names))
    assert {one.part for one in plan.jobs(STUDY, QUIET, ["price"])} == {"price"}


def test_random_networks_are_trained_while_there_is_time() -> None:
    def took(count: int) -> dict[str, dict[str, float]]:
        return {f"{place:03}": {drawn.TOOK: 10.0} for place in range(count)}

    assert drawn.following({}, 100.0, 2, None) == [0, 1]
    assert drawn.following(took(2), 100.0, 2, None) == [2, 3]
    assert drawn.following(took(9), 100.0, 2, None) == [9]  # there is time for one
    assert drawn.following(took(9), 99.0, 2, None) == []
    assert drawn.following({"001": {drawn.TOOK: 10.0}}, 100.0, 2, None) == [0, 2]  # interrupted before the first
    assert drawn.following(took(2), 100.0, 2, 2) == []


@pytest.mark.parametrize(("text", "seeds"), [("0-2", (0, 1, 2)), ("3", (3,)), ("0,2-3,2", (0, 2, 3))])
def test_seeds_are_read(text: str, seeds: tuple[int, ...]) -> None:
    assert cli.seeds_of(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "-3", "1-b"])
def test_what_are_no_seeds_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="seeds are written as"):
        cli.seeds_of(text)


def test_an_unknown_part_is_refused_by_name() -> None:
    found = CliRunner().invoke(cli.app, ["run", "--part", "worht"], env={"COLUMNS": "200"})
    assert found.exit_code == 2
    assert "there is no part 'worht'" in found.output


def test_only_finished_runs_of_the_study_are_adopted(tmp_path: Path) -> None:
    from autopanoptic.panoptic.configs.config import save_config

    rows, whole = Rows(tmp_path / "rows"), Study(tmp_path / "runs")
    other = replace(study.SHIPPED.settings(9), random_paths=4)
    for name, settings in (("other", other), ("open", study.SHIPPED.settings(9)), ("0", study.SHIPPED.settings(0))):
        (tmp_path / name).mkdir()
        save_config(settings, tmp_path / name / "config.yaml")
    with pytest.raises(ValueError, match=r"differs in random_paths \(2, not 4\)|differs in random_paths \(4, not 2\)"):
        shipped.adopt(whole, tmp_path / "other", rows)
    with pytest.raises(ValueError, match="has the seed 0; the study takes 8, 9, 10, 11, 12, 13, 14, 15, because"):
        shipped.adopt(whole, tmp_path / "0", rows)
    with pytest.raises(FileNotFoundError, match="the run has not ended"):
        shipped.adopt(whole, tmp_path / "open", rows)
    assert not rows.folder.exists()
    assert not whole.runs.exists()


def test_of_a_run_what_has_no_row_is_trained_from_scratch_and_one_network_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, rows, asked = Study(tmp_path / "runs"), Rows(tmp_path / "rows"), []
    made = {"architecture": {"x": 1}, "gflops": 0.1, "pq": 58.0}
    networks = {"searched": made, "hand-made": made, "random": {**made, "architecture": {"x": 2}}}
    rows.put(shipped.run_name(whole, 8), {"seed": 8, "networks": networks})
    rows.put(shipped.scratch_name(whole, 8, "random"), {"val": 1.0})

    def trained(
        settings: Settings, chosen: dict[str, Architecture], *_: object
    ) -> Iterator[tuple[str, dict[str, float]]]:
        asked.append((settings.seed, settings.retrain.passes, list(chosen.values())))
        yield from ((key, {"val": 70.0}) for key in chosen)

    monkeypatch.setattr(shipped, "trained_alone", trained)
    monkeypatch.setattr(shipped, "prepare", lambda *_: None)
    found = dict(shipped.jobs(whole, QUIET)[0].work(rows))
    assert asked == [(8, study.ALONE_PASSES, [Architecture({"x": 1})])]
    assert found == {
        shipped.scratch_name(whole, 8, label): {
            "seed": 8, "passes": study.ALONE_PASSES, "architecture": {"x": 1}, "gflops": 0.1, "val": 70.0,
        }
        for label in ("searched", "hand-made")
    }  # fmt: skip


def test_seeds_of_the_config_as_it_ships_are_others_than_those_of_the_remedies() -> None:
    assert shipped.seeds_of(STUDY) == list(range(8, 16))
    assert shipped.seeds_of(replace(STUDY, seeds=(0, 9, 20))) == [9]
    assert STUDY.seeds_of(ELASTIC.worth_seeds) == list(range(8))


def test_paths_that_are_all_alike_have_no_order() -> None:
    order = dict(zip("abcd", (1.0, 2.0, 3.0, 4.0), strict=True))
    assert compared(dict.fromkeys("abcd", 0.0), order, "abcd") is None
    assert compared(order, dict.fromkeys("abcd", 0.0), "abcd") is None
    assert compared(order, order, "abc") is None
    assert (compared(order, order, "abcd") or {})["tau"][0] == 1.0


def test_longer_is_every_training_of_the_supernet() -> None:
    settings = ELASTIC.settings()
    assert settings.largest is not None
    changed = change_settings(settings, ranking.recipe_of("longer", settings).changes)
    assert changed.supernet.passes == 4 * settings.supernet.passes
    assert changed.largest is not None
    assert changed.largest.passes == 4 * settings.largest.passes


def test_random_draws_are_chosen_as_the_candidates_of_the_search_are() -> None:
    space = SearchSpace([Choice(f"choice {place}", (0, 1)) for place in range(20)])
    far, near, best = ({f"choice {place}": int(place < ones) for place in range(20)} for ones in (5, 1, 0))
    values = {0: 3.0, 1: 2.0, 5: 1.0}
    drawn = Search(
        space, RandomSearch(), lambda one: {"pq": values[sum(map(int, one.values()))]}, objectives="pq",
        initial=[space.canonical(one) for one in (far, near, best)],
    ).run(3, progress=False)  # fmt: skip
    assert [dict(one) for one in as_many.chosen(drawn).values()] == [best, far, near]


def test_the_family_is_read_between_its_two_nearest_members() -> None:
    members = [Architecture({"width": width}) for width in (8, 1, 2, 4)]

    def cost(one: Architecture) -> float:
        return float(one["width"])

    for wanted, pair in ((3.0, (2, 4)), (2.0, (2, 2)), (0.5, (1, 1)), (9.0, (8, 8)), (1.0, (1, 1))):
        assert tuple(one["width"] for one in equal.around(members, cost, wanted)) == pair
    assert equal.on_line((1.0, 50.0), (4.0, 60.0), 2.0) == pytest.approx(55.0)
    assert equal.on_line((2.0, 50.0), (2.0, 50.0), 3.0) == 50.0


def test_the_differences_of_a_seed(tmp_path: Path) -> None:
    found = differences(STUDY, ELASTIC, made_up(tmp_path))
    assert found[MIDDLE]["hand-made"] == dict(enumerate(SEARCHED_MINUS_HAND_MADE))
    assert found[MIDDLE][MANY] == {0: 21.0}
    assert FEW not in found[MIDDLE]


def test_random_networks_have_the_time_of_a_run_on_their_own_processor(tmp_path: Path) -> None:
    own = surroundings()["machine"]["cpu"]
    drawn.require_processor({"machine": {"cpu": own}}, tmp_path)
    for row, told in (({"machine": {"cpu": "another"}}, "another"), ({}, "a processor that is not known")):
        with pytest.raises(ValueError, match=f"the run was on {told}, and this is"):
            drawn.require_processor(row, tmp_path)
    run = {"stages": {"data": 100.0, "supernet": 30.0, "search": 20.0}}
    settings = change_settings(ELASTIC.settings(), {"machine.device": "cpu", "machine.workers": 2})
    assert drawn.seconds_of(settings, run) == 100.0


def test_the_best_random_network_is_chosen_on_nas_val() -> None:
    known = {
        "000": {"nas_val": 50.0, "val": 60.0, "gflops": 0.1, drawn.TOOK: 5.0},
        "001": {"nas_val": 51.0, "val": 40.0, "gflops": 0.2, drawn.TOOK: 7.0},
    }
    assert drawn.best_of(known) == {"networks": 2, "best": "001", "pq": 40.0, "gflops": 0.2, "spent": 12.0}
    assert list(drawn_section.within(known, 11.9)) == ["000"]
    assert list(drawn_section.within(known, 12.0)) == ["000", "001"]
    assert list(drawn_section.within(known, 1.0)) == ["000"]


def test_random_networks_of_other_settings_are_refused(tmp_path: Path) -> None:
    rows = Rows(tmp_path)
    assert drawn.known_under(rows, "few", "these") == {}
    rows.put("few/000", {"settings": "others"})
    with pytest.raises(ValueError, match="is of other settings"):
        drawn.known_under(rows, "few", "these")


def test_the_answer_of_path_priority_is_none_of_the_candidates_before_it() -> None:
    space = SearchSpace([Choice("a", (0, 1)), Choice("b", (0, 1))])
    strategy = PathPriority(cycles=1)

    def score(one: Architecture) -> dict[str, float]:
        return {"pq": 2.0 * one["a"] + one["b"] + 5.0 * (one["a"] and one["b"])}

    for seed in range(20):
        found = Search(space, strategy, score, objectives="pq", seed=seed).run(5, progress=False)
        assert len(found.history) in (2, 3)
        before = searches.best_before_the_answer(strategy, found)
        assert found.history.trial_of(before).id < 2  # type: ignore[union-attr]
    assert searches.best_before_the_answer(RandomSearch(), found) == found.best.architecture


def test_the_seconds_of_a_search_are_those_of_all_its_calls(tmp_path: Path) -> None:
    taken = searches.Taken(tmp_path)
    with pytest.raises(KeyboardInterrupt), taken:
        raise KeyboardInterrupt
    first = taken.seconds
    assert first > 0
    again = searches.Taken(tmp_path)
    with again:
        pass
    assert again.seconds > first


def test_what_choosing_among_trainings_brings_by_itself() -> None:
    # One training is the opponent itself; the best of two that are known exactly is half of the time the other one,
    # by E|X - Y| = 2 sd / sqrt(pi), so that half of it is sd / sqrt(pi): 1.13 for a deviation of 2, a little less here.
    alone, two, four = (selection.chance_of_choice(count, 8) for count in (1, 2, 4))
    assert alone == (0.0, 0.0)
    assert 1.0 < two.mean < 1.13 < four.mean
    assert two.below < four.below
