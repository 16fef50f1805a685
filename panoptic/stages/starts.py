"""The weights with which the compared networks begin, by one rule for all of them.

- ``init: scratch`` draws them from the seed.
- ``init: supernet`` takes each path's weights in the run's trained supernet.
- ``init: pretrained`` draws all but the backbone, which has been trained to classify images, each network's by itself.
- ``init: FILE`` takes them from a file. It must hold the weights of every option, because the searched network is not
  known before: a state dict of a whole supernet as `save_weights` writes it, such as ``supernet/supernet.pt`` of
  another run.
- ``init: FILE`` with ``init_part: backbone`` takes the backbone alone, from a whole supernet of any classes and heads,
  or from a state dict of the backbone, with or without ``backbone.`` before its names. What is no backbone is drawn
  from the seed. The file may hold the backbone of one architecture, as `pretrain` writes it; then that architecture
  alone can be trained from it, as `retrain` does, and not the networks of a search.

A checkpoint that has its state dict under ``state_dict`` or ``model`` is read too. Files are read by
``weights_only=True``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from autopanoptic.nas import Architecture, Supernet
from autopanoptic.nas.supernet.state import seeded
from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.weights import difference, load_weights, read_tensors
from autopanoptic.panoptic.results.backbones import (
    BACKBONE,
    architecture_in,
    load_backbone,
    other_backbone,
    pretraining_folder,
)
from autopanoptic.panoptic.results.saved import new_network
from autopanoptic.panoptic.stages.networks import build, network_config, read_from
from autopanoptic.panoptic.stages.settings import STARTS, Settings

_BACKBONE = "backbone."
_COUNTER = "num_batches_tracked"
_NAMED = dict(zip(STARTS, ("from scratch", "from the supernet's weights", "from pretrained backbones"), strict=True))


def started(settings: Settings, config: PanopticConfig, architecture: Architecture, supernet: Path) -> PanopticNetwork:
    """Return an architecture's network as its training begins.

    Args:
        settings: Of the run.
        config: Of the networks that are retrained.
        architecture: Of the network.
        supernet: The file of the run's trained supernet, ``supernet/supernet.pt``; the run's pretrained backbones are
            found from there.

    Raises:
        FileNotFoundError: If a file of weights is missing.
        ValueError: If it is damaged, or holds the weights of another network.
    """
    if settings.init in ("scratch", "pretrained"):
        with seeded(settings.seed):
            drawn = new_network(config, architecture)
        if settings.init == "pretrained":
            load_backbone(drawn.backbone, pretraining_folder(supernet.parents[1], architecture) / BACKBONE)
        return drawn
    network = build(config, settings.seed)
    if settings.init == "supernet":
        with read_from(supernet):
            load_weights(network, supernet)
    else:
        single = _single(settings)
        if single is not None:
            _require_same(settings, single, architecture)
            found = cast("PanopticNetwork", Supernet(network).subnet(architecture))
            found.backbone.load_state_dict(_given(settings, found.backbone))
            return found
        part = _part(settings, network)
        part.load_state_dict(_given(settings, part))
    return cast("PanopticNetwork", Supernet(network).subnet(architecture))


def check_start(settings: Settings, categories: Categories, architecture: Architecture | None = None) -> None:
    """Refuse weights that the compared networks cannot begin with, before anything is trained.

    Args:
        settings: Of the run.
        categories: Of the data.
        architecture: The only one that is trained; None where a search is to find it.

    Raises:
        FileNotFoundError: If the file of weights is missing.
        ValueError: If it is damaged or does not hold the weights of these networks, or these are shaped otherwise than
            the supernet that they are to start from; names what differs.
    """
    if settings.init in ("scratch", "pretrained"):
        return
    with torch.device("meta"):
        network = PanopticNetwork(network_config(settings, categories, searched=True))
        supernet = PanopticNetwork(network_config(settings, categories))
    if settings.init != "supernet":
        single = _single(settings)
        if single is None:
            _given(settings, _part(settings, network))
        else:
            _require_same(settings, single, architecture)
            assert architecture is not None
            with torch.device("meta"):
                _given(settings, new_network(network.config, architecture).backbone)
        return
    problem = difference(network.state_dict(), supernet.state_dict())
    if problem:
        raise ValueError(
            "init: the networks that are retrained cannot start from the supernet's weights, for retrained_network "
            f"shapes them otherwise: {problem}. Take init: scratch, or leave out what differs in retrained_network"
        )


def start_of(settings: Settings) -> str:
    """Say what the compared networks begin with, for a title."""
    if settings.init in STARTS:
        return _NAMED[settings.init]
    return f"from {'the backbone in ' if settings.init_part == 'backbone' else ''}{Path(settings.init).name}"


def _single(settings: Settings) -> Architecture | None:
    """Return the architecture whose backbone alone the file holds, where the backbone is asked for."""
    if settings.init_part != "backbone" or not Path(settings.init).is_file():
        return None
    return architecture_in(read_tensors(Path(settings.init)))


def _require_same(settings: Settings, single: Architecture, architecture: Architecture | None) -> None:
    problem = (
        "it holds the backbone of one architecture alone, and a search compares several. Give the weights of a whole "
        "supernet, such as `autopanoptic panoptic pretrain-supernet` writes"
        if architecture is None
        else other_backbone(single, architecture)
    )
    if problem:
        raise ValueError(f"init: {settings.init}: {problem}")


def _part(settings: Settings, network: PanopticNetwork) -> nn.Module:
    return network.backbone if settings.init_part == "backbone" else network


def _given(settings: Settings, part: nn.Module) -> dict[str, Any]:
    """Return what the file of weights holds for a part of the network."""
    path = Path(settings.init)
    if not path.is_file():
        raise FileNotFoundError(f"init: {settings.init} is none of {', '.join(STARTS)}, nor a file of weights")
    state = _state(read_tensors(path))
    if settings.init_part == "backbone" and isinstance(state, dict):
        own = {name.removeprefix(_BACKBONE): value for name, value in state.items() if name.startswith(_BACKBONE)}
        state = own or state
    if isinstance(state, dict):
        # Other programs' files lack these counters, which nothing reads where a batch norm has a momentum.
        counters = {name: value for name, value in part.state_dict().items() if name.endswith(_COUNTER)}
        state = {**counters, **state}
    problem = difference(part.state_dict(), state)
    if problem:
        raise ValueError(
            f"init: {path} does not hold the weights of every option of {_named(settings)}: {problem}"
            + ("" if settings.init_part == "backbone" else ". For its backbone alone take init_part: backbone")
        )
    return cast("dict[str, Any]", state)


def _named(settings: Settings) -> str:
    return "the backbone" if settings.init_part == "backbone" else "the networks that are retrained"


def _state(found: Any) -> Any:
    for key in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            return found[key]
    return found
