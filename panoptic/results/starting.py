"""The weights in a file with which networks begin: of a whole supernet, of one architecture, or of a backbone alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.loading.normalization import IMAGENET, Normalization
from autopanoptic.panoptic.model.config_checks import SEARCHED_BACKBONE
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
        backbone: Whether of its backbone alone.
        left_out: Layers whose classes are others in the file, which are the network's own.
        unused: The other tensors of the file that nothing takes, by their names there.
    """

    state: dict[str, Any]
    alone: bool
    backbone: bool
    left_out: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """What is to begin with the weights.

    Attributes:
        supernet: Whose paths the networks are; it may be on the meta device, and so may the next.
        network: The stand-alone one; None where the supernet itself begins, or a search is to find it.
        architecture: Of the network.
        categories: What its classes stand for; None where that is not known.
        backbone: Whether the backbone alone is asked for; None for the whole where the file has it, and else that.
        normalization: Of the images that it will see, to which weights of the published code are fitted.
        key: That names the file, for messages.
    """

    supernet: PanopticNetwork
    network: PanopticNetwork | None = None
    architecture: Architecture | None = None
    categories: Categories | None = None
    backbone: bool | None = False
    normalization: Normalization = IMAGENET
    key: str = "init"


class _Fit(NamedTuple):
    """A state dict with what the file may lack, the layers that are the network's own, and what does not fit."""

    state: Any
    left_out: tuple[str, ...]
    problem: str | None


def starting_weights(path: Path, wanted: Wanted) -> StartingWeights:
    """Read the weights with which a network begins.

    What fits is decided by the names: those of the supernet, those of the stand-alone network, or those of
    Auto-Panoptic's published code. Where the classes are others, all is taken but the layers of the classes.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or holds other weights; names what differs.
    """
    if not path.is_file():  # it was there when the run began
        raise FileNotFoundError(f"{wanted.key}: there is no file of weights {path.absolute()}")
    found = read_tensors(path)
    single, state = architecture_in(found), unwrapped(found)
    published = isinstance(state, dict) and layout_of(set(map(str, state))) is not None
    asked = wanted
    if wanted.backbone is None:
        part = single is not None or published or _fit(path, state, wanted, alone=False).problem is not None
        wanted = replace(wanted, backbone=part)
    single = single if wanted.backbone else None
    if single is not None:
        _require_backbone(path, single, wanted)
    if published:
        return _published(path, state, wanted)
    if isinstance(state, dict) and wanted.backbone:
        state = _backbone_of(state) or state
    given = _checked(path, state, asked, wanted, alone=single is not None or _is_alone(state, wanted))
    return replace(given, unused=_unused(unwrapped(found), given))


def _published(path: Path, state: dict[str, Any], wanted: Wanted) -> StartingWeights:
    """Take over weights of the published code, whose supernets fit no supernet here but for the backbone."""
    network = wanted.supernet if wanted.network is None else wanted.network
    _require_published_space(path, wanted)
    own = network.state_dict()
    if wanted.backbone:
        own = {name: value for name, value in own.items() if name.startswith(PREFIX)}
    layout = layout_of(state)
    if layout is not None and not layout.options and wanted.architecture is None:
        raise ValueError(f"{wanted.key}: {path}: {_of_one('the backbone' if wanted.backbone else 'the network')}")
    try:
        given = from_reference(
            state, own, network.config.stage_depths, wanted.architecture, wanted.normalization
        )  # fmt: skip
    except ValueError as error:
        raise ValueError(f"{wanted.key}: {path}: {error}") from error
    given = _backbone_of(given) if wanted.backbone else given
    found = _checked(path, given, wanted, wanted, alone=wanted.network is not None)
    body = layout.body if layout is not None else ""
    others = [name for name in state if not name.startswith((f"{body}first_conv.", f"{body}features."))]
    return replace(found, unused=tuple(others) if wanted.backbone else ())


def _of_one(what: str) -> str:
    return (
        f"it holds {what} of one architecture alone, and a search compares several. Give the weights of a whole "
        "supernet, such as `autopanoptic panoptic pretrain-supernet` writes"
    )


def _require_published_space(path: Path, wanted: Wanted) -> None:
    """Refuse networks of which the published code has none."""
    config = wanted.supernet.config
    what = (
        f"search.space is {config.space}"
        if config.space != "auto-panoptic"
        else f"the backbone is {config.backbone}"
        if config.backbone != SEARCHED_BACKBONE
        else None
    )
    if what is not None:
        raise ValueError(
            f"{wanted.key}: {path} has the names of Auto-Panoptic's published code, whose networks are of search.space "
            f"auto-panoptic with a searched backbone, but {what}; take these, or other weights"
        )


def _checked(path: Path, state: Any, asked: Wanted, wanted: Wanted, *, alone: bool) -> StartingWeights:
    """Refuse what does not fit."""
    if alone and not wanted.backbone:
        _require_same(path, wanted)
    fit = _fit(path, state, wanted, alone=alone)
    if fit.problem:
        raise ValueError(f"{wanted.key}: {path} {_misfit(asked, fit.problem, alone=alone)}")
    return StartingWeights(fit.state, alone, bool(wanted.backbone), fit.left_out)


def _misfit(asked: Wanted, problem: str, *, alone: bool) -> str:
    """Say what a file should hold, why it does not, and what else may be asked for."""
    if asked.backbone is None:
        return (
            "holds neither this supernet's weights nor those of every option of its backbone (search.space "
            f"{asked.supernet.config.space}): {problem}"
        )
    part = "the backbone" if asked.backbone else "the networks that are retrained"
    hint = "" if asked.backbone else ". For its backbone alone take init_part: backbone"
    return f"does not hold the weights of {'' if alone else 'every option of '}{part}: {problem}{hint}"


def _fit(path: Path, state: Any, wanted: Wanted, *, alone: bool) -> _Fit:
    """Fill in what a file may lack, and say what does not fit."""
    network = wanted.network if alone and wanted.network is not None else wanted.supernet
    own = (network.backbone if wanted.backbone else network).state_dict()
    if isinstance(state, dict):
        # Other programs' files lack these counters, which nothing reads where a batch norm has a momentum.
        state = {**{name: value for name, value in own.items() if name.endswith(COUNTER)}, **state}
    left_out: tuple[str, ...] = ()
    if not wanted.backbone:
        state, left_out = with_own_classes(own, state, **_other_classes(path, wanted.categories))
    return _Fit(state, left_out, difference(own, state))


def _unused(state: dict[str, Any], given: StartingWeights) -> tuple[str, ...]:
    """Return what is left of a file whose backbone alone is taken."""
    if not given.backbone or not any(name.startswith(PREFIX) for name in state):
        return ()
    return tuple(name for name in state if not name.startswith(PREFIX))


def _backbone_of(state: dict[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)}


def _is_alone(state: Any, wanted: Wanted) -> bool:
    """Return whether a file's names are nearer to the stand-alone network's than to the supernet's."""
    if wanted.network is None or not isinstance(state, dict):
        return False
    networks = (wanted.network, wanted.supernet)
    alone, whole = (len((one.backbone if wanted.backbone else one).state_dict().keys() ^ state) for one in networks)
    return alone < whole


def _require_backbone(path: Path, single: Architecture, wanted: Wanted) -> None:
    architecture = wanted.architecture
    problem = _of_one("the backbone") if architecture is None else other_backbone(single, architecture)
    if problem:
        raise ValueError(f"{wanted.key}: {path}: {problem}")


def _require_same(path: Path, wanted: Wanted) -> None:
    """Refuse a saved network of another architecture, whose tensors may be of the same shapes."""
    beside, architecture = path.parent / ARCHITECTURE, wanted.architecture
    if path.name != WEIGHTS or not beside.is_file() or architecture is None:
        return
    theirs = Architecture.load(beside)
    odd = [label for label in {**theirs, **architecture} if theirs.get(label) != architecture.get(label)]
    if odd:
        raise ValueError(
            f"{wanted.key}: {path} holds the weights of another architecture, which differs in {len(odd)} choices, "
            f"such as {odd[0]} ({theirs.get(odd[0])}, not {architecture.get(odd[0])})"
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
