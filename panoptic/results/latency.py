"""How long a network takes for an image."""

from __future__ import annotations

import torch

from autopanoptic.nas.costs.latency import measure
from autopanoptic.nas.supernet.state import evaluating
from autopanoptic.panoptic.data.loading.batch import Batch
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.search.evaluator import predict


def latency(network: PanopticNetwork, image: Batch, precision: str = "32-true") -> float:
    """Return the median milliseconds that a network needs to find everything in a batch of one image."""
    device = next(network.parameters()).device
    image = image.to(device)
    with evaluating(network), torch.inference_mode():
        return measure(lambda: predict(network, image, precision), device=device, warmup=3, repeats=11).median
