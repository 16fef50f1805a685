"""Networks whose components are choices: what is active, what is shared, what each path learns by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from autopanoptic.nas import Architecture, Supernet
from autopanoptic.panoptic.configs.models import MODELS
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.designs.active import loss_weights, rules_of
from autopanoptic.panoptic.model.designs.names import design_of
from autopanoptic.panoptic.model.merge.rules import MergeRules
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.parts.fitting import component_problems
from autopanoptic.panoptic.model.parts.kinds import PIXEL_FEATURES, MaskHead
from autopanoptic.panoptic.model.parts.registry import own_parts, register
from autopanoptic.panoptic.model.weights import difference, with_own_classes
from autopanoptic.panoptic.search.designs import architecture_of
from tests.gradients import without_gradient

ELASTIC = replace(PanopticConfig.scenes(3, 2), space="published")
CONFIGS = {"elastic": ELASTIC, "fixed": replace(ELASTIC, sizes="fixed")}


@cache
def supernet_of(sizes: str) -> Supernet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Supernet(PanopticNetwork(CONFIGS[sizes]))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("sizes", CONFIGS)
def test_random_networks_fit_and_every_component_comes_up(sizes: str) -> None:
    space, rng, config = supernet_of(sizes).space, np.random.default_rng(0), CONFIGS[sizes]
    drawn = [space.sample(rng) for _ in range(200)]
    drawn += [space.mutate(one, rng, rate=0.2) for one in drawn[:100]]
    drawn += [space.crossover(*pair, rng) for pair in zip(drawn[:100], drawn[100:200], strict=True)]
    counts = Counter(item for one in drawn for item in design_of(config, one).items())
    for one in drawn:
        alone = replace(config, **design_of(config, one), space="elastic" if sizes == "elastic" else "auto-panoptic")
        assert list(component_problems(alone)) == []
    assert all(counts["semantic_head", head] > 90 for head in config.semantic_heads)
    assert all(counts["fusion", name] > 40 for name in config.fusions)
    assert all(counts["panoptic_head", name] > 20 for name in config.panoptic_heads)


@pytest.mark.parametrize("count", [8, pytest.param(400, marks=pytest.mark.slow)])
def test_every_drawn_network_is_built(count: int) -> None:
    rng = np.random.default_rng(1)
    with torch.device("meta"):
        supernet = Supernet(PanopticNetwork(CONFIGS["fixed"]))
        for _ in range(count):
            architecture = supernet.activate(supernet.space.sample(rng))
            network = supernet.subnet(architecture, inherit=False)
            shapes = {name: tensor.shape for name, tensor in network.named_parameters()}
            active = {
                f"{path}.{name}": tensor.shape
                for path, module in supernet.named_active_modules()
                for name, tensor in module.named_parameters(recurse=False)
            }
            assert shapes == active


LOSSES = {"objectness", "rpn_box", "classification", "box", "mask", "segmentation", "total"}
OWN = {
    "auto-panoptic": set[str](),
    "panoptic-fpn": set[str](),
    "upsnet": {"roi_segmentation", "panoptic"},
    "sognet": {"roi_segmentation", "panoptic", "relation"},
    "bgrnet": {"roi_segmentation", "first_segmentation", "first_roi_segmentation"},
}


@pytest.mark.parametrize("name", MODELS)
def test_a_path_has_its_own_losses_weights_and_gradients(name: str, make_batch: Callable[..., dict[str, Any]]) -> None:
    supernet = supernet_of("fixed")
    network: Any = supernet.module
    network.zero_grad(set_to_none=True)
    supernet.activate(architecture_of(name, supernet.space))
    losses = network.losses(**make_batch([(96, 96), (80, 70)], [3, 2]), generator=seeded(0))
    assert set(losses) == LOSSES | OWN[name]
    assert all(loss.isfinite() for loss in losses.values())
    weights = {**network.config.loss_weights(), **published(name).loss_weights()}
    if name == "auto-panoptic":  # whose weight is the config's
        weights = network.config.loss_weights()
    total = sum(weights.get(loss, 1.0) * value for loss, value in losses.items() if loss != "total")
    torch.testing.assert_close(losses["total"], total)
    losses["total"].backward()
    assert without_gradient(supernet) == []
    active = {id(p) for module in supernet.active_modules() for p in module.parameters(recurse=False)}
    assert all(p.grad is None for p in network.parameters() if id(p) not in active)
    network.zero_grad(set_to_none=True)


def published(name: str) -> PanopticConfig:
    model = MODELS[name]
    values = {**CONFIGS["fixed"].to_json(), **model.parts, **model.network, "space": "auto-panoptic"}
    return PanopticConfig.from_json(values)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_taken_from_the_supernet_is_the_model(name: str, make_batch: Callable[..., dict[str, Any]]) -> None:
    supernet = supernet_of("fixed")
    architecture = architecture_of(name, supernet.space)
    subnet: Any = supernet.subnet(architecture)
    if name == "auto-panoptic":  # whose loss weighs as the config says
        config = replace(published(name), **{"segmentation_loss_weight": CONFIGS["fixed"].segmentation_loss_weight})
    else:
        config = published(name)
    alone = Supernet(PanopticNetwork(config))
    own = {label: option for label, option in architecture.items() if label in {c.label for c in alone.space.choices}}
    model: Any = alone.subnet(own)
    model.load_state_dict(subnet.state_dict())
    batch = make_batch([(96, 96), (80, 70)], [3, 2])
    found, wanted = (one.train().losses(**batch, generator=seeded(0)) for one in (subnet, model))
    assert all(torch.equal(found[loss], wanted[loss]) for loss in wanted)
    # A model leaves out what weighs nothing in it, and a head that other designs train by it does not.
    assert {loss_weights(subnet)[loss] for loss in found.keys() - wanted.keys()} <= {0.0}
    for one in (subnet, model):
        one.load_state_dict(supernet.subnet(architecture).state_dict())  # training has moved the statistics
        one.roi_heads.box_predictor.classes.bias.data[1] = 3
    seen = batch["images"], batch["sizes"], [(96, 96), (160, 120)]
    for one, other in zip(*(each.eval().predict(*seen) for each in (subnet, model)), strict=True):
        assert len(one.scores)
        for part in ("boxes", "scores", "labels", "masks", "semantic"):
            assert torch.equal(getattr(one, part), getattr(other, part))
        assert (one.panoptic is None) == (other.panoptic is None)
        if one.panoptic is not None:
            assert torch.equal(one.panoptic.scores, other.panoptic.scores)
            assert torch.equal(one.panoptic.masks, other.panoptic.masks)
    assert rules_of(subnet, MergeRules()) == replace(MergeRules(), **MODELS[name].merge)


def test_the_weights_and_rules_of_a_design_are_those_of_the_active_components() -> None:
    supernet = supernet_of("fixed")
    network: Any = supernet.module
    mixed = architecture_of("sognet", supernet.space)
    mixed = supernet.activate(
        {**mixed, "fusion.upsnet": "graph", "mask_head": "searched", "mask.0": "dw3", "mask.1": "dw3"}
    )
    factor = network.config.pixel_loss_factor
    assert factor > 1
    assert loss_weights(network) == {
        "segmentation": 0.25 * factor, "first_segmentation": 0.25 * factor, "panoptic": 0.1 * factor, "relation": 1.0,
        "roi_segmentation": 0.0, "first_roi_segmentation": 0.0,
    }  # fmt: skip
    given = MergeRules(score_threshold=0.4, stuff_area=7)
    assert rules_of(network, given) == MergeRules("score", 0.6, 0.3, 7)
    supernet.activate({**mixed, "panoptic_head.upsnet": "merge"})
    assert rules_of(network, given) == given


def test_what_designs_have_in_common_they_share() -> None:
    supernet = supernet_of("fixed")
    seen: dict[str, set[int]] = {}
    for name in MODELS:
        supernet.activate(architecture_of(name, supernet.space))
        seen[name] = {id(p) for module in supernet.active_modules() for p in module.parameters(recurse=False)}
    network: Any = supernet.module
    common = set.intersection(*seen.values())
    parts = (network.neck, network.rpn, network.roi_heads.box_head, network.roi_heads.mask_predictor)
    assert {id(p) for part in parts for p in part.parameters()} <= common
    predictor = network.roi_heads.box_predictor
    usual, with_graph = (predictor["upsnet"][fusion] for fusion in ("none", "graph"))
    assert usual is predictor["searched"]["attention"] is predictor["panoptic-fpn"]["none"]
    assert with_graph.classes.in_features > usual.classes.in_features


def test_a_model_that_the_space_has_not_is_named() -> None:
    with torch.device("meta"):
        space = Supernet(PanopticNetwork(replace(ELASTIC, fusions=("attention", "none")))).space
    with pytest.raises(
        ValueError, match=r"no bgrnet: its fusion.upsnet is graph, and here it is one of attention, none"
    ):
        architecture_of("bgrnet", space)
    with pytest.raises(ValueError, match="components are no choices"):
        architecture_of("upsnet", Supernet(PanopticNetwork(PanopticConfig.scenes(3, 2))).space)


def test_a_model_is_scaled_with_its_widths() -> None:
    space = supernet_of("elastic").space
    small, large = (architecture_of("upsnet", space, share) for share in (0, 1))
    assert (small["pyramid.width"], large["pyramid.width"]) == (36, 96)
    assert isinstance(small, Architecture)
    assert small in space
    assert architecture_of("upsnet", space, 0, **{"pyramid.width": 48})["pyramid.width"] == 48


def test_of_a_supernet_of_other_classes_all_is_taken_but_the_layers_of_the_classes() -> None:
    with torch.device("meta"):
        own, found = (
            PanopticNetwork(replace(ELASTIC, num_things=things, num_stuff=stuff)).state_dict()
            for things, stuff in ((3, 2), (4, 3))
        )
    state, left_out = with_own_classes(own, found)
    assert difference(own, state) is None
    scores = {f"segmentation.searched.score.blocks.{index}" for index in range(3)}  # one for each depth
    assert {*scores, "segmentation.upsnet.classes", "graph.upsnet.graph.classes"} <= {*left_out}
    kept = [name for name in own if state[name] is found.get(name)]
    assert len(kept) > 0.8 * len(own)


@pytest.mark.parametrize(("things", "stuff"), [(3, 0), (0, 2)])
def test_data_without_one_kind_of_classes_are_refused(things: int, stuff: int) -> None:
    with pytest.raises(
        ValueError, match=rf"needs classes of things and of stuff, .* {things} of things and {stuff} of"
    ):
        replace(ELASTIC, num_things=things, num_stuff=stuff)


def test_a_mask_head_that_one_semantic_head_does_not_serve_is_refused() -> None:
    with own_parts():
        register(MaskHead("pixelwise", lambda *_: torch.nn.Identity(), elastic=True, needs=(PIXEL_FEATURES,)))
        with pytest.raises(
            ValueError, match=r"mask_heads: .*'pixelwise' needs features of pixels side by side, but a "
        ):
            replace(ELASTIC, mask_heads=("plain", "pixelwise"))
        replace(ELASTIC, mask_heads=("plain", "pixelwise"), semantic_heads=("upsnet",))
