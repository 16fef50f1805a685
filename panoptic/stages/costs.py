"""What the networks of a run cost."""

from __future__ import annotations

from collections.abc import Callable

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.search.costs import costs_of, latency_of
from autopanoptic.panoptic.stages.machine import device_of
from autopanoptic.panoptic.stages.networks import network_config
from autopanoptic.panoptic.stages.settings import Settings


def costs(settings: Settings, datasets: Datasets) -> dict[str, Callable[[Architecture], float]]:
    """Return the costs of the networks that are retrained, for an image of the size of nas_val's first."""
    config = network_config(settings, datasets.train.categories, searched=True)
    divisor = config.image_divisor
    height, width = settings.transform().size(*datasets.nas_val.sizes[0].tolist())
    size = -(-height // divisor) * divisor, -(-width // divisor) * divisor
    found = dict(costs_of(config, *size))
    if settings.search.cost == "latency_ms":
        found["latency_ms"] = latency_of(config, *size, device_of(settings), settings.machine.precision)
    return found
