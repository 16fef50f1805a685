"""Graph reasoning in a network: what it gives, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from autopanoptic.panoptic.configs.models import MODELS
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.graph.reasoning import GraphReasoning
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.shapes import FeatureShape

PUBLISHED = {f"p{level}": FeatureShape(128, 2**level) for level in range(2, 6)}


@pytest.fixture
def own(config: PanopticConfig) -> PanopticConfig:
    model = MODELS["bgrnet"]
    return PanopticConfig.from_json({**config.to_json(), **model.parts, **model.network})


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_its_parameters_are_those_of_the_description() -> None:
    with torch.device("meta"):
        graph = GraphReasoning(PanopticConfig.coco(), PUBLISHED)
    assert graph.out_channels == 1024 + 128
    assert count(graph.things) == (1024 + 1) * 128 + (128 + 1) * 128
    assert count(graph.stuff) == (512 + 1) * 128 + (128 + 1) * 256
    assert count(graph.classes) == (512 + 256 + 1) * 133


def test_it_gives_new_features_and_new_logits(own: PanopticConfig) -> None:
    background = {level: FeatureShape(24, shape.stride) for level, shape in PUBLISHED.items()}
    graph = GraphReasoning(own, background).eval()
    regions = [torch.randn(4, own.box_hidden), torch.zeros(0, own.box_hidden)]
    found, logits = graph(regions, torch.randn(2, 96, 8, 8), torch.randn(2, 5, 8, 8))
    assert [tuple(one.shape) for one in found] == [(4, own.box_hidden + 128), (0, own.box_hidden + 128)]
    assert logits.shape == (2, 5, 8, 8)
    torch.testing.assert_close(found[0][:, : own.box_hidden], regions[0])


def test_both_scores_of_pixels_are_trained_and_the_new_ones_are_read(
    own: PanopticConfig, make_batch: Callable[..., dict[str, Any]]
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = PanopticNetwork(own)
    batch = make_batch([(96, 96), (80, 70)], [3, 2])
    losses = network.losses(**batch, generator=torch.Generator().manual_seed(0))
    assert {"segmentation", "first_segmentation"} <= set(losses)
    weights = own.loss_weights()
    assert weights["first_segmentation"] == weights["segmentation"] == 0.25 * own.pixel_loss_factor
    network.eval()
    assert network.graph is not None
    with torch.no_grad():
        network.graph.classes.weight.zero_()
        network.graph.classes.bias.copy_(torch.tensor([0.0, 9, 0, 0, 0]))  # type: ignore[union-attr]
    found = network.predict(batch["images"], batch["sizes"], [(96, 96), (160, 140)])
    assert all((one.semantic == 2).all() for one in found)
    assert network(batch["images"]).segmentation[:, 1].eq(9).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"semantic_head": "panoptic-fpn"},
            "'graph' needs scores of every class, which the semantic head 'panoptic-fpn'",
        ),
        ({"semantic_head": "searched"}, "the fusion 'graph' needs features of pixels side by side, which"),
        ({"num_stuff": 0}, "the semantic head 'upsnet' needs classes of things and of stuff, and the data have"),
        ({"panoptic_head": "upsnet", "semantic_head": "searched"}, "the panoptic head 'upsnet' needs scores of every"),
    ],
)
def test_partners_that_do_not_fit_are_refused(own: PanopticConfig, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(own, **changes)
