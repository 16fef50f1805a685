"""Networks on disk: an architecture, a config and weights, each readable on its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from autopanoptic.nas import Architecture, Option, Supernet
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.config_checks import SEARCHED_BACKBONE
from autopanoptic.panoptic.model.designs.active import rules_of
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.parts.imports import missing_modules
from autopanoptic.panoptic.model.weights import load_weights, save_weights
from autopanoptic.panoptic.results.backbones import PREFIX
from autopanoptic.panoptic.results.json_files import read_object, write_object
from autopanoptic.panoptic.results.usage import Usage

CONFIG, ARCHITECTURE, WEIGHTS = "config.json", "architecture.json", "weights.pt"


def new_network(config: PanopticConfig, architecture: Architecture) -> PanopticNetwork:
    """Build the network of one architecture; its weights come from torch's default generator.

    Raises:
        ValueError: If the architecture is not of the config's space.
    """
    if problem := chosen_beside(config, architecture):
        raise ValueError(problem)
    with torch.device("meta"):
        supernet = Supernet(PanopticNetwork(config))
    network = supernet.subnet(architecture, inherit=False)
    assert isinstance(network, PanopticNetwork)
    return network


def chosen_beside(config: PanopticConfig, architecture: Mapping[str, Option]) -> str | None:
    """Say that an architecture chooses a backbone's blocks where the backbone is fixed; None where it does not."""
    blocks = [label for label in architecture if label.startswith(PREFIX)]
    if config.backbone == SEARCHED_BACKBONE or not blocks:
        return None
    return (
        f"it chooses the blocks of a searched backbone ({len(blocks)} choices, such as {blocks[0]}), but the backbone "
        f"is {config.backbone}; take --backbone search, or an architecture that was searched beside a fixed backbone"
    )


def save_network(
    network: PanopticNetwork, architecture: Architecture, folder: Path, usage: Usage | None = None
) -> None:
    """Write ``config.json``, ``architecture.json``, ``usage.json`` where that is given and, last, ``weights.pt``.

    The rules of merging are those of the network's panoptic head, where that was a choice and has its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if usage is not None:
        replace(usage, rules=rules_of(network, usage.rules)).save(folder)
    write_object(folder / CONFIG, network.config.to_json(), indent=2)
    architecture.save(folder / ARCHITECTURE)
    save_weights(network, folder / WEIGHTS)


def load_network(folder: str | Path) -> PanopticNetwork:
    """Read the network that `save_network` wrote, such as ``runs/<name>/networks/searched``.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If a file is missing or damaged, the files do not fit together, or the network has parts of modules
            that are not imported; names the file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder")
    for name in (CONFIG, ARCHITECTURE, WEIGHTS):
        if not (folder / name).is_file():
            raise ValueError(f"{folder / name} is missing: a saved network is {CONFIG}, {ARCHITECTURE} and {WEIGHTS}")
    config = read_config(folder / CONFIG)
    try:
        network = new_network(config, Architecture.load(folder / ARCHITECTURE))
    except ValueError as error:
        raise ValueError(f"{folder / ARCHITECTURE} is no architecture of the network in {CONFIG}: {error}") from error
    load_weights(network, folder / WEIGHTS)
    return network


class _NotImportedError(ValueError):
    """A network has parts of modules that are not imported."""


def _require_imported(path: Path, values: Mapping[str, Any]) -> None:
    """Refuse to run code because a file names it: whoever sends a network could name any module."""
    imports = values.get("imports") or []
    missing = missing_modules(imports if isinstance(imports, list) else [])
    if missing:
        raise _NotImportedError(
            f"{path}: the network has parts of the module {' and '.join(map(str, missing))}, which a network's file "
            "does not get imported: import what you trust before, or give it to the command by --import"
        )


def read_config(path: Path) -> PanopticConfig:
    """Read the config of a saved network, without importing the modules that it names.

    Raises:
        ValueError: If it describes no network, or has parts of modules that are not imported.
    """
    try:
        values = read_object(path)
        _require_imported(path, values)
        return PanopticConfig.from_json(values)
    except _NotImportedError:
        raise
    except ValueError as error:
        raise ValueError(f"{path} does not describe a network: {error}") from error
