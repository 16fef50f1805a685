"""Trainings of a run that measure panoptic quality on the way, and what they tell."""

from __future__ import annotations

import csv
import io
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from autopanoptic.nas import Architecture, Supernet
from autopanoptic.panoptic.configs.config import change_settings, load_config
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.search.evaluator import PanopticEvaluator
from autopanoptic.panoptic.search.strategies import hand_made
from autopanoptic.panoptic.stages import supernet
from autopanoptic.panoptic.stages.batches import recalibration_batches, validation_of
from autopanoptic.panoptic.stages.networks import build, network_config
from autopanoptic.panoptic.stages.pipeline import _kept
from autopanoptic.panoptic.stages.side_by_side import retrain_all
from autopanoptic.panoptic.stages.supernet import train_supernet
from autopanoptic.panoptic.training.recipe import Recipe
from autopanoptic.panoptic.training.training import Training
from autopanoptic.panoptic.training.validation import best_of

RECIPE = Recipe(passes=2, batch_size=1, warmup=0, validate_every=1, keep="best")
SETTINGS = load_config(
    "scenes",
    {
        "largest": None,
        "sandwich": True,
        "random_paths": 1,
        "supernet": replace(RECIPE, passes=6, validate_every=3, keep="last", ema=0.5),
        "retrain": RECIPE,
        "init": "scratch",
        "search": {"recalibration_batches": 1},
        "machine": {"device": "cpu", "supernet_processes": 1, "trainings": 1},
    },
)


def logged(folder: Path) -> list[float]:
    (path,) = folder.glob("log/*/metrics.csv")
    with path.open() as file:
        return [float(row["val_pq"]) for row in csv.DictReader(file) if row["val_pq"]]


@pytest.fixture(scope="module")
def plain(datasets: Datasets) -> Architecture:
    return hand_made(Supernet(build(network_config(SETTINGS, datasets.train.categories), seed=0)).space)


def test_a_network_is_slow_on_nas_val_and_the_best_weights_are_saved(
    datasets: Datasets, plain: Architecture, tmp_path: Path
) -> None:
    console = Console(file=io.StringIO(), width=200)
    chosen = {"searched": plain, "hand-made": plain}
    networks = retrain_all(SETTINGS, chosen, datasets, tmp_path, tmp_path, console)
    best, found = best_of(tmp_path / "searched"), logged(tmp_path / "searched")
    assert best is not None
    assert len(found) == 2
    assert best.pq == pytest.approx(max(found))
    for name, value in networks["searched"].state_dict().items():
        assert torch.equal(value, best.weights[name])
    validation = validation_of(SETTINGS, datasets.nas_val, networks["searched"].config.image_divisor)
    assert validation(networks["searched"])["pq"] == pytest.approx(best.pq)
    told = _kept(tmp_path / "searched", RECIPE)
    assert told == f", with its weights of pass {best.passes} of 2, the best on nas_val ({best.pq:.1f})"
    assert _kept(tmp_path / "searched", replace(RECIPE, keep="last")) == ""


@pytest.mark.parametrize(
    ("space", "folder", "processes"),
    [
        ("elastic", "sandwich", 1),
        ("auto-panoptic", "fair", 1),
        pytest.param("elastic", "sandwich", 2, marks=pytest.mark.slow),
    ],
)
def test_a_supernet_is_slow_by_its_hand_made_path(
    datasets: Datasets, tmp_path: Path, capsys: pytest.CaptureFixture[str], space: str, folder: str, processes: int
) -> None:
    settings = change_settings(SETTINGS, {"search": {"space": space}, "machine.supernet_processes": processes})
    trained = train_supernet(settings, datasets, tmp_path, progress=True)
    assert capsys.readouterr().out == ""  # work of less than half a minute writes no lines
    divisor = network_config(settings, datasets.train.categories).image_divisor
    validation = validation_of(settings, datasets.nas_val, divisor)
    evaluator = PanopticEvaluator(trained, validation, recalibration_batches(settings, datasets.train, divisor))
    found = logged(tmp_path / folder)
    assert len(found) == 2
    plain = hand_made(trained.space)
    assert found[-1] == pytest.approx(evaluator.evaluate(plain, lambda *_: None)["pq"])
    best = best_of(tmp_path / folder)
    assert best is not None
    assert best.pq == pytest.approx(max(found))
    train_supernet(settings, datasets, tmp_path, progress=True)  # is only loaded


def test_what_measures_a_supernet_goes_to_other_processes_without_its_batches(
    datasets: Datasets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each tensor takes an open file there, of which many systems allow 1024."""
    sent: list[object] = []

    class Watching(pickle.Pickler):
        def persistent_id(self, value: object) -> None:
            sent.extend([value] if isinstance(value, torch.Tensor) else [])

    def watch(network: object, training: Training, *args: object, **options: object) -> None:
        assert training.validation is not None
        Watching(io.BytesIO()).dump(training.validation)

    monkeypatch.setattr(supernet, "train", watch)
    train_supernet(SETTINGS, datasets, tmp_path, progress=False)
    assert sent == []
