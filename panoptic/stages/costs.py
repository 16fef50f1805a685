"""What the networks of a run cost."""

from __future__ import annotations

from collections.abc import Callable

from autopanoptic.nas import Architecture, SearchSpace
from autopanoptic.nas.costs.table import CostTable
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.search.costs import costs_of, latency_of
from autopanoptic.panoptic.search.strategies import family, hand_made, largest_of_each
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.machine import device_of
from autopanoptic.panoptic.stages.networks import network_config

HEADROOM = 1.1
"""Share of what the family's dearest network costs that others may, so that it can have other operators as well."""


def costs(settings: Settings, datasets: Datasets) -> dict[str, Callable[[Architecture], float]]:
    """Return the costs of the networks that are retrained, for an image of the size of nas_val's first."""
    config = network_config(settings, datasets.train.categories, searched=True)
    size = counted_size(settings, datasets, config.image_divisor)
    found = dict(costs_of(config, *size))
    if settings.search.cost == "latency_ms":
        found["latency_ms"] = latency_of(config, *size, device_of(settings), settings.machine.precision)
    return found


def counted_size(settings: Settings, datasets: Datasets, divisor: int) -> tuple[int, int]:
    """Return height and width of nas_val's first image as a network sees it, in pixels, by which costs are counted."""
    height, width = settings.transform().size(*datasets.nas_val.sizes[0].tolist())
    return -(-height // divisor) * divisor, -(-width // divisor) * divisor


def budget(settings: Settings, datasets: Datasets, space: SearchSpace) -> float | None:
    """Return the most GFLOPs that a candidate may have by the settings; None where they set no limit.

    Args:
        settings: Of the run.
        datasets: Of the run.
        space: All that is searched, without limits.
    """
    asked = settings.search
    members = family(space)
    if asked.max_gflops is not None or asked.max_share is None or len(members) == 1:
        return asked.max_gflops
    gflops = costs(settings, datasets)["gflops"]
    wanted = asked.max_share * gflops(hand_made(space))
    return min(map(gflops, members), key=lambda one: abs(one - wanted))


def limits(settings: Settings, datasets: Datasets, space: SearchSpace) -> dict[str, tuple[float | None, float | None]]:
    """Return the bounds on the costs of candidates; arguments as of `budget`.

    Where the settings have none, that is a tenth more than the dearest network costs that one would make by hand:
    operators of large networks multiply to several times that, where nothing is left to compare with.
    """
    most = budget(settings, datasets, space)
    return _of_family(settings, datasets, space) if most is None else {"gflops": (None, most)}


def within_family(settings: Settings, datasets: Datasets, space: SearchSpace) -> SearchSpace:
    """Return the part of a space about as dear as the hand-made family at most, in which a supernet is trained."""
    return CostTable(costs(settings, datasets), _of_family(settings, datasets, space)).constrained(space)


def _of_family(
    settings: Settings, datasets: Datasets, space: SearchSpace
) -> dict[str, tuple[float | None, float | None]]:
    members = list(dict.fromkeys([*family(space), *largest_of_each(space)]))
    if len(members) == 1:
        return {}
    gflops = costs(settings, datasets)["gflops"]
    return {"gflops": (None, HEADROOM * max(map(gflops, members)))}
