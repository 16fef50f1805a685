"""The search's stage: what it counts and what it measures on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from autopanoptic.nas import (
    Architecture,
    Choice,
    FairPaths,
    FunctionEvaluator,
    InlineExecutor,
    ProcessExecutor,
    Racing,
    RandomSearch,
    Search,
    SearchSpace,
    Supernet,
)
from autopanoptic.panoptic.configs.config import change_settings, load_config
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.search.architecture_files import load_shipped, write_published
from autopanoptic.panoptic.search.reference_logs import Candidate, write_log
from autopanoptic.panoptic.search.strategies import hand_made
from autopanoptic.panoptic.stages import batches, costs, search
from autopanoptic.panoptic.stages.machine import hardware
from autopanoptic.panoptic.stages.networks import build, network_config


def test_costs_are_those_of_the_network_that_is_retrained(datasets: Datasets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "costs_of", lambda config, height, width: {"config": config})
    config = costs.costs(load_config("coco"), datasets)
    things, stuff = len(datasets.train.categories.things), len(datasets.train.categories.stuff)
    assert config == {"config": PanopticConfig.coco(things, stuff, searched=True)}


def test_precision_reaches_the_evaluation(datasets: Datasets) -> None:
    settings = load_config("scenes", {"machine.precision": "bf16-mixed"})
    assert batches.validation_of(settings, datasets.val, 32).precision == "bf16-mixed"


def test_batches_are_kept_up_to_a_number_of_bytes(datasets: Datasets) -> None:
    settings = load_config("scenes")
    size = batches.decoded_bytes(datasets.val, settings.transform())
    kept = batches.batches_of(settings, datasets.val, 32)
    assert isinstance(kept, list)
    held = sum(batch.pixels.nbytes for batch in kept)
    assert held == size
    less = change_settings(settings, {"machine.memory": size - 1})
    assert not isinstance(batches.batches_of(less, datasets.val, 32), list)
    assert isinstance(batches.recalibration_batches(settings, datasets.train, 32), list)
    assert not isinstance(batches.recalibration_batches(less, datasets.train, 32), list)


def test_what_differs_between_the_configs_is_a_setting(datasets: Datasets) -> None:
    coco = load_config("coco", {"machine.device": "cpu", "machine.memory": 0})
    machine = hardware(coco, progress=False)
    assert (machine.workers, machine.checkpoint_every) == (4, 960)
    loader = batches.batches_of(change_settings(coco, {"machine.loaders": 1}), datasets.val, 32)
    assert not isinstance(loader, list)
    assert (loader.batch_size, loader.num_workers) == (2, 1)


def test_recalibration_takes_the_trainings_batch_size(datasets: Datasets, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(
        batches, "training_batches", lambda *args, batch_size, **options: asked.append(batch_size) or []
    )
    for name in ("coco", "scenes"):
        settings = load_config(name, {"search.recalibration_batches": 1})
        batches.recalibration_batches(settings, datasets.train, 32)
    assert asked == [16, 4]


def test_nas_val_is_looked_at_in_equal_chunks(datasets: Datasets) -> None:
    settings = load_config("scenes")

    def chunks(images: int) -> tuple[int, int | None]:
        return batches.chunks_of(settings, datasets.train.subset([0] * images))

    assert chunks(40) == (5, None)
    assert chunks(48) == (6, 1)
    assert chunks(200) == (25, 1)
    assert chunks(400) == (50, 2)
    assert chunks(8 * 96) == (96, 4)
    assert chunks(8 * 97) == (97, 1)  # a prime
    assert batches.validation_of(settings, datasets.nas_val, 32, reports=False).report_every is None


def test_the_error_is_that_of_the_objective(datasets: Datasets) -> None:
    settings = load_config("scenes", {"search.objective": "pq_things"})
    assert batches.validation_of(settings, datasets.val, 32).error_of == "pq_things"


def test_racing_that_can_do_nothing_is_refused_where_it_is_asked_for(datasets: Datasets) -> None:
    racing = {"search.racing": True, "search.strategy": "random"}
    with pytest.raises(ValueError, match="nas_val's 4 images are 1 batches of 8, too few"):
        search.stopper_of(load_config("scenes", racing), datasets)
    with pytest.raises(ValueError, match="path-priority ranks every candidate"):
        load_config("scenes", {"search.racing": True, "search.strategy": "path-priority"})
    assert search.stopper_of(load_config("scenes"), datasets) is None


def test_racing_is_on_where_there_is_a_cost_and_enough_to_look_at(datasets: Datasets) -> None:
    enough = replace(datasets, nas_val=datasets.nas_val.subset([0] * 48))
    found = search.stopper_of(load_config("scenes"), enough)
    assert isinstance(found, Racing)
    assert (found.steps, found.top) == (6, search.TOP_OF_FRONT)
    assert search.stopper_of(load_config("scenes", {"search.racing": False}), enough) is None
    for changes in ({"search.space": "auto-panoptic"}, {"search.strategy": "path-priority"}, {"search.cost": None}):
        assert search.stopper_of(load_config("scenes", changes), enough) is None
    alone = load_config("scenes", {"search": {"cost": None, "strategy": "random", "racing": True}})
    found = search.stopper_of(alone, enough)
    assert isinstance(found, Racing)
    assert found.top == search.TOP


def test_a_cost_is_a_second_objective() -> None:
    assert search.objectives_of(load_config("scenes")) == {"pq": "max", "gflops": "min"}
    assert search.objectives_of(load_config("scenes", {"search.space": "auto-panoptic"})) == {"pq": "max"}
    both = load_config("scenes", {"search": {"space": "auto-panoptic", "cost": "gflops", "strategy": "nsga2"}})
    assert search.objectives_of(both) == {"pq": "max", "gflops": "min"}


@pytest.mark.parametrize(
    "changes",
    [
        {"search.space": "auto-panoptic"},
        {"search.strategy": "path-priority"},
        {"search.space": "auto-panoptic", "search.cost": "gflops"},
        {"warmup.passes": 5},
    ],
)
def test_one_key_is_enough_for_a_search_that_can_begin(datasets: Datasets, changes: dict[str, Any]) -> None:
    search.check_feasible(load_config("scenes", changes, quick=True), datasets)


def test_gradients_that_would_change_nothing_are_refused(datasets: Datasets) -> None:
    changes = {"search.space": "auto-panoptic", "supernet.accumulate": True, "supernet.passes": 13}
    with pytest.raises(ValueError, match=r"^supernet\.passes=13 is no multiple of the 12 paths of a cycle"):
        search.check_feasible(load_config("scenes", changes), datasets)


def test_latency_is_slow_with_nothing_beside_it(datasets: Datasets, tmp_path: Path) -> None:
    settings = load_config(
        "scenes",
        {
            "search.cost": "latency_ms",
            "search.strategy": "nsga2",
            "search.recalibration_batches": 0,
            "machine.device": "cpu",
            "machine.workers": 2,
        },
    )
    supernet = Supernet(build(network_config(settings, datasets.train.categories), seed=0))
    candidates = search.Candidates(settings, supernet, datasets, tmp_path, progress=False)
    state = torch.random.get_rng_state()
    result = candidates.family([hand_made(supernet.space)])
    assert isinstance(candidates._executor, InlineExecutor)
    assert torch.equal(state, torch.random.get_rng_state())
    (trial,) = result.history.completed
    assert 1 < trial.metrics["latency_ms"] < 60_000
    assert {"pq", "gflops", "mparams"} <= set(trial.metrics)
    # The journal has it; it is not measured again.
    assert candidates.family([hand_made(supernet.space)]).best.metrics == trial.metrics
    # Nor do the other searches of the run, which would find another time.
    again = search.Candidates(settings, supernet, datasets, tmp_path, progress=False)
    for one in (candidates, again):
        again.family([hand_made(supernet.space)])
        assert one.on_val([hand_made(supernet.space)]).best.metrics["latency_ms"] == trial.metrics["latency_ms"]
        (tmp_path / "val.jsonl").unlink()
    workers = search.Candidates(
        change_settings(settings, {"search.cost": "gflops"}), supernet, datasets, tmp_path, progress=False
    )
    assert isinstance(workers._executor, ProcessExecutor)


def test_what_a_search_has_measured_is_not_measured_again() -> None:
    space = SearchSpace([Choice("id", range(3))])
    one, other = Architecture({"id": 0}), Architecture({"id": 1})
    known = Search(
        space, RandomSearch(), lambda architecture: {"pq": 5.0, "pq_standard_error": 0.5}, objectives="pq",
        costs={"gflops": lambda architecture: 7.0}, initial=[one],
    ).run(1, progress=False)  # fmt: skip
    asked: list[Architecture] = []

    def measure(architecture: Architecture) -> dict[str, float]:
        asked.append(architecture)
        return {"pq": 9.0}

    found = search._Remembering(FunctionEvaluator(measure), known, {"gflops"})
    assert found.evaluate(one, lambda *_: False) == {"pq": 5.0, "pq_standard_error": 0.5}
    assert found.evaluate(other, lambda *_: False) == {"pq": 9.0}
    assert asked == [other]


def test_a_search_begins_with_the_candidates_of_another(
    datasets: Datasets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = load_config("scenes", {"search.space": "auto-panoptic", "data.path": "x"})
    config = network_config(base, datasets.train.categories)
    supernet = Supernet(build(config, 0))
    path = FairPaths(supernet.space)
    logged = [supernet.space.canonical(path.path(step)) for step in range(12)]
    write_log(tmp_path / "log.json", [Candidate(one, {"pq": float(n)}, 0) for n, one in enumerate(logged)], config)
    settings = change_settings(base, {"search.warm_start": str(tmp_path / "log.json")})
    search.check_feasible(settings, datasets)
    asked: list[Any] = []
    monkeypatch.setattr(search.Candidates, "_run", lambda self, *args, initial: asked.append(initial))
    for one in (settings, change_settings(settings, {"search.strategy": "random"}), base):
        search.Candidates(one, supernet, datasets, tmp_path, progress=False).searched()
    assert asked == [logged, logged[:1:-1], []]
    (tmp_path / "log.json").unlink()  # the journal of a search that has begun knows them
    with pytest.raises(FileNotFoundError, match=r"search\.warm_start: .*log\.json: there is no such file"):
        search.check_feasible(settings, datasets)
    search.check_feasible(settings, datasets, begun=True)
    (tmp_path / "search.jsonl").touch()
    search.Candidates(settings, supernet, datasets, tmp_path, progress=False).searched()
    assert asked[-1] == []


def test_what_does_not_fit_the_search_is_refused_before_it(datasets: Datasets, tmp_path: Path) -> None:
    settings = load_config("scenes", {"search.warm_start": str(tmp_path / "model_0")})
    write_published(tmp_path / "model_0", [load_shipped("coco_3.8g")])
    with pytest.raises(ValueError, match=r"search\.warm_start: .*model_0 is of Auto-Panoptic's space, but .* elastic"):
        search.check_feasible(settings, datasets)
    published = change_settings(settings, {"search": {"space": "auto-panoptic", "strategy": "random", "cost": None}})
    with pytest.raises(ValueError, match=r"search\.warm_start: .*model_0: 'backbone' must be a list of 6 option"):
        search.check_feasible(published, datasets)
