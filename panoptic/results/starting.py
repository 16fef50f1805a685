"""The weights in a file with which networks begin: of a whole supernet, of one architecture, or of a backbone alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.weights import COUNTER, difference, read_tensors, unwrapped, with_own_classes
from autopanoptic.panoptic.results.backbones import PREFIX, architecture_in, other_backbone
from autopanoptic.panoptic.results.saved import ARCHITECTURE, WEIGHTS
from autopanoptic.panoptic.results.usage import USAGE, Usage
from autopanoptic.panoptic.search.reference_weights import from_reference, layout_of


@dataclass(frozen=True)
class StartingWeights:
    """What a file holds for a network.

    Attributes:
        state: A state dict of the network, or of its backbone.
        alone: Whether of an architecture's stand-alone network, and not of the supernet.
        left_out: Layers whose classes are others in the file, which are the network's own.
    """

    state: dict[str, Any]
    alone: bool
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """What is to begin with the weights.

    Attributes:
        supernet: Whose paths the networks are; it may be on the meta device, and so may the next.
        network: The stand-alone one; None where a search is to find it.
        architecture: Of the network.
        categories: What its classes stand for; None where that is not known.
        backbone: Whether the backbone alone is asked for.
    """

    supernet: PanopticNetwork
    network: PanopticNetwork | None = None
    architecture: Architecture | None = None
    categories: Categories | None = None
    backbone: bool = False


def starting_weights(path: Path, wanted: Wanted) -> StartingWeights:
    """Read the weights with which a network begins.

    What fits is decided by the names: those of the supernet, those of the stand-alone network, or those of
    Auto-Panoptic's published code.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or holds other weights; names what differs.
    """
    if not path.is_file():
        raise FileNotFoundError(f"init: there is no file of weights {path}")
    found = read_tensors(path)
    single = architecture_in(found) if wanted.backbone else None
    if single is not None:
        _require_backbone(path, single, wanted.architecture)
    state = unwrapped(found)
    if isinstance(state, dict) and layout_of({str(name).removeprefix("module.") for name in state}):
        return _published(path, state, wanted)
    if isinstance(state, dict) and wanted.backbone:
        state = _backbone_of(state) or state
    alone = single is not None or _is_alone(state, wanted)
    return _checked(path, state, wanted, alone=alone)


def _published(path: Path, state: dict[str, Any], wanted: Wanted) -> StartingWeights:
    """Take over weights of the published code, whose supernets fit no supernet here but for the backbone."""
    network = wanted.supernet if wanted.network is None else wanted.network
    own = network.state_dict()
    if wanted.backbone:
        own = {name: value for name, value in own.items() if name.startswith(PREFIX)}
    try:
        given = from_reference(state, own, network.config.stage_depths, wanted.architecture)
    except ValueError as error:
        raise ValueError(f"init: {path}: {error}") from error
    given = _backbone_of(given) if wanted.backbone else given
    return _checked(path, given, wanted, alone=wanted.network is not None)


def _checked(path: Path, state: Any, wanted: Wanted, *, alone: bool) -> StartingWeights:
    """Fill in what a file may lack, and refuse what does not fit."""
    network = wanted.network if alone and wanted.network is not None else wanted.supernet
    own = (network.backbone if wanted.backbone else network).state_dict()
    if alone and not wanted.backbone:
        _require_same(path, wanted.architecture)
    if isinstance(state, dict):
        # Other programs' files lack these counters, which nothing reads where a batch norm has a momentum.
        state = {**{name: value for name, value in own.items() if name.endswith(COUNTER)}, **state}
    left_out: tuple[str, ...] = ()
    if not wanted.backbone:
        state, left_out = with_own_classes(own, state, **_other_classes(path, wanted.categories))
    problem = difference(own, state)
    if problem:
        part = "the backbone" if wanted.backbone else "the networks that are retrained"
        whole = "" if alone else "every option of "
        hint = "" if wanted.backbone else ". For its backbone alone take init_part: backbone"
        raise ValueError(f"init: {path} does not hold the weights of {whole}{part}: {problem}{hint}")
    return StartingWeights(state, alone, left_out)


def _backbone_of(state: dict[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)}


def _is_alone(state: Any, wanted: Wanted) -> bool:
    """Return whether a file's names are nearer to the stand-alone network's than to the supernet's."""
    if wanted.network is None or not isinstance(state, dict):
        return False
    networks = (wanted.network, wanted.supernet)
    alone, whole = (len((one.backbone if wanted.backbone else one).state_dict().keys() ^ state) for one in networks)
    return alone < whole


def _require_backbone(path: Path, single: Architecture, architecture: Architecture | None) -> None:
    problem = (
        "it holds the backbone of one architecture alone, and a search compares several. Give the weights of a whole "
        "supernet, such as `autopanoptic panoptic pretrain-supernet` writes"
        if architecture is None
        else other_backbone(single, architecture)
    )
    if problem:
        raise ValueError(f"init: {path}: {problem}")


def _require_same(path: Path, architecture: Architecture | None) -> None:
    """Refuse a saved network of another architecture, whose tensors may be of the same shapes."""
    beside = path.parent / ARCHITECTURE
    if path.name != WEIGHTS or not beside.is_file() or architecture is None:
        return
    theirs = Architecture.load(beside)
    odd = [label for label in {**theirs, **architecture} if theirs.get(label) != architecture.get(label)]
    if odd:
        raise ValueError(
            f"init: {path} holds the weights of another architecture, which differs in {len(odd)} choices, such as "
            f"{odd[0]} ({theirs.get(odd[0])}, not {architecture.get(odd[0])})"
        )


def _other_classes(path: Path, categories: Categories | None) -> dict[str, bool]:
    """Compare the classes by their names with those that stand beside a saved network."""
    if categories is None or path.name != WEIGHTS or not (path.parent / USAGE).is_file():
        return {}
    theirs = Usage.load(path.parent).categories
    return {
        f"other_{kind}": [one.name for one in getattr(theirs, kind)] != [one.name for one in getattr(categories, kind)]
        for kind in ("things", "stuff")
    }
