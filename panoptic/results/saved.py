"""Networks on disk: an architecture, a config and weights, each readable on its own."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from torch import nn

from autopanoptic.nas import Architecture, Supernet
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork

WEIGHTS = "weights.pt"


def new_network(config: PanopticConfig, architecture: Architecture) -> PanopticNetwork:
    """Build the network of one architecture; its weights come from torch's default generator.

    Raises:
        ValueError: If the architecture is not of the config's space.
    """
    with torch.device("meta"):
        supernet = Supernet(PanopticNetwork(config))
    network = supernet.subnet(architecture, inherit=False)
    assert isinstance(network, PanopticNetwork)
    return network


def save_network(network: PanopticNetwork, architecture: Architecture, folder: Path) -> None:
    """Write ``config.json``, ``architecture.json`` and, last, ``weights.pt``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(network.config.to_json(), indent=2) + "\n")
    architecture.save(folder / "architecture.json")
    save_weights(network, folder / WEIGHTS)


def load_network(folder: str | Path) -> PanopticNetwork:
    """Read the network that `save_network` wrote, such as ``runs/<name>/networks/searched``.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the files do not fit together.
    """
    folder = Path(folder)
    config = PanopticConfig.from_json(json.loads((folder / "config.json").read_text()))
    network = new_network(config, Architecture.load(folder / "architecture.json"))
    load_weights(network, folder / WEIGHTS)
    return network


def save_weights(network: nn.Module, path: Path) -> None:
    """Write a state dict such that the file is either whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(network.state_dict(), partial)
    os.replace(partial, path)


def load_weights(network: nn.Module, path: Path) -> None:
    """Read a state dict into a network.

    Raises:
        ValueError: If it is another network's.
    """
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except RuntimeError as error:
        raise ValueError(f"{path} does not hold the weights of this network: {error}") from error
