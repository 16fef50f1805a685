"""Costs, warm start, files and candidates of the elastic space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from autopanoptic.nas import Architecture, FlopCount, LayerCosts, ParameterCount, Supernet
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.data.loading.batches import evaluation_batches
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.merge.rules import MergeRules
from autopanoptic.panoptic.model.operators.deform import FLOP_FORMULAS
from autopanoptic.panoptic.model.operators.options import BLOCK_OPTIONS
from autopanoptic.panoptic.results.saved import load_network, save_network
from autopanoptic.panoptic.search.costs import costs_of
from autopanoptic.panoptic.search.evaluator import PanopticEvaluator, Validation
from autopanoptic.panoptic.search.inflate import inflate
from autopanoptic.panoptic.search.strategies import family, hand_made
from autopanoptic.panoptic.stages.networks import build

CONFIG = replace(
    PanopticConfig.scenes(3, 3),
    space="elastic",
    elastic_blocks=BLOCK_OPTIONS,
    detections_per_image=8,
    rpn_post_nms_test=12,
)


@pytest.fixture(scope="module")
def supernet() -> Supernet:
    return Supernet(build(CONFIG, seed=0))


def outputs(supernet: Supernet, architecture: Architecture) -> Tensor:
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(5))
    supernet.activate(architecture)
    supernet.module.eval()
    with torch.no_grad():
        out = supernet.module(images)
    return torch.cat((out.segmentation.flatten(), out.mask_logits.flatten()))


def test_costs_are_those_of_whole_networks_after_some_dozens_of_passes(supernet: Supernet) -> None:
    costs, rng = costs_of(CONFIG, 64, 64), np.random.default_rng(1)
    flops = FlopCount(supernet, torch.zeros(1, 3, 64, 64), unit=1e9, formulas=FLOP_FORMULAS)
    parameters = ParameterCount(supernet, unit=1e6)
    gflops = {
        architecture: costs["gflops"](architecture) for architecture in (supernet.space.sample(rng) for _ in range(300))
    }
    counted = costs["gflops"]
    assert isinstance(counted, LayerCosts)
    assert counted.passes < 80
    for architecture in (hand_made(supernet.space), *list(gflops)[-8:]):
        assert counted(architecture) == flops(architecture)
        assert costs["mparams"](architecture) == parameters(architecture)


def test_the_family_scales_all_sizes_together(supernet: Supernet) -> None:
    members = family(supernet.space)
    assert len(members) == 6
    assert hand_made(supernet.space) in members
    sizes = [choice.label for choice in supernet.space.choices if choice.label.endswith((".width", ".depth"))]
    for smaller, larger in pairwise(members):
        assert all(smaller[label] <= larger[label] for label in sizes)  # type: ignore[operator]
    for choice in supernet.space.choices:
        if choice.label in sizes:
            assert (members[0][choice.label], members[-1][choice.label]) == (choice.options[0], choice.options[-1])
        else:
            assert {member.get(choice.label, choice.options[0]) for member in members} == {choice.options[0]}


def test_the_hand_made_network_has_the_sizes_of_the_fixed_one(supernet: Supernet) -> None:
    made, config = hand_made(supernet.space), CONFIG
    stages = [f"backbone.c{level}" for level in range(2, 6)]
    assert tuple(made[f"{stage}.width"] for stage in stages) == config.stage_widths
    assert tuple(made[f"{stage}.depth"] for stage in stages) == config.stage_depths
    assert (made["pyramid.width"], made["pyramid.depth"]) == (config.pyramid_channels, 0)
    assert made["segmentation.width"] == config.segmentation_channels
    assert made["segmentation.depth"] == config.segmentation_layers
    assert (made["mask.width"], made["mask.depth"]) == (config.pyramid_channels, config.mask_layers)


def test_a_published_space_has_one_network_made_by_hand() -> None:
    space = Supernet(build(PanopticConfig.scenes(3, 3), seed=0)).space
    assert family(space) == [hand_made(space)]


def test_the_trained_path_is_copied_into_its_other_options() -> None:
    supernet = Supernet(build(CONFIG, seed=0))
    made = hand_made(supernet.space)
    supernet.activate(made)
    supernet.module.train()
    with torch.no_grad():
        for _ in range(60):
            supernet.module.backbone(torch.randn(2, 3, 64, 64))
    untouched = "mask.2"
    (before,) = (
        m.dw5.depthwise.weight.clone() for m in supernet.module.modules() if getattr(m, "label", 0) == untouched
    )
    inflate(supernet.module, made)  # type: ignore[arg-type]
    expected = outputs(supernet, made)
    blocks = {label: "shuffle7" for label in made if label.startswith("backbone.") and made[label] == "shuffle3"}
    layers = {label: "df5" for label in made if made[label] == "dw3"}
    # The second block of C3 has stride 1.
    for changes, bar in ((blocks, 1e-5), (layers, 1e-5), ({"backbone.c3.1": "xception3"}, 1e-4)):
        found = outputs(supernet, supernet.space.canonical({**made, **changes}))
        assert (found - expected).norm() / expected.norm() < bar
    (after,) = (m.dw5.depthwise.weight for m in supernet.module.modules() if getattr(m, "label", 0) == untouched)
    assert torch.equal(before, after)


@pytest.mark.parametrize(("member", "depth"), [(0, 1), (-1, 3)])
def test_each_depth_begins_with_the_trained_score(member: int, depth: int) -> None:
    supernet = Supernet(build(CONFIG, seed=0))
    scores: Any = supernet.module.segmentation.score  # type: ignore[union-attr]
    drawn = [score.weight.detach().clone() for score in scores.blocks]
    assert not any(torch.equal(one, drawn[0]) for one in drawn[1:])
    made = family(supernet.space)[member]
    assert made["segmentation.depth"] == depth
    inflate(supernet.module, made)  # type: ignore[arg-type]
    for score in scores.blocks:
        assert torch.equal(score.weight, drawn[depth - 1])


def test_a_network_is_saved_and_loaded(supernet: Supernet, tmp_path: Path) -> None:
    architecture = supernet.space.sample(np.random.default_rng(3))
    network: Any = supernet.subnet(architecture)
    save_network(network, architecture, tmp_path / "network")
    again = load_network(tmp_path / "network").eval()
    assert again.config == CONFIG
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for a, b in zip(again(images).objectness, network.eval()(images).objectness, strict=True):
            assert torch.equal(a, b)


def test_a_candidate_is_slow_with_its_own_statistics(supernet: Supernet, datasets: Datasets) -> None:
    batches = list(evaluation_batches(datasets.nas_val, Transform(None, None, flip=0), batch_size=2, divisor=32))
    validation = Validation(datasets.nas_val, batches, MergeRules(stuff_area=64))
    evaluator = PanopticEvaluator(supernet, validation, recalibrate_with=batches)
    architecture = family(supernet.space)[0]
    report: Callable[..., None] = lambda *_: None  # noqa: E731
    first = evaluator.evaluate(architecture, report)
    other = evaluator.evaluate(family(supernet.space)[-1], report)
    assert 0 <= first["pq"] <= 100
    assert 0 <= other["pq"] <= 100
    assert evaluator.evaluate(architecture, report) == first
