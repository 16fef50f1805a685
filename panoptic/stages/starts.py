"""The weights with which the compared networks begin, by one rule for all of them.

- ``init: scratch`` draws them from the seed.
- ``init: supernet`` takes each path's weights in the run's trained supernet.
- ``init: FILE`` takes them from a file. It must hold the weights of every option, because the searched network is not
  known before: a state dict of a whole supernet as `save_weights` writes it, such as ``supernet/supernet.pt`` of
  another run.
- ``init: FILE`` with ``init_part: backbone`` takes the backbone alone, from a whole supernet of any classes and heads,
  or from a state dict of the backbone, with or without ``backbone.`` before its names. What is no backbone is drawn
  from the seed.

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
from autopanoptic.panoptic.results.saved import new_network
from autopanoptic.panoptic.stages.networks import build, network_config, read_from
from autopanoptic.panoptic.stages.settings import Settings

_BACKBONE = "backbone."
_COUNTER = "num_batches_tracked"


def started(settings: Settings, config: PanopticConfig, architecture: Architecture, supernet: Path) -> PanopticNetwork:
    """Return an architecture's network as its training begins.

    Args:
        settings: Of the run.
        config: Of the networks that are retrained.
        architecture: Of the network.
        supernet: The file of the run's trained supernet.

    Raises:
        FileNotFoundError: If a file of weights is missing.
        ValueError: If it is damaged, or holds the weights of another network.
    """
    if settings.init == "scratch":
        with seeded(settings.seed):
            return new_network(config, architecture)
    network = build(config, settings.seed)
    if settings.init == "supernet":
        with read_from(supernet):
            load_weights(network, supernet)
    else:
        part = _part(settings, network)
        part.load_state_dict(_given(settings, part))
    return cast("PanopticNetwork", Supernet(network).subnet(architecture))


def check_start(settings: Settings, categories: Categories) -> None:
    """Refuse weights that the compared networks cannot begin with, before anything is trained.

    Raises:
        FileNotFoundError: If the file of weights is missing.
        ValueError: If it is damaged or does not hold the weights of these networks, or these are shaped otherwise than
            the supernet that they are to start from; names what differs.
    """
    if settings.init == "scratch":
        return
    with torch.device("meta"):
        network = PanopticNetwork(network_config(settings, categories, searched=True))
        supernet = PanopticNetwork(network_config(settings, categories))
    if settings.init != "supernet":
        _given(settings, _part(settings, network))
        return
    problem = difference(network.state_dict(), supernet.state_dict())
    if problem:
        raise ValueError(
            "init: the networks that are retrained cannot start from the supernet's weights, for retrained_network "
            f"shapes them otherwise: {problem}. Take init: scratch, or leave out what differs in retrained_network"
        )


def start_of(settings: Settings) -> str:
    """Say what the compared networks begin with, for a title."""
    if settings.init in ("scratch", "supernet"):
        return {"scratch": "from scratch", "supernet": "from the supernet's weights"}[settings.init]
    return f"from {'the backbone in ' if settings.init_part == 'backbone' else ''}{Path(settings.init).name}"


def _part(settings: Settings, network: PanopticNetwork) -> nn.Module:
    return network.backbone if settings.init_part == "backbone" else network


def _given(settings: Settings, part: nn.Module) -> dict[str, Any]:
    """Return what the file of weights holds for a part of the network."""
    path = Path(settings.init)
    if not path.is_file():
        raise FileNotFoundError(f"init: {settings.init} is neither scratch, supernet nor a file of weights")
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
