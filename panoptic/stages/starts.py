"""The weights with which the compared networks begin, by one rule for all of them.

- ``init: scratch`` draws them from the seed; a fixed backbone has its pretrained weights.
- ``init: supernet`` takes each path's weights in the run's trained supernet.
- ``init: pretrained`` draws all but the backbone, which has been trained to classify images, each network's by itself.
- ``init: FILE`` takes them from a file. For a search it must hold the weights of every option, because the searched
  network is not known before: a state dict of a whole supernet as `save_weights` writes it, such as
  ``supernet/supernet.pt`` of another run. For one given architecture it may hold that network's alone, such as
  ``weights.pt`` in the folder of a network. Where the classes are others, all but the layers of the classes are taken.
- ``init: FILE`` with ``init_part: backbone`` takes the backbone alone, from a network of any classes and heads,
  or from a state dict of the backbone, with or without ``backbone.`` before its names. What is no backbone is drawn
  from the seed. The file may hold the backbone of one architecture, as `pretrain` writes it; then that architecture
  alone can be trained from it, as `retrain` does, and not the networks of a search.

A checkpoint that has its state dict under ``state_dict`` or ``model`` is read too, and one under the names of
Auto-Panoptic's published code (`autopanoptic.panoptic.search.reference_weights`). Files are read by
``weights_only=True``.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch

from autopanoptic.nas import Architecture, Supernet
from autopanoptic.nas.supernet.state import seeded
from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.weights import difference, load_weights
from autopanoptic.panoptic.results.backbones import BACKBONE, load_backbone, pretraining_folder
from autopanoptic.panoptic.results.saved import new_network
from autopanoptic.panoptic.results.starting import Wanted, starting_weights
from autopanoptic.panoptic.settings.settings import STARTS, Settings
from autopanoptic.panoptic.stages.networks import build, network_config, pretrained, read_from

_NAMED = dict(zip(STARTS, ("from scratch", "from the supernet's weights", "from pretrained backbones"), strict=True))


def started(
    settings: Settings,
    config: PanopticConfig,
    architecture: Architecture,
    supernet: Path,
    categories: Categories | None = None,
) -> PanopticNetwork:
    """Return an architecture's network as its training begins.

    Args:
        settings: Of the run.
        config: Of the networks that are retrained.
        architecture: Of the network.
        supernet: The file of the run's trained supernet, ``supernet/supernet.pt``; the run's pretrained backbones are
            found from there.
        categories: Of the data, for weights of other classes; None where there are none.

    Raises:
        FileNotFoundError: If a file of weights is missing.
        ValueError: If it is damaged, or holds the weights of another network.
    """
    if settings.init in ("scratch", "pretrained"):
        with seeded(settings.seed):
            drawn = new_network(config, architecture)
        if settings.init == "pretrained":
            load_backbone(drawn.backbone, pretraining_folder(supernet.parents[1], architecture) / BACKBONE)
        return pretrained(drawn, settings.backbone(retrained=True))
    network = build(config, settings.seed)
    if settings.init == "supernet":
        with read_from(supernet):
            load_weights(network, supernet)
        return _path_of(network, architecture)
    found = _path_of(network, architecture)
    wanted = _wanted(settings, network, found, architecture, categories)
    given = starting_weights(Path(settings.init), wanted)
    chosen = found if given.alone else network
    (chosen.backbone if wanted.backbone else chosen).load_state_dict(given.state)
    return found if given.alone else _path_of(network, architecture)


def _path_of(network: PanopticNetwork, architecture: Architecture) -> PanopticNetwork:
    return cast("PanopticNetwork", Supernet(network).subnet(architecture))


def check_start(
    settings: Settings, categories: Categories, architecture: Architecture | None = None
) -> tuple[str, ...]:
    """Refuse weights that the compared networks cannot begin with, before anything is trained.

    Args:
        settings: Of the run.
        categories: Of the data.
        architecture: The only one that is trained; None where a search is to find it.

    Returns:
        The layers that a file of weights has for other classes, and that are drawn from the seed instead.

    Raises:
        FileNotFoundError: If the file of weights is missing.
        ValueError: If it is damaged or does not hold the weights of these networks, or these are shaped otherwise than
            the supernet that they are to start from; names what differs.
    """
    if settings.init in ("scratch", "pretrained"):
        return ()
    config = network_config(settings, categories, searched=True)
    with torch.device("meta"):
        network = PanopticNetwork(config)
        supernet = PanopticNetwork(network_config(settings, categories))
    if settings.init != "supernet":
        alone = None if architecture is None else _on_meta(config, architecture)
        wanted = _wanted(settings, network, alone, architecture, categories)
        return starting_weights(Path(settings.init), wanted).left_out
    problem = difference(network.state_dict(), supernet.state_dict())
    if problem:
        raise ValueError(
            "init: the networks that are retrained cannot start from the supernet's weights, for retrained_network "
            f"shapes them otherwise: {problem}. Take init: scratch, or leave out what differs in retrained_network"
        )
    return ()


def _wanted(
    settings: Settings,
    supernet: PanopticNetwork,
    network: PanopticNetwork | None,
    architecture: Architecture | None,
    categories: Categories | None,
) -> Wanted:
    return Wanted(
        supernet, network, architecture, categories, backbone=settings.init_part == "backbone",
        normalization=settings.data.normalization,
    )  # fmt: skip


def _on_meta(config: PanopticConfig, architecture: Architecture) -> PanopticNetwork:
    try:
        with torch.device("meta"):
            return new_network(config, architecture)
    except ValueError as error:
        raise ValueError(f"the architecture is none of the networks that are retrained: {error}") from error


def start_of(settings: Settings) -> str:
    """Say what the compared networks begin with, for a title."""
    if settings.init in STARTS:
        return _NAMED[settings.init]
    return f"from {'the backbone in ' if settings.init_part == 'backbone' else ''}{Path(settings.init).name}"
