"""Search logs of Auto-Panoptic's code: read, written, taken as journals, and to begin a search with."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from autopanoptic.nas import (
    Architecture,
    Evolution,
    FairPaths,
    PathPriority,
    RandomSearch,
    Result,
    Search,
    SearchSpace,
    warm_start,
)
from autopanoptic.nas.cli import app
from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.search.architecture_files import load_shipped, read_published, to_published, write_published
from autopanoptic.panoptic.search.first_candidates import BEST, first_candidates
from autopanoptic.panoptic.search.reference_logs import Candidate, log_to_journal, read_log, space_of, write_log

SMALL = PanopticConfig.scenes(3, 2)
COCO = PanopticConfig.coco()
Entry = dict[str, Any]


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return space_of(SMALL)


def entry(architecture: Mapping[str, Any], pq: float, cycle: int = 0, config: PanopticConfig = COCO) -> Entry:
    """An entry as the published code writes it."""
    found = to_published(architecture, config)
    return {
        "cycle": cycle, "backbone_rngs": found["backbone"], "head_rngs": found["head"], "inter_rngs": found["inter"],
        "pq": pq, "pq_thing": pq + 4, "pq_stuff": pq - 6, "sq": 77.5, "rq": pq + 9, "ap_box": 33.25, "ap_mask": 30.5,
        "fitness": pq,
    }  # fmt: skip


@pytest.fixture
def log(tmp_path: Path, space: SearchSpace) -> tuple[Path, list[Architecture]]:
    """A log of two and a half cycles of the small network, whose candidates get worse."""
    paths = FairPaths(space, seed=5)
    found = [space.canonical(paths.path(step)) for step in range(30)]
    path = tmp_path / "final_test_log.json"
    entries = [entry(one, 40 - number, number // 12, SMALL) for number, one in enumerate(found)]
    path.write_text(json.dumps(entries))
    return path, found


def test_a_log_is_read(tmp_path: Path) -> None:
    path = tmp_path / "cache_test_log.json"
    path.write_text(json.dumps([entry(load_shipped("coco_3.8g"), 31.2), entry(load_shipped("ade_3.8g"), 30, 4)]))
    first, second = read_log(path)
    assert (first.architecture, second.architecture) == (load_shipped("coco_3.8g"), load_shipped("ade_3.8g"))
    assert (first.cycle, second.cycle) == (0, 4)
    assert first.metrics == {
        "pq": 31.2, "pq_things": 35.2, "pq_stuff": 25.2, "sq": 77.5, "rq": 40.2, "ap_box": 33.25, "ap_mask": 30.5
    }  # fmt: skip


def test_metrics_that_were_not_measured_are_left_out_and_fitness_stands_in_for_pq(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    one = {**entry(load_shipped("coco_3.8g"), 31.2), "ap_box": math.nan, "ap_mask": None, "pq": None}
    path.write_text(json.dumps([one]))
    (found,) = read_log(path)
    assert found.metrics["pq"] == 31.2
    assert not {"ap_box", "ap_mask"} & set(found.metrics)


def test_what_is_written_is_read_and_has_the_keys_of_the_published_code(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    given = [Candidate(load_shipped("ade_3.8g"), {"pq": 12.5, "pq_things": 13.0, "pq_standard_error": 1.0}, 3)]
    write_log(path, given)
    assert read_log(path) == [Candidate(load_shipped("ade_3.8g"), {"pq": 12.5, "pq_things": 13.0}, 3)]
    (record,) = json.loads(path.read_text())
    assert list(record) == list(entry(load_shipped("ade_3.8g"), 0))
    assert (record["fitness"], record["cycle"], math.isnan(record["ap_box"])) == (12.5, 3, True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda one: one.pop("head_rngs"),
            r"log.json: entry 1: it has no list 'head_rngs'; it has cycle, backbone_rngs",
        ),
        (lambda one: one["head_rngs"].append(1), r"log.json: entry 1: 'head' must be a list of 7 option indices"),
        (lambda one: one["inter_rngs"].__setitem__(0, 3), r"entry 1: 'inter' holds 3; indices go from 0 to 2"),
        (lambda one: one.update(pq=None, fitness="x"), r"entry 1: it has neither a pq nor a fitness, but None and 'x'"),
    ],
)
def test_an_entry_that_is_none_is_named(tmp_path: Path, change: Callable[[Entry], Any], message: str) -> None:
    good, bad = (entry(load_shipped("coco_3.8g"), 31.2) for _ in range(2))
    change(bad)
    (tmp_path / "log.json").write_text(json.dumps([good, bad]))
    with pytest.raises(ValueError, match=message):
        read_log(tmp_path / "log.json")


@pytest.mark.parametrize(
    ("text", "message"), [("{", "is not a JSON file"), ("[]", "must hold a list"), ("[1]", "not 1")]
)
def test_what_is_no_log_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "log.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_log(tmp_path / "log.json")


def test_a_log_becomes_a_journal(log: tuple[Path, list[Architecture]], space: SearchSpace, tmp_path: Path) -> None:
    path, found = log
    path.write_text(json.dumps([*json.loads(path.read_text()), entry(found[0], 3, 2, SMALL)]))  # one of them again
    journal = tmp_path / "log.jsonl"
    result = log_to_journal(path, journal, SMALL)
    again = Result.from_journal(journal)
    for one in (result, again):
        assert [trial.architecture for trial in one.history] == found
        assert (one.best.architecture, one.best.metrics["pq_things"]) == (found[0], 44)
        assert [choice.label for choice in one.space.choices] == [choice.label for choice in space.choices]
    assert warm_start(journal, space, 3) == found[:3]
    with pytest.raises(FileExistsError, match=r"log\.jsonl is there already"):
        log_to_journal(path, journal, SMALL)


def test_the_command_writes_a_journal_of_any_width(tmp_path: Path) -> None:
    config = load_config("coco", {"width": "300m"}).network_for(80, 53)
    space = space_of(config)
    entries = [entry(space.canonical(FairPaths(space).path(step)), 20 + step, 0, config) for step in range(2)]
    log, journal = tmp_path / "log.json", tmp_path / "log.jsonl"
    log.write_text(json.dumps(entries))
    given = ["panoptic", "import-log", str(log), "--out", str(journal)]
    refused = CliRunner().invoke(app, given)
    assert refused.exit_code == 1
    assert "entry 0: 'backbone' must be a list of 40 option indices" in refused.output
    assert not journal.exists()
    told = CliRunner().invoke(app, [*given, "--width", "300m"])
    assert told.exit_code == 0, told.output
    assert told.output.startswith("2 candidates, the best of PQ 21.0")
    assert CliRunner().invoke(app, ["show", str(journal)]).exit_code == 0


def test_other_strategies_begin_with_the_best_ten(log: tuple[Path, list[Architecture]], space: SearchSpace) -> None:
    path, found = log
    entries = json.loads(path.read_text())
    path.write_text(json.dumps(entries[::-1]))
    assert first_candidates(path, space, SMALL, Evolution(population=4)) == found[:BEST]


def test_path_priority_begins_with_whole_cycles_in_their_order(
    log: tuple[Path, list[Architecture]], space: SearchSpace, tmp_path: Path
) -> None:
    path, found = log
    assert first_candidates(path, space, SMALL, PathPriority(cycles=5)) == found[:24]
    assert first_candidates(path, space, SMALL, PathPriority(cycles=1)) == found[:12]
    path.write_text(json.dumps(json.loads(path.read_text())[:7]))
    assert first_candidates(path, space, SMALL, PathPriority(cycles=5)) == found[:7]


def test_a_search_that_began_with_two_cycles_goes_on_with_fair_ones(
    log: tuple[Path, list[Architecture]], space: SearchSpace
) -> None:
    path, found = log
    strategy = PathPriority(cycles=3)
    first = first_candidates(path, space, SMALL, strategy)
    result = Search(space, strategy, lambda one: float(int(one.id[:4], 16)), objectives="pq", initial=first).run(37)
    assert [trial.architecture for trial in result.history][:24] == found[:24]
    third = [trial.architecture for trial in result.history][24:36]
    for choice in space.choices:
        assert {sum(one[choice.label] == option for one in third) for option in choice.options} == {
            12 // len(choice.options)
        }


def test_journals_results_and_architectures_begin_a_search_too(
    log: tuple[Path, list[Architecture]], space: SearchSpace, tmp_path: Path
) -> None:
    path, found = log
    log_to_journal(path, tmp_path / "log.jsonl", SMALL)
    write_published(tmp_path / "model_0", [found[3]], SMALL)
    found[4].save(tmp_path / "architecture.json")
    cycles = PathPriority(cycles=2)
    assert first_candidates(tmp_path / "log.jsonl", space, SMALL, cycles) == found[:24]
    assert first_candidates(tmp_path / "log.jsonl", space, SMALL, Evolution(4)) == found[:BEST]
    assert first_candidates(tmp_path / "model_0", space, SMALL, cycles) == [found[3]]
    assert first_candidates(tmp_path / "architecture.json", space, SMALL, cycles) == [found[4]]


def test_what_cannot_begin_a_search_is_refused(
    log: tuple[Path, list[Architecture]], space: SearchSpace, tmp_path: Path
) -> None:
    path, _ = log

    def refused(file: Path, message: str, allowed: SearchSpace = space, config: PanopticConfig = SMALL) -> None:
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            first_candidates(file, allowed, config, RandomSearch())

    refused(tmp_path / "nowhere.json", r"nowhere\.json: there is no such file")
    refused(path, "search.space is elastic; take auto-panoptic", config=replace(SMALL, space="elastic"))
    refused(path, "'backbone' must be a list of 40 option indices", space_of(COCO), COCO)
    refused(path, "the limits on costs refuse all of its 30", space.where(lambda one: False, "nothing"))
    (tmp_path / "config.yaml").write_text("seed: 3\nbase: coco\n")
    refused(tmp_path / "config.yaml", r"config\.yaml.* It must be a journal, a search log or result file of Auto-Pan")
    load_shipped("coco_3.8g").save(tmp_path / "architecture.json")
    refused(tmp_path / "architecture.json", r"architecture\.json: .*backbone\.6")


@pytest.mark.parametrize("read", [read_log, read_published])
def test_a_missing_file_is_named(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    with pytest.raises(FileNotFoundError, match=rf"^{tmp_path}/nowhere\.json: there is no such file$"):
        read(tmp_path / "nowhere.json")
