"""A run's search as the files of Auto-Panoptic's code, which a search and a training read again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autopanoptic.nas import Architecture, Evolution, PathPriority, Search, SearchSpace, Strategy
from autopanoptic.nas.cli import app
from autopanoptic.panoptic.configs.config import change_settings, load_config, save_config
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.report.reference import write_reference
from autopanoptic.panoptic.report.run import Run
from autopanoptic.panoptic.run.retrain import read_architecture
from autopanoptic.panoptic.search.architecture_files import read_published
from autopanoptic.panoptic.search.first_candidates import first_candidates
from autopanoptic.panoptic.search.reference_logs import read_log, space_of

TRIALS = 25


def made_up(architecture: Architecture) -> Mapping[str, float]:
    number = int(architecture.id[:4], 16) / 16**4
    return {"pq": 20 + 5 * number, "pq_things": 30 + number, "pq_stuff": 10 + number, "sq": 70.0, "rq": 30 + number}


def config_of(run: Path) -> PanopticConfig:
    found = Run.read(run)
    return found.settings.network_for(len(found.categories.things), len(found.categories.stuff))


def searched(run: Path, strategy: Strategy, name: str) -> SearchSpace:
    """Put a search of the space auto-panoptic in place of a run's own; nothing is trained after it."""
    changes = {"search": {"space": "auto-panoptic", "strategy": name, "cost": None, "trials": TRIALS}}
    settings = change_settings(load_config(run / "config.yaml"), changes)
    save_config(settings, run / "config.yaml")
    (run / "search.jsonl").unlink()
    for other in ("metrics.json", "front.json", "architecture.json"):
        (run / other).unlink(missing_ok=True)
    space = space_of(settings.network_for(10, 5))
    Search(space, strategy, made_up, objectives="pq", journal=run / "search.jsonl", ordered=True).run(trials=TRIALS)
    return space


def test_a_search_by_path_priority_is_written_and_read_again(run: Path) -> None:
    strategy = PathPriority(cycles=2)
    space = searched(run, strategy, "path-priority")
    history = Run.read(run).searched.history
    answers = PathPriority(cycles=2, top=3).answers(space, history)
    answers[0].save(run / "architecture.json")
    folder, config = write_reference(run), config_of(run)
    assert (folder, sorted(path.name for path in folder.iterdir())) == (
        run / "reference",
        ["final_test_log.json", "model_0", "model_1", "model_2"],
    )
    found = read_log(folder / "final_test_log.json", config)
    assert [one.architecture for one in found] == [trial.architecture for trial in history][:24]
    assert [one.cycle for one in found] == [0] * 12 + [1] * 12
    assert [one.metrics for one in found] == [made_up(one.architecture) for one in found]
    assert [read_published(folder / f"model_{k}", config) for k in range(3)] == [[one] for one in answers]
    assert json.loads((folder / "model_0").read_text())[0].keys() == {"backbone", "head", "inter"}
    assert read_architecture(str(folder / "model_1"), config) == ("model_1", answers[1])
    again = first_candidates(folder / "final_test_log.json", space, config, strategy)
    assert again == [one.architecture for one in found]


def test_another_strategys_best_are_its_results(run: Path, tmp_path: Path) -> None:
    searched(run, Evolution(population=4), "evolution")
    folder = write_reference(run, tmp_path / "out")
    history = Run.read(run).searched.history
    ranked = [trial.architecture for trial in history.ranked()]
    assert [read_published(folder / f"model_{k}", config_of(run))[0] for k in range(3)] == ranked[:3]
    assert len(read_log(folder / "final_test_log.json", config_of(run))) == TRIALS


def test_the_command_writes_them_and_refuses_widths(run: Path) -> None:
    refused = CliRunner().invoke(app, ["panoptic", "report", str(run), "--format", "reference"])
    assert refused.exit_code == 1
    assert "has searched the space elastic, with widths and depths; search with --space auto-panoptic" in " ".join(
        refused.output.split()
    )
    assert not (run / "reference").exists()
    searched(run, PathPriority(cycles=2), "path-priority")
    own = load_config(run / "config.yaml")
    save_config(change_settings(own, {"network.backbone": "resnet50"}), run / "config.yaml")
    refused = CliRunner().invoke(app, ["panoptic", "report", str(run), "--format", "reference"])
    assert refused.exit_code == 1
    assert "the backbone is resnet50; take --backbone search" in " ".join(refused.output.split())
    assert not (run / "reference").exists()
    save_config(own, run / "config.yaml")
    told = CliRunner().invoke(app, ["panoptic", "report", str(run), "--format", "reference"])
    assert told.exit_code == 0, told.output
    assert told.output.strip().endswith("reference")
    assert not (run / "report.html").exists()


@pytest.mark.parametrize("name", ["json", "HTML5"])
def test_an_unknown_format_is_refused(run: Path, name: str) -> None:
    result = CliRunner().invoke(app, ["panoptic", "report", str(run), "--format", name])
    assert result.exit_code == 2
    assert "reference" in result.output
