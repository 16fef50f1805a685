"""The search among components: what it begins with, costs, first trainings, rules of each path, journals and files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autopanoptic.nas import NSGA2, Architecture, FlopCount, ParameterCount, Result, Search, Supernet
from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.configs.models import MODELS
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.data.loading.batches import evaluation_batches
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.designs.names import design_of
from autopanoptic.panoptic.model.merge.rules import MergeRules
from autopanoptic.panoptic.model.operators.deform import FLOP_FORMULAS
from autopanoptic.panoptic.results.outline import Outline
from autopanoptic.panoptic.results.saved import load_network, save_network
from autopanoptic.panoptic.results.usage import Usage
from autopanoptic.panoptic.search import evaluator
from autopanoptic.panoptic.search.costs import costs_of
from autopanoptic.panoptic.search.designs import architecture_of, designs
from autopanoptic.panoptic.search.evaluator import PanopticEvaluator, Validation
from autopanoptic.panoptic.search.inflate import inflate
from autopanoptic.panoptic.search.paths import SizeSandwich, largest_plain
from autopanoptic.panoptic.search.scaling import scaled
from autopanoptic.panoptic.search.strategies import beginnings, family, hand_made, largest_of_each
from autopanoptic.panoptic.stages import supernet as stage
from autopanoptic.panoptic.stages.costs import costs
from autopanoptic.panoptic.stages.networks import build
from autopanoptic.panoptic.training.training import Training

CONFIG = replace(
    PanopticConfig.scenes(3, 3), space="published", detections_per_image=8, rpn_post_nms_test=12,
    head_operators=("dw3", "at3"), c3_depths=(1, 1), c4_depths=(1, 1), mask_depths=(1, 2), segmentation_depths=(1, 2),
)  # fmt: skip


@pytest.fixture(scope="module")
def supernet() -> Supernet:
    return Supernet(build(CONFIG, seed=0))


def names(architecture: Architecture) -> dict[str, str]:
    return design_of(CONFIG, architecture)


def test_costs_are_those_of_whole_networks(supernet: Supernet) -> None:
    counted, space, rng = costs_of(CONFIG, 64, 64), supernet.space, np.random.default_rng(1)
    flops = FlopCount(supernet, torch.zeros(1, 3, 64, 64), unit=1e9, formulas=FLOP_FORMULAS)
    parameters = ParameterCount(supernet, unit=1e6)
    for architecture in (*(architecture_of(name, space) for name in MODELS), *(space.sample(rng) for _ in range(3))):
        assert counted["gflops"](architecture) == flops(architecture)
        assert counted["mparams"](architecture) == parameters(architecture)


def test_a_search_begins_with_the_published_models(supernet: Supernet) -> None:
    space = supernet.space
    assert [names(scaled(space, 0, one)) for one in designs(space)] == [dict(model.parts) for model in MODELS.values()]
    begun = beginnings(space)
    assert begun == [architecture_of(name, space, share) for share in (1 / 3, 0) for name in MODELS]
    assert hand_made(space) == begun[0]
    assert {tuple(names(one).values()) for one in family(space)} == {tuple(MODELS["auto-panoptic"].parts.values())}
    assert [names(one) for one in largest_of_each(space)] == [dict(model.parts) for model in MODELS.values()]


def test_the_largest_networks_differ_in_their_components_alone(supernet: Supernet) -> None:
    drawn = list(largest_plain(supernet.space))
    assert len(drawn) == 2 * (2 + 1 + 3 * 3)
    assert len({tuple(names(one).values()) for one in drawn}) == len(drawn)
    sizes = ("pyramid.width", "segmentation.width", "backbone.c5.depth")
    assert {tuple(one[label] for label in sizes) for one in drawn} == {(96, 48, 2)}
    assert {one.get("f2b.p2", "r4") for one in drawn} == {"r4"}


def test_what_is_trained_first_is_taken_over_beside_every_semantic_head() -> None:
    network = build(CONFIG, seed=0)
    part = largest_plain(Supernet(network).space)
    choices: Any = [module for module in network.modules() if getattr(module, "label", "") == "f2b.p3"]
    assert len(choices) == 2  # beside the searched head and beside UPSNet's
    before = [choice.r8.excite.bias.detach().clone() for choice in choices]
    for choice in choices:
        torch.nn.init.normal_(choice.r4.excite.bias)
    inflate(network, {choice.label: choice.options[0] for choice in part.choices})
    for choice, old in zip(choices, before, strict=True):
        assert torch.equal(choice.r8.excite.bias, choice.r4.excite.bias)
        assert not torch.equal(choice.r8.excite.bias, old)


def test_the_supernet_is_trained_by_the_largest_of_all_designs_and_then_by_all_paths(
    datasets: Datasets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: dict[str, list[Architecture]] = {}

    def train(network: object, training: Training, folder: Path, **options: Any) -> None:
        assert training.paths is not None
        trained[folder.name] = [training.paths.path(step) for step in range(20)]

    taken_over: list[dict[str, Any]] = []
    monkeypatch.setattr(stage, "train", train)
    monkeypatch.setattr(stage, "inflate", lambda network, source: taken_over.append(dict(source)))
    settings = load_config("scenes", {"machine.device": "cpu", "search.space": "published"})
    space = stage.train_supernet(settings, datasets, tmp_path, progress=False).space
    assert list(trained) == ["largest", "random"]
    for paths in trained.values():
        assert {path["semantic_head"] for path in paths} == {"searched", "panoptic-fpn", "upsnet"}
    assert {path["pyramid.width"] for path in trained["largest"]} == {96}
    assert (taken_over[0]["segmentation.2"], taken_over[0]["mask.2"], taken_over[0]["b2f.p6"]) == ("dw3", "dw3", "r4")
    gflops = costs(settings, datasets)["gflops"]
    dearest = max(map(gflops, largest_of_each(space)))
    assert all(gflops(path) <= 1.1 * dearest for paths in trained.values() for path in paths)


def test_a_sandwich_has_all_designs_at_its_ends(supernet: Supernet) -> None:
    paths = SizeSandwich(supernet.space, random=0)
    drawn = [paths.path(step) for step in range(40)]
    assert {(place, one["semantic_head"]) for place, one in enumerate(drawn[:2])} <= {
        (place, head) for place in (0, 1) for head in CONFIG.semantic_heads
    }
    assert {one["semantic_head"] for one in drawn[::2]} == {one["semantic_head"] for one in drawn[1::2]}
    assert {one["pyramid.width"] for one in drawn[::2]} == {96}


def test_each_path_is_slow_by_the_rules_of_its_panoptic_head(
    supernet: Supernet, datasets: Datasets, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = list(evaluation_batches(datasets.nas_val, Transform(None, None, flip=0), batch_size=4, divisor=32))
    given = MergeRules(score_threshold=0.25, stuff_area=64)
    measure = PanopticEvaluator(supernet, Validation(datasets.nas_val, batches, given), recalibrate_with=batches)
    used: list[MergeRules] = []
    merged = evaluator.map_of
    monkeypatch.setattr(
        evaluator, "map_of", lambda found, categories, rules: used.append(rules) or merged(found, categories, rules)
    )
    for name in ("auto-panoptic", "sognet", "panoptic-fpn"):
        found = measure.evaluate(architecture_of(name, supernet.space, 0), lambda *_: None)
        assert 0 <= found["pq"] <= 100
    images = len(datasets.nas_val)
    assert used == [given] * images + [MergeRules("score", 0.6, 0.3, 64)] * images + [given] * images


def test_a_journal_gives_the_designs_back(supernet: Supernet, tmp_path: Path) -> None:
    space = supernet.space

    def evaluate(architecture: Architecture) -> dict[str, float]:
        return {"pq": float(len(architecture)), "gflops": float(architecture["pyramid.width"])}  # type: ignore[arg-type]

    search = Search(
        space, NSGA2(population=6), evaluate, objectives={"pq": "max", "gflops": "min"}, seed=0,
        journal=tmp_path / "search.jsonl", initial=beginnings(space),
    )  # fmt: skip
    found = search.run(trials=30)
    again = Result.from_journal(tmp_path / "search.jsonl")
    assert again.space == space
    assert [trial.architecture for trial in again.history] == [trial.architecture for trial in found.history]
    assert all(trial.architecture in space for trial in again.history)
    assert len({tuple(names(trial.architecture).values()) for trial in again.history}) > 5


def test_a_found_network_is_read_again_with_its_rules_and_drawn_with_its_parts(
    supernet: Supernet, datasets: Datasets, tmp_path: Path
) -> None:
    architecture = architecture_of("sognet", supernet.space, 0)
    network: Any = supernet.subnet(architecture)
    save_network(network, architecture, tmp_path, Usage(datasets.train.categories, rules=MergeRules(stuff_area=7)))
    again = load_network(tmp_path)
    assert again.config == CONFIG
    assert again.panoptic is not None
    assert again.graph is again.foreground_to_background is None
    assert all(torch.equal(one, again.state_dict()[name]) for name, one in network.state_dict().items())
    assert Usage.load(tmp_path).rules == MergeRules("score", 0.6, 0.3, 7)
    outline = Outline.of(network, architecture)
    assert outline.components == {"panoptic head": "sognet"}
    assert outline.scored == "3 stuff and 3 thing classes"
    assert [layer.operator for layer in outline.mask] == ["conv3"]
    plain = architecture_of("auto-panoptic", supernet.space, 0)
    assert Outline.of(supernet.subnet(plain), plain).components == {}  # type: ignore[arg-type]
