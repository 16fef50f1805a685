"""The networks of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from autopanoptic.nas import Supernet
from autopanoptic.nas.supernet.state import seeded
from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.config_checks import SEARCHED_BACKBONE
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.results.pretrained import load_pretrained, with_known_backbone
from autopanoptic.panoptic.results.usage import Usage
from autopanoptic.panoptic.settings.settings import Settings

_KINDS = (1, 1), (1, 0), (0, 1)
"""Numbers of thing and stuff classes: of both kinds, or of one."""


def network_config(settings: Settings, categories: Categories, *, searched: bool = False) -> PanopticConfig:
    """Return the network's shapes for a data set's categories.

    Args:
        settings: Of the run.
        categories: Of the data.
        searched: Whether for the networks that are retrained, which the paper makes wider than the supernet.
    """
    return with_known_backbone(settings.network_for(len(categories.things), len(categories.stuff), retrained=searched))


def require_for_any_classes(
    settings: Settings, check: Callable[[PanopticConfig], object], *, searched: bool = False
) -> None:
    """Let a check refuse what fits none of the networks that a run may have, before its data are there.

    Scenes have things and stuff; data that are given may lack one of them.

    Args:
        settings: Of the run.
        check: Raises a ValueError for a network's config where something does not fit it.
        searched: As of `network_config`.

    Raises:
        ValueError: As of the check, for things and stuff.
    """
    first: ValueError | None = None
    for things, stuff in _KINDS[:1] if settings.data.path is None else _KINDS:
        try:
            check(with_known_backbone(settings.network_for(things, stuff, retrained=searched)))
        except ValueError as error:
            first = first or error
        else:
            return
    assert first is not None
    raise first


def usage_of(settings: Settings, categories: Categories) -> Usage:
    """Return how the networks of a run are used, for data of these categories."""
    data = settings.data
    return Usage(categories, data.short_side, data.long_side, settings.merge, data.normalization)


def build(config: PanopticConfig, seed: int) -> PanopticNetwork:
    """Build a supernet whose weights depend on the seed alone."""
    with seeded(seed):
        return PanopticNetwork(config)


def pretrained(network: PanopticNetwork, source: str) -> PanopticNetwork:
    """Return a network whose fixed backbone has its pretrained weights.

    Args:
        network: It is changed in place.
        source: What the settings say of the backbone: ``search`` for none, a name, or a file.

    Raises:
        FileNotFoundError: If there are no such weights; says how to get them.
        ValueError: If they are damaged or another backbone's.
    """
    if source != SEARCHED_BACKBONE:
        load_pretrained(network.backbone, source)
    return network


def network_of(supernet: Supernet) -> PanopticNetwork:
    """Return the supernet's network under its own type."""
    return cast("PanopticNetwork", supernet.module)


@contextmanager
def read_from(path: Path) -> Iterator[None]:
    """Say of files that a training has left, and that are damaged, how to get them again."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{error}. Delete {path} to have it made again from the training's last checkpoint") from error
