"""How alike paths rank: the figures, and the architectures that they are of."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.configs.config import load_config, save_config
from autopanoptic.panoptic.data.categories import Categories, Category
from autopanoptic.panoptic.data.loading.batch import Batch
from autopanoptic.panoptic.model.weights import save_weights
from autopanoptic.panoptic.quality.images import FoundOnImage, ImageCounts
from autopanoptic.panoptic.run.folder import SETTINGS
from autopanoptic.panoptic.search.strategies import family
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.networks import build, network_config
from autopanoptic.panoptic.stages.prepare import SUPERNET_FOLDER, prepare
from autopanoptic.panoptic.stages.supernet import SUPERNET
from benchmarks import ranking
from benchmarks.ranking import Ranking, measure, tau


def test_tau_is_that_of_the_order_with_an_interval() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=30).tolist()
    assert tau(values, [2 * value + 1 for value in values]) == pytest.approx({"tau": 1, "low": 1, "high": 1})
    assert tau(values, [-value for value in values])["tau"] == pytest.approx(-1)
    noisy = tau(values, [value + rng.normal() for value in values])
    assert -1 < noisy["low"] < noisy["tau"] < noisy["high"] < 1


class Known:
    """Stands in for a run whose dearer paths are better, but on every other image of nas_val worse."""

    datasets = SimpleNamespace(nas_val="nas_val", val="val")

    def architectures(self, count: int) -> list[Architecture]:
        return [Architecture({"id": number}) for number in range(count)]

    def gflops(self, architecture: Architecture) -> float:
        return 0.1 * int(architecture["id"])

    def counts(self, architectures: Sequence[Architecture], dataset: str, other: bool) -> list[ImageCounts]:
        categories = Categories([Category(1, "thing", True, (1, 1, 1))])
        found = []
        for number, _ in enumerate(architectures):
            good, bad = (self._image(0.5 + sign * number / 100) for sign in (2, -1))
            found.append(ImageCounts(categories, [good, good if dataset == "val" else bad] * 3))
        return found[::-1] if other else found

    def _image(self, iou: float) -> FoundOnImage:
        return FoundOnImage(np.array([0]), np.array([iou]), np.array([[1, 0, 0]]))


def test_the_figures_compare_halves_batches_and_splits() -> None:
    known: Any = Known()
    found: Any = measure(known, 5, val=True)
    assert (found["architectures"], found["images"], found["gflops"]) == (5, 6, [0.0, 0.4])
    assert found["pq"] == pytest.approx([50, 52])
    assert {name: one["tau"] for name, one in found["taus"].items()} == pytest.approx(
        {"halves of nas_val": -1, "batches for batch norms": -1, "nas_val and val": 1}
    )
    assert "nas_val and val" not in measure(known, 5, val=False)["taus"]  # type: ignore[operator]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Ranking:
    """A run whose supernet was never trained."""
    scenes = {"train": 2, "nas_val": 2, "val": 2}
    folder = tmp_path_factory.mktemp("runs")
    settings = load_config(
        "scenes", {"data.scenes": scenes, "search.recalibration_batches": 1, "machine.device": "cpu"}
    )
    save_config(settings, folder / SETTINGS)
    categories = prepare(settings, folder, Console(file=io.StringIO())).train.categories
    (folder / SUPERNET_FOLDER).mkdir()
    save_weights(build(network_config(settings, categories), settings.seed), folder / SUPERNET_FOLDER / SUPERNET)
    return Ranking(folder, images=1)


def test_architectures_lie_over_the_whole_range_of_costs(run: Ranking) -> None:
    chosen = run.architectures(8)
    prices = [run.gflops(architecture) for architecture in chosen]
    assert len(set(chosen)) == 8
    assert prices == sorted(prices)
    assert max(prices) <= 1.1 * max(map(run.gflops, family(run.supernet.space)))
    assert max(np.diff(prices)) < (prices[-1] - prices[0]) / 2
    assert run.architectures(8) == chosen


def test_paths_are_measured_with_the_batches_of_the_run_or_with_others(
    run: Ranking, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    batches = ranking.recalibration_batches

    def noted(settings: Settings, *rest: Any) -> Iterable[Batch] | None:
        seeds.append(settings.seed)
        return batches(settings, *rest)

    monkeypatch.setattr(ranking, "recalibration_batches", noted)
    (found,) = run.counts(family(run.supernet.space)[:1], run.datasets.nas_val, other=False)
    assert len(found) == 1
    run.counts([], run.datasets.nas_val, other=True)
    assert seeds[0] == run.settings.seed != seeds[1]
