"""The time of a whole prediction: from an image to its map, whichever way a network makes it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.model.merge import predicted
from autopanoptic.panoptic.model.panoptic_head import scores
from autopanoptic.panoptic.results.latency import latency
from autopanoptic.panoptic.stages.batches import batches_of
from autopanoptic.panoptic.stages.networks import build, network_config

RUNS = 14
"""Of a measurement, those that warm up among them."""


@pytest.mark.parametrize(
    ("name", "place", "step"), [("upsnet", scores, "panoptic_logits"), ("auto-panoptic", predicted, "merge")]
)
def test_the_map_is_made_within_the_time(
    name: str, place: Any, step: str, datasets: Datasets, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_config("scenes", {"network.model": name, "search.space": "auto-panoptic"})
    network = build(network_config(settings, datasets.train.categories), seed=0)
    image = next(iter(batches_of(settings, datasets.nas_val.subset([0]), network.config.image_divisor)))
    made = []
    original = getattr(place, step)

    def seen(*arguments: Any, **others: Any) -> Any:
        made.append(torch.is_inference_mode_enabled() and not network.training)
        return original(*arguments, **others)

    monkeypatch.setattr(place, step, seen)
    assert latency(network, image, datasets.val.categories, settings.merge) > 0
    assert made == [True] * RUNS
