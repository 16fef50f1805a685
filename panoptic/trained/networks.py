"""Trained networks on disk: those of a run's folder, or one in a folder of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.precision import Precision
from autopanoptic.panoptic.results.saved import ARCHITECTURE, CONFIG, WEIGHTS, load_network
from autopanoptic.panoptic.results.usage import USAGE, Usage
from autopanoptic.panoptic.run.folder import SETTINGS, load_run
from autopanoptic.panoptic.stages.networks import usage_of
from autopanoptic.panoptic.stages.prepare import DATA, NETWORKS

SEARCHED = "searched"


@dataclass(frozen=True)
class TrainedNetwork:
    """A network with its weights, and what is needed to use it.

    Attributes:
        name: Of its folder.
        folder: Where it was read from.
        network: In eval mode.
        usage: Its classes, and how images get in and out.
    """

    name: str
    folder: Path
    network: PanopticNetwork
    usage: Usage


def is_source(folder: Path) -> bool:
    """Whether a folder looks like a run's or a network's, and not like one of data that has a run's name."""
    return any((folder / name).is_file() for name in (SETTINGS, CONFIG)) or (folder / NETWORKS).is_dir()


def find_networks(source: str | Path, names: Sequence[str] = ()) -> dict[str, Path]:
    """Find the folders of trained networks.

    Args:
        source: A run's folder, or the folder of one network, as `load_network` reads it.
        names: Which of a run's networks; by default those that it compares, ``searched`` first. Finalists
            (``searched-1``, ...) are left out beside ``searched``, which is the best of them.

    Raises:
        FileNotFoundError: If there is no such folder or network; says which there are.
        ValueError: If the folder is neither, or holds one network and names are given.
    """
    source = Path(source)
    if not source.is_dir():
        raise FileNotFoundError(f"{source}: there is no such folder of a run or a network")
    if any((source / name).is_file() for name in (WEIGHTS, ARCHITECTURE)) and (source / CONFIG).is_file():
        if names:
            raise ValueError(f"{source} is one network; names such as {names[0]} are for a run's folder")
        return {source.resolve().name: source}
    if not (source / NETWORKS).is_dir() and not (source / SETTINGS).is_file():
        raise ValueError(
            f"{source} is neither a run, with {SETTINGS} and {NETWORKS}/, nor a network, with {CONFIG}, "
            f"{ARCHITECTURE} and {WEIGHTS}"
        )
    found = {path.parent.name: path.parent for path in sorted((source / NETWORKS).glob(f"*/{WEIGHTS}"))}
    if not found:
        raise FileNotFoundError(f"the run {source} has no trained network yet: there is no {NETWORKS}/*/{WEIGHTS}")
    return _chosen(source, found, names)


def _chosen(source: Path, found: dict[str, Path], names: Sequence[str]) -> dict[str, Path]:
    if unknown := [name for name in names if name not in found]:
        raise FileNotFoundError(f"the run {source} has no trained network {unknown[0]!r}, but {', '.join(found)}")
    if names:
        return {name: found[name] for name in names}
    if SEARCHED not in found:
        return found
    others = {name: path for name, path in found.items() if not name.startswith(SEARCHED)}
    return {SEARCHED: found[SEARCHED], **others}


def run_of(folder: str | Path) -> Path | None:
    """Return the run that a network's folder is in; None where it is in none."""
    above = Path(folder).resolve().parent
    return above.parent if above.name == NETWORKS and (above.parent / SETTINGS).is_file() else None


def precision_of(folder: str | Path) -> Precision:
    """Return in which precision the run that a network is in computes; single precision where it is in none."""
    run = run_of(folder)
    return "32-true" if run is None else load_run(run).machine.precision


def load_trained(folder: str | Path, device: torch.device | str = "cpu") -> TrainedNetwork:
    """Read a trained network and how it is used.

    Args:
        folder: Of the network. Without ``usage.json`` the run that it is in must say how it is used. Modules that the
            run's config names for parts of your own are imported; those of a folder that is in no run must have been.
        device: Where the network goes.

    Raises:
        FileNotFoundError: If the folder is missing, or nothing says how the network is used.
        ValueError: If files are damaged or do not fit together; names the file.
    """
    folder = Path(folder)
    if (run := run_of(folder)) is not None:
        load_run(run)
    network = load_network(folder).to(device).eval()
    usage = _usage(folder)
    own, known = (network.config.num_things, network.config.num_stuff), usage.categories
    if own != (len(known.things), len(known.stuff)):
        raise ValueError(
            f"{folder}: the network has {own[0]} thing and {own[1]} stuff classes, but {USAGE} or its run names "
            f"{len(known.things)} and {len(known.stuff)}"
        )
    return TrainedNetwork(folder.resolve().name, folder, network, usage)


def _usage(folder: Path) -> Usage:
    run = run_of(folder)
    if (folder / USAGE).exists() or run is None:
        return Usage.load(folder)
    return usage_of(load_run(run), categories_of(run))


def categories_of(run: Path) -> Categories:
    """Return the classes of the data that a run has trained on, by its record, which has no colors of theirs.

    Raises:
        FileNotFoundError: If the record is missing.
        ValueError: If it is damaged.
    """
    path = run / DATA
    try:
        entries = json.loads(path.read_bytes())["train"]["categories"]
        return Categories.from_json([{"id": i, "name": name, "isthing": thing} for i, name, thing in entries])
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing, which names the classes of the run's networks") from None
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} does not name the classes of the run's networks: {error!r}") from error
