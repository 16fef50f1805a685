"""Losses of which the config knows nothing: what they weigh, and how they are put together from parts of a batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from autopanoptic.nas import Supernet
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.designs.active import total
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.parts.kinds import LEVEL_FEATURES, STUFF_SCORES, SemanticHead
from autopanoptic.panoptic.model.parts.registry import own_parts, register
from autopanoptic.panoptic.model.semantic.searched import SegmentationHead
from autopanoptic.panoptic.model.shares import shared

GIVEN = (STUFF_SCORES, LEVEL_FEATURES)


@pytest.mark.parametrize("space", ["auto-panoptic", "elastic", "published"])
def test_a_loss_of_ones_own_weighs_as_its_head_says(space: Any) -> None:
    one = torch.ones(())
    with own_parts():
        register(SemanticHead("edged", SegmentationHead, elastic=True, gives=GIVEN, losses={"edges": 0.25}))
        config = replace(
            PanopticConfig.scenes(3, 2), space=space, semantic_head="edged", semantic_heads=("edged",),
            fusions=("attention",), panoptic_heads=("merge",),
        )  # fmt: skip
        with torch.device("meta"):
            supernet = Supernet(PanopticNetwork(config))
        supernet.activate(supernet.space.sample(np.random.default_rng(0)))
        network: Any = supernet.module
        found = total(network, {"segmentation": one, "edges": one, "first_edges": one, "depths": one})
    of_pixels = config.segmentation_loss_weight * config.pixel_loss_factor
    assert found.item() == pytest.approx(of_pixels + 2 * 0.25 + 1)


def test_a_loss_of_ones_own_is_put_together_by_the_count_of_its_name() -> None:
    loss, factors = torch.tensor(3.0), {"edges": torch.tensor(0.5), "pixels": torch.tensor(0.25)}
    found = shared({"edges": loss, "first_edges": loss, "first_segmentation": loss}, factors)
    assert {name: one.item() for name, one in found.items()} == {
        "edges": 1.5, "first_edges": 1.5, "first_segmentation": 0.75,
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"what the loss 'depths' is a mean over.*counts\(truth\).* as 'depths'"):
        shared({"depths": loss}, factors)
