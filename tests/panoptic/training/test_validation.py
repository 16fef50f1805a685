"""Panoptic quality during a training: when it is measured, of what, and that the best weights are kept."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.data.loading.batches import evaluation_batches
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.merge.rules import MergeRules
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.search.evaluator import Validation
from autopanoptic.panoptic.stages.networks import build
from autopanoptic.panoptic.training.hardware import Hardware
from autopanoptic.panoptic.training.module import PanopticModule
from autopanoptic.panoptic.training.recipe import Recipe
from autopanoptic.panoptic.training.trainer import train
from autopanoptic.panoptic.training.training import Training
from autopanoptic.panoptic.training.validation import best_of

TRANSFORM = Transform(32, None)
RECIPE = Recipe(passes=5, batch_size=2, warmup=0, validate_every=2, keep="best")
QUIET = Hardware("cpu", progress=False, checkpoint_every=2)
NAME = "rpn.head.cls_logits.weight"


@pytest.fixture
def network(datasets: Datasets) -> PanopticNetwork:
    categories = datasets.train.categories
    return build(PanopticConfig.scenes(len(categories.things), len(categories.stuff)), seed=0)


class Told:
    """Says what it is told to, and remembers what it was shown."""

    rules = MergeRules()

    def __init__(self, dataset: CocoPanoptic, values: list[float]) -> None:
        self.dataset, self.values = dataset, values
        self.shown: list[Tensor] = []

    def __call__(self, network: nn.Module) -> dict[str, float]:
        self.shown.append(network.state_dict()[NAME].clone())
        value = self.values[len(self.shown) - 1]
        return {"pq": value, "sq": 2 * value, "pq_things": value / 2}


def rows(folder: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for path in sorted(folder.glob("log/*/metrics.csv")):
        with path.open() as file:
            found.extend(csv.DictReader(file))
    return found


def train_on(
    network: PanopticNetwork, datasets: Datasets, folder: Path, measure: Any, chunk: int = 2, **changes: Any
) -> None:
    training = Training(
        datasets.train, TRANSFORM, replace(RECIPE, **changes), hardware=replace(QUIET, checkpoint_every=chunk),
        validation=measure,
    )  # fmt: skip
    train(network, training, folder)


def test_the_best_weights_are_kept_and_given_to_the_network(
    datasets: Datasets, network: PanopticNetwork, tmp_path: Path
) -> None:
    measure = Told(datasets.nas_val, [10.0, 30.0, 20.0])
    train_on(network, datasets, tmp_path, measure)
    assert torch.equal(network.state_dict()[NAME], measure.shown[1])
    assert not torch.equal(measure.shown[1], measure.shown[2])
    best = best_of(tmp_path)
    assert best is not None
    assert (best.passes, best.pq) == (4, 30.0)


def test_the_best_weights_are_kept_beside_the_last(
    datasets: Datasets, network: PanopticNetwork, tmp_path: Path
) -> None:
    measure = Told(datasets.nas_val, [10.0, 30.0, 20.0])
    train_on(network, datasets, tmp_path, measure, keep="last")
    assert torch.equal(network.state_dict()[NAME], measure.shown[2])
    best = best_of(tmp_path)
    assert best is not None
    assert (best.passes, best.pq) == (4, 30.0)
    assert torch.equal(best.weights[NAME], measure.shown[1])


@pytest.mark.parametrize("chunk", [2, 9])
def test_the_log_has_quality_learning_rate_and_images_per_second(
    datasets: Datasets, network: PanopticNetwork, tmp_path: Path, chunk: int
) -> None:
    train_on(network, datasets, tmp_path, Told(datasets.nas_val, [10.0, 30.0, 20.0]), chunk)
    found = rows(tmp_path)
    measured = {int(row["step"]): row["val_pq"] for row in found if row["val_pq"]}
    assert measured == {1: "10.0", 3: "30.0", 4: "20.0"}
    assert [int(row["step"]) for row in found if row["loss"]] == [0, 1, 2, 3, 4]
    assert [row["val_pq_things"] for row in found if row["val_pq_things"]] == ["5.0", "15.0", "10.0"]
    assert "val_sq" not in found[0]
    rates = [float(row["learning_rate"]) for row in found if row["learning_rate"]]
    assert rates == pytest.approx([RECIPE.learning_rate * RECIPE.factor(n, 5) for n in range(5)])
    assert all(float(row["images_per_second"]) > 0 for row in found if row["loss"])


def test_the_average_is_slow(datasets: Datasets, network: PanopticNetwork, tmp_path: Path) -> None:
    measure = Told(datasets.nas_val, [10.0, 20.0, 30.0])
    train_on(network, datasets, tmp_path, measure, ema=0.99)
    assert torch.equal(network.state_dict()[NAME], measure.shown[-1])
    plain = Told(datasets.nas_val, [10.0, 20.0, 30.0])
    other = build(network.config, seed=0)
    train_on(other, datasets, tmp_path / "plain", plain)
    assert not torch.equal(measure.shown[0], plain.shown[0])


def test_measuring_changes_nothing(datasets: Datasets, network: PanopticNetwork, tmp_path: Path) -> None:
    batches = list(evaluation_batches(datasets.nas_val, TRANSFORM, batch_size=2, divisor=32))
    validation = Validation(datasets.nas_val, batches, MergeRules(stuff_area=16))
    train_on(network, datasets, tmp_path / "a", validation, keep="last", ema=0.5)
    other = build(network.config, seed=0)
    train_on(other, datasets, tmp_path / "b", None, keep="last", ema=0.5, validate_every=0)
    assert all(
        torch.equal(a, b) for a, b in zip(network.state_dict().values(), other.state_dict().values(), strict=True)
    )
    assert len([row for row in rows(tmp_path / "a") if row["val_pq"]]) == 3


@pytest.mark.parametrize("at", [3, 4])
def test_an_interrupted_training_keeps_its_best(
    datasets: Datasets, network: PanopticNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    start = {name: value.clone() for name, value in network.state_dict().items()}
    total = PanopticModule._total

    def broken(self: PanopticModule, net: Any, batch: Any) -> Tensor:
        if self.passes == at:
            raise RuntimeError("power cut")
        return total(self, net, batch)

    before = Told(datasets.nas_val, [30.0, 10.0, 10.0])
    with monkeypatch.context() as patch:
        patch.setattr(PanopticModule, "_total", broken)
        with pytest.raises(RuntimeError, match="power cut"):
            train_on(network, datasets, tmp_path, before)
    network.load_state_dict(start)
    train_on(network, datasets, tmp_path, Told(datasets.nas_val, [20.0, 29.0]))
    best = best_of(tmp_path)
    assert best is not None
    assert (best.passes, best.pq) == (2, 30.0)
    assert torch.equal(network.state_dict()[NAME], before.shown[0])


def test_a_validation_that_is_missing_is_asked_for(
    datasets: Datasets, network: PanopticNetwork, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="validate_every=2: give the training a validation"):
        train_on(network, datasets, tmp_path, None)
    assert not list(tmp_path.iterdir())


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize(("change", "message"), [(damage, "best.pt .* is damaged"), (Path.unlink, "has lost best.pt")])
def test_best_weights_that_are_damaged_or_lost_are_named(
    datasets: Datasets, network: PanopticNetwork, tmp_path: Path, change: Callable[[Path], None], message: str
) -> None:
    start = {name: value.clone() for name, value in network.state_dict().items()}
    train_on(network, datasets, tmp_path, Told(datasets.nas_val, [10.0, 30.0, 20.0]))
    change(tmp_path / "best.pt")
    network.load_state_dict(start)
    with pytest.raises(ValueError, match=message):
        train_on(network, datasets, tmp_path, Told(datasets.nas_val, []))


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_images_that_decide_the_best_are_part_of_the_record(
    datasets: Datasets, network: PanopticNetwork, tmp_path: Path, keep: str
) -> None:
    start = {name: value.clone() for name, value in network.state_dict().items()}
    train_on(network, datasets, tmp_path, Told(datasets.nas_val, [10.0, 30.0, 20.0]), keep=keep)
    network.load_state_dict(start)
    with pytest.raises(ValueError, match=r"differs in best_by\.data"):
        train_on(network, datasets, tmp_path, Told(datasets.val, []), keep=keep)
