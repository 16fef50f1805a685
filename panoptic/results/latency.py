"""How long a network takes for an image."""

from __future__ import annotations

import torch

from autopanoptic.nas.costs.latency import measure
from autopanoptic.nas.supernet.state import evaluating
from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.loading.batch import Batch
from autopanoptic.panoptic.model.designs.active import rules_of
from autopanoptic.panoptic.model.merge.predicted import map_of
from autopanoptic.panoptic.model.merge.rules import MergeRules
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.search.evaluator import predict


def latency(
    network: PanopticNetwork, image: Batch, categories: Categories, rules: MergeRules, precision: str = "32-true"
) -> float:
    """Return the median milliseconds from a batch of one image to its panoptic map.

    Things and stuff are merged, or a panoptic head of the network's own makes the map of its logits.

    Args:
        network: On the device where it shall run.
        image: The batch.
        categories: What the network's labels stand for.
        rules: How the map is made, where the network's panoptic head has no rules of its own.
        precision: In which the network computes.
    """
    device = next(network.parameters()).device
    image = image.to(device)

    own = rules_of(network, rules)

    def run() -> None:
        for found in predict(network, image, precision):
            map_of(found, categories, own)

    with evaluating(network), torch.inference_mode():
        return measure(run, device=device, warmup=3, repeats=11).median
