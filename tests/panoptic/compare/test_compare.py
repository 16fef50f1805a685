"""A comparison: every training is like a run's own, a row at once, and done once."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
from rich.console import Console

from autopanoptic.nas import InlineExecutor, ProcessExecutor
from autopanoptic.nas.storage.lock import LOCK, FileLock
from autopanoptic.panoptic.compare import compare, training
from autopanoptic.panoptic.compare.compare import executor_of, gpus_of
from autopanoptic.panoptic.compare.making import opened
from autopanoptic.panoptic.compare.page import REPORT, page_of, write_page
from autopanoptic.panoptic.compare.plan import folder_of, load_plan
from autopanoptic.panoptic.compare.rows import Row, row_of
from autopanoptic.panoptic.compare.summary import SUMMARY, Summary, _apart
from autopanoptic.panoptic.compare.tables import notes_of, rank_of, spread_of, tables_of
from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.data.categories import Category
from autopanoptic.panoptic.data.coco.layout import find_splits
from autopanoptic.panoptic.stages.retrain import retrain
from autopanoptic.panoptic.stages.side_by_side import TrainingError
from tests.panoptic.compare.conftest import make

NAMES = ("panoptic-fpn", "hand-made")


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


def written(folder: Path, name: str = "weights.pt") -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob(f"networks/*/{name}")}


def test_each_training_is_a_row_with_its_figures(finished: Path) -> None:
    found = rows(finished)
    assert [(one["network"], one["seed"]) for one in found] == [(name, seed) for name in NAMES for seed in (0, 1)]
    for one in found:
        assert {"pq", "pq_things", "pq_stuff", "mask_ap", "miou"} <= set(one["metrics"])
        assert min(one["gflops"], one["mparams"], one["latency_ms"], one["seconds"], one["cpu_seconds"]) > 0
        assert (one["passes"], one["device"]) == (2, "cpu")
    summary = Summary.from_json(json.loads((finished / "summary.json").read_text()))
    assert {line.name: line.seeds for line in summary.lines} == dict.fromkeys(NAMES, (0, 1))
    assert not summary.lacking
    assert len(summary.differences) == 1
    # NaN of what no image shows is null in JSON.
    assert json.dumps(summary.to_json(), allow_nan=False) == json.dumps(
        json.loads((finished / "summary.json").read_text())
    )


def test_a_training_is_the_one_that_the_models_own_settings_give(
    finished: Path, config_file: Path, scene_folder: Path, tmp_path: Path
) -> None:
    settings = load_config(
        config_file,
        {"network.model": "panoptic-fpn", "search.space": "auto-panoptic", "init": "scratch", "seed": 1},
    )
    plan = load_plan(finished)
    datasets = find_splits(scene_folder).open()
    retrain(settings, plan.contestants["panoptic-fpn"].architecture, datasets, tmp_path / "own", tmp_path)
    own, theirs = (
        torch.load(folder / "weights.pt", weights_only=True)
        for folder in (tmp_path / "own", finished / "networks" / "panoptic-fpn-seed1")
    )
    assert own.keys() == theirs.keys()
    assert [name for name in own if not torch.equal(own[name], theirs[name])] == []
    first = torch.load(finished / "networks" / "panoptic-fpn-seed0" / "weights.pt", weights_only=True)
    assert any(not torch.equal(first[name], own[name]) for name in own)


def test_all_are_trained_alike_and_a_models_own_weights_of_losses_are_its_own(finished: Path) -> None:
    plan = load_plan(finished)
    one, other = (plan.contestants[name].settings for name in NAMES)
    for key in ("data", "retrain", "init", "seed", "machine"):
        assert getattr(one, key) == getattr(other, key) == getattr(plan.settings, key)
    assert plan.settings.init == "scratch"  # there is no supernet, which the config starts from
    # On the command line a name takes the place of what stands in the file for it; see `with_model`.
    assert (one.network.segmentation_loss_weight, one.network.semantic_head) == (0.5, "panoptic-fpn")
    assert other.network.segmentation_loss_weight == 3.5
    assert one.network.detections_per_image == other.network.detections_per_image == 5


def test_a_finished_training_is_not_repeated_and_what_is_lacking_is_done(comparison: Path, config_file: Path) -> None:
    before, latency = written(comparison), [one["latency_ms"] for one in rows(comparison)]
    # Killed after the training and before the row, and before the first pass of another.
    (comparison / "networks" / "hand-made-seed0" / "row.json").unlink()
    found = make(config_file, comparison, ["hand-made"], seeds=3).compared()
    after = written(comparison)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"hand-made-seed2"}
    assert [one["latency_ms"] for one in rows(comparison)][:2] == latency[:2]
    assert found.lacking == (("panoptic-fpn", 2),)  # of the folder's comparison, and not asked for
    assert found.line("hand-made").seeds == (0, 1, 2)
    again = opened(comparison).compared()
    assert set(written(comparison)) - set(after) == {"panoptic-fpn-seed2"}
    assert again.lacking == ()


def test_what_fails_does_not_end_the_others_and_is_named(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(settings: Any, *rest: Any, **others: Any) -> Any:
        if settings.network.semantic_head == "panoptic-fpn":
            raise FloatingPointError("the loss of pass 1 is not finite")
        return retrain(settings, *rest, **others)

    monkeypatch.setattr(training, "retrain", failing)
    made = make(config_file, tmp_path / "a", seeds=1)
    with pytest.raises(TrainingError, match="'panoptic-fpn, seed 0' failed: FloatingPointError: the loss of pass 1"):
        made.compared()
    assert [one["network"] for one in rows(tmp_path / "a")] == ["hand-made"]
    monkeypatch.setattr(training, "retrain", retrain)
    assert opened(tmp_path / "a").compared().lacking == ()


def test_a_training_that_is_interrupted_goes_on_and_its_seconds_are_counted_once(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(config_file, tmp_path / "a", ["hand-made"], seeds=1)

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "measured", interrupted)
        with pytest.raises(KeyboardInterrupt):
            made.compared()
    seconds = json.loads((tmp_path / "a" / "networks" / "hand-made-seed0" / "seconds.json").read_text())
    opened(tmp_path / "a").compared()
    (row,) = rows(tmp_path / "a")
    assert [row["seconds"], row["cpu_seconds"]] == seconds["2"]


def test_the_other_network_may_be_named(finished: Path) -> None:
    made = opened(finished)
    for name in NAMES:
        found = made.summarised(name)
        assert (found.against, {one.other for one in found.differences}) == (name, {name})
    with pytest.raises(ValueError, match="--against upsnet: the comparison has panoptic-fpn, hand-made"):
        made.summarised("upsnet")


def test_a_damaged_row_is_named(comparison: Path) -> None:
    path = comparison / "networks" / "hand-made-seed0" / "row.json"
    path.write_text('{"network": "hand-made"}')
    with pytest.raises(ValueError, match=r"row\.json is damaged: .*delete it to have the network measured again"):
        opened(comparison).summarised()


def test_as_many_trainings_run_at_a_time_as_workers(finished: Path) -> None:
    plan = load_plan(finished)

    def on(workers: int, trainings: int, **machine: Any) -> Any:
        changed = replace(plan.settings.machine, trainings=workers, **machine)
        return executor_of(plan.on(changed), trainings, ())

    assert isinstance(on(4, 3), ProcessExecutor)
    assert on(4, 3).capacity == 3
    assert on(2, 3).capacity == 2
    assert isinstance(on(1, 3), InlineExecutor)
    assert isinstance(on(4, 1), InlineExecutor)
    assert isinstance(on(4, 3, devices=2), InlineExecutor)


def test_on_several_gpus_each_training_has_one_of_its_own(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, sharing = (load_plan(finished).on(replace(load_plan(finished).settings.machine, per_gpu=n)) for n in (1, 2))
    assert gpus_of(plan) == gpus_of(sharing) == ()
    monkeypatch.setattr(compare, "device_of", lambda _: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus_of(plan) == ("0", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert gpus_of(plan) == ("5", "7")
    assert gpus_of(sharing) == ("5", "7", "5", "7")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert gpus_of(plan) == ()
    assert gpus_of(sharing) == ("5", "5")
    executor = executor_of(plan, 4, ("5", "7"))
    assert (type(executor), executor.capacity) == (ProcessExecutor, 2)
    seen = []
    monkeypatch.setattr(training, "place_of_worker", lambda: 1)
    monkeypatch.setattr(training, "train", lambda *_, **__: seen.append(training.os.environ["CUDA_VISIBLE_DEVICES"]))
    trainings = training.Trainings(
        plan.contestants, find_splits(plan.settings.data.path or "").open(), finished, ("5", "7")
    )
    trainings.evaluate(training.key_of("hand-made", 0), lambda *_: None)
    assert seen == ["7"]


def test_the_costs_are_those_of_the_table(finished: Path) -> None:
    contestants = load_plan(finished).contestants
    assert all(one["gflops"] == contestants[one["network"]].gflops for one in rows(finished))
    assert not math.isclose(contestants["hand-made"].gflops, contestants["panoptic-fpn"].gflops)


def test_one_program_at_a_time_works_on_a_comparison(finished: Path) -> None:
    other = FileLock(finished / LOCK)
    other.acquire()
    plan = load_plan(finished)
    try:
        with pytest.raises(BlockingIOError, match="is being worked on by another program, process"):
            compare.compare(plan, finished, opened(finished).datasets)
    finally:
        other.release()


def test_categories_stand_by_themselves_and_their_mean_is_the_pq(finished: Path) -> None:
    found = opened(finished).summarised()
    assert list(found.categories) == [line.name for line in found.lines]
    for line in found.lines:
        by_seed = zip(*found.categories[line.name].values(), strict=True)
        means = [fmean(pq for pq in one if math.isfinite(pq)) for one in by_seed]
        assert means == pytest.approx(line.metrics["pq"].values)
    assert str(Summary.from_json(json.loads(json.dumps(found.to_json())))) == str(found)


def test_a_searched_network_is_above_those_alone_that_it_is_compared_with(finished: Path) -> None:
    found = opened(finished).summarised()
    first, *others = (replace(line, kind="searched") for line in found.lines)
    alone = replace(found, lines=[first], differences=[], against=first.name)
    assert rank_of(alone, first).endswith("rank 1 of 1 by mean PQ, 1 of 1 by fewest GFLOPs.")
    unknown = replace(found, lines=[first, *others], differences=[], against=first.name)
    assert rank_of(unknown, first).endswith(f"; not surely above {', '.join(line.name for line in others)}.")


def test_names_in_tables_are_no_markup(finished: Path) -> None:
    found = opened(finished).summarised()
    console = Console(width=200, record=True, file=io.StringIO())
    lines = [replace(line, name=f"net[v{number}]") for number, line in enumerate(found.lines)]
    for table in tables_of(replace(found, lines=lines)):
        console.print(table)
    assert "net[v0]" in console.export_text()


def test_a_time_that_is_not_known_is_no_number_in_json(tmp_path: Path) -> None:
    row = Row("a", 0, {"pq": 1.0}, 0.1, 0.2, math.nan, None, 3, "cpu")
    row.save(tmp_path)
    assert "NaN" not in (tmp_path / "row.json").read_text()
    again = row_of(tmp_path)
    assert again is not None
    assert math.isnan(again.training_seconds)


def test_categories_are_ordered_by_how_far_the_networks_lie_apart(finished: Path) -> None:
    found = opened(finished).summarised()
    one = {"even": (50.0, 52.0), "late": (60.0, 20.0), "unseen": (math.nan, 1.0), "known": (70.0, 71.0)}
    other = {"even": (49.0, 51.0), "late": (2.0, 0.0), "unseen": (3.0, 1.0), "known": (80.0, 81.0)}
    both = replace(found, categories={"a": one, "b": other})
    assert spread_of(both) == [("late", 1.0, 40.0), ("known", 70.5, 80.5), ("even", 50.0, 51.0)]
    said = " ".join(notes_of(both))
    assert "furthest apart, by their mean PQ: late 1 to 40, known 70 to 80, even 50 to 51." in said
    assert spread_of(replace(found, categories={"a": one})) == []
    rows = next(one for one in page_of(both, "x").sections if one.name == "categories").blocks[0]
    assert [name for name, _ in rows.rows] == ["late", "known", "even", "unseen"]  # type: ignore[union-attr]


def test_a_report_keeps_the_network_that_the_others_were_compared_with(comparison: Path) -> None:
    best, other = (line.name for line in opened(comparison).summarised().lines)
    opened(comparison).summarised(against=other)
    write_page(comparison)
    assert json.loads((comparison / SUMMARY).read_text())["against"] == other
    assert f"PQ minus that of {other}" in (comparison / REPORT).read_text()
    for seed in (0, 1):
        (folder_of(comparison, other, seed) / "row.json").unlink()
    write_page(comparison)
    assert json.loads((comparison / SUMMARY).read_text())["against"] == best


def test_two_categories_of_one_name_have_a_line_each() -> None:
    categories = [Category(one, name, False, (0, 0, 0)) for one, name in ((1, "wall"), (3, "sky"), (7, "wall"))]
    assert _apart(categories) == ["wall (1)", "sky", "wall (7)"]
