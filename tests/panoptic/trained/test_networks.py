"""Trained networks are found, and how they are used is known."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from autopanoptic.panoptic.configs.config import load_config, save_config
from autopanoptic.panoptic.model.merge.rules import MergeRules
from autopanoptic.panoptic.results.usage import USAGE, Usage
from autopanoptic.panoptic.search.evaluator import Validation
from autopanoptic.panoptic.trained import evaluate as evaluating
from autopanoptic.panoptic.trained.commands import folder_of
from autopanoptic.panoptic.trained.networks import find_networks, load_trained, precision_of, run_of


def test_the_networks_of_a_run_are_those_that_it_compares(shared_run: Path) -> None:
    assert list(find_networks(shared_run)) == ["searched", "random"]
    assert list(find_networks(shared_run, ["searched-1", "random"])) == ["searched-1", "random"]
    assert run_of(shared_run / "networks" / "random") == shared_run.resolve()


def test_finalists_are_compared_while_there_is_no_best_one(run: Path) -> None:
    shutil.rmtree(run / "networks" / "searched")
    assert list(find_networks(run)) == ["random", "searched-1"]


def test_one_network_is_found(run: Path, tmp_path: Path) -> None:
    alone = shutil.copytree(run / "networks" / "random", tmp_path / "alone")
    assert find_networks(alone) == {"alone": alone}
    assert run_of(alone) is None
    trained = load_trained(alone)
    assert trained.usage.rules == MergeRules(score_threshold=0.11, stuff_area=16)
    assert not trained.network.training


def test_what_is_no_network_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder of a run"):
        find_networks(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"neither a run, with config\.yaml"):
        find_networks(tmp_path)
    with pytest.raises(FileNotFoundError, match="no trained network 'best', but random, searched, searched-1"):
        find_networks(run, ["best"])
    with pytest.raises(ValueError, match="is one network; names such as x"):
        find_networks(run / "networks" / "random", ["x"])
    shutil.rmtree(run / "networks")
    with pytest.raises(FileNotFoundError, match="has no trained network yet"):
        find_networks(run)


def test_the_run_says_how_networks_without_usage_are_used(run: Path, tmp_path: Path) -> None:
    folder = run / "networks" / "random"
    known = load_trained(folder).usage.categories
    (folder / USAGE).unlink()
    found = load_trained(folder).usage
    assert [(c.id, c.name, c.isthing) for c in found.categories] == [(c.id, c.name, c.isthing) for c in known]
    assert found.rules.stuff_area == 64  # of the run's config
    alone = shutil.copytree(folder, tmp_path / "alone")
    with pytest.raises(FileNotFoundError, match=r"usage\.json is missing"):
        load_trained(alone)


def test_classes_must_be_as_many_as_the_network_has(run: Path) -> None:
    path = run / "networks" / "random" / USAGE
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "categories": values["categories"][1:]}))
    with pytest.raises(ValueError, match="the network has 10 thing and 5 stuff classes"):
        load_trained(path.parent)


DAMAGES: dict[str, Callable[[str], str]] = {
    "cut": lambda text: text[:40],
    "a list": lambda text: "[]",
    "no categories": lambda text: text.replace("categories", "classes"),
    "a side": lambda text: text.replace('"short_side": null', '"short_side": "large"'),
    "a side of 0": lambda text: text.replace('"short_side": null', '"short_side": 0'),
    "a normalization": lambda text: re.sub(r'"normalization": {[^}]*}', '"normalization": "imagenet"', text),
    "a rule": lambda text: text.replace("stuff_area", "staff_area"),
    "a rule's value": lambda text: text.replace('"score_threshold": 0.11', '"score_threshold": 5'),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_usage_is_named(run: Path, damage: str) -> None:
    path = run / "networks" / "random" / USAGE
    text = path.read_text()
    path.write_text(DAMAGES[damage](text))
    assert path.read_text() != text
    with pytest.raises(ValueError, match=r"usage\.json is damaged"):
        Usage.load(path.parent)


def test_networks_compute_in_the_precision_of_their_run(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_config(load_config("scenes", {"machine.precision": "bf16-mixed"}), run / "config.yaml")
    assert precision_of(run / "networks" / "random") == "bf16-mixed"
    alone = Path(shutil.copytree(run / "networks" / "random", tmp_path / "alone"))
    assert precision_of(alone) == "32-true"
    seen: list[object] = []

    class Stop(Exception):
        pass

    def noted(_: str, __: object, validation: Validation, *___: object) -> None:
        seen.append(validation.precision)
        raise Stop

    monkeypatch.setattr(evaluating, "measure", noted)
    for precision in (None, "32-true"):
        with pytest.raises(Stop):
            evaluating.evaluate(run, networks=["random"], precision=precision, device="cpu")  # type: ignore[arg-type]
    assert seen == ["bf16-mixed", "32-true"]


def test_a_run_is_found_beside_a_folder_of_data_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("coco", "annotations").mkdir(parents=True)
    assert folder_of("coco") == Path("coco")  # which is refused by what it lacks
    Path("runs", "coco").mkdir(parents=True)
    assert folder_of("coco") == Path("runs/coco")
    assert folder_of("runs/coco") == Path("runs/coco")
    Path("coco", "config.json").touch()
    assert folder_of("coco") == Path("coco")
