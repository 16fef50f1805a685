"""The comparison of ways to train the elastic supernet."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from autopanoptic.nas import Supernet
from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.data.coco.layout import find_splits
from autopanoptic.panoptic.data.scenes.files import write_scenes
from autopanoptic.panoptic.search.strategies import family
from autopanoptic.panoptic.stages.costs import costs
from autopanoptic.panoptic.stages.networks import build, network_config
from benchmarks import supernet_training
from benchmarks.supernet_training import WAYS, between, main, table


def test_the_ways_take_about_the_same_number_of_passes_and_differ_in_what_they_say() -> None:
    found = {name: load_config("scenes", changes) for name, changes in WAYS.items()}
    passes = {name: one.supernet.passes + (one.largest.passes if one.largest else 0) for name, one in found.items()}
    assert max(passes.values()) <= 1.1 * min(passes.values())
    assert [name for name, one in found.items() if one.largest] == ["largest-first", "all-blocks"]
    assert [name for name, one in found.items() if one.sandwich] == ["sandwich"]
    assert len(found["all-blocks"].network.elastic_blocks) == 4


def test_random_architectures_cost_as_much_as_the_middle_of_the_family_and_are_always_the_same(tmp_path: Path) -> None:
    scenes = {"train": 1, "nas_val": 1, "val": 1}
    datasets = find_splits(write_scenes(tmp_path, scenes, seed=0)).open()
    settings = load_config("scenes", {"data.scenes": scenes})
    space = Supernet(build(network_config(settings, datasets.train.categories), seed=0)).space
    gflops = costs(settings, datasets)["gflops"]
    prices = sorted(map(gflops, family(space)))
    found = between(settings, datasets, space, 4)
    assert len(set(found)) == 4
    assert all(prices[1] <= gflops(one) <= prices[-2] for one in found)
    assert between(settings, datasets, space, 4) == found


def test_what_is_slow_is_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, int]] = []

    def measure(way: str, seed: int, folder: Path, drawn: int) -> dict[str, Any]:
        asked.append((way, seed))
        return {"way": way, "seed": seed, "seconds": 7.0, "family": [(0.1, 20.0), (0.2, 30.0)], "drawn": [(0.15, 25.0)]}

    monkeypatch.setattr(supernet_training, "measure", measure)
    for ways in (["random"], ["random", "sandwich"]):
        options = [option for way in ways for option in ("--way", way)]
        monkeypatch.setattr(sys, "argv", ["supernet_training", "--to", str(tmp_path), "--seed", "3", *options])
        main()
    assert asked == [("random", 3), ("sandwich", 3)]
    kept = json.loads((tmp_path / "results.json").read_text())
    console = Console(file=io.StringIO(), width=100)
    console.print(table(kept))
    assert "20.0 30.0" in console.file.getvalue()  # type: ignore[attr-defined]
    assert "sandwich" in capsys.readouterr().out
