"""Why a file's weights do not fit a network, where their names and shapes tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from autopanoptic.panoptic.configs.widths import WIDTHS
from autopanoptic.panoptic.model.operators.options import BLOCK_OPTIONS, FUSION_OPTIONS, HEAD_OPTIONS

STEM = "stem.0.weight"
THINGS, STUFF = "roi_heads.box_predictor.classes.weight", "segmentation.score.weight"
_OPTIONS = {*BLOCK_OPTIONS, *HEAD_OPTIONS, *FUSION_OPTIONS}


def reason(own: Mapping[str, Any], found: Mapping[str, Any]) -> str | None:
    """Say of what other network some weights are, and what to do about it; None where that is not known.

    Told apart are the backbone's width, a whole supernet and a single architecture, and the number of classes.

    Args:
        own: The state dict of the network, or of its backbone.
        found: That of the file.
    """
    for one in (_other_width, _other_kind, _other_classes):
        if (told := one(own, found)) is not None:
            return told
    return None


def _other_width(own: Mapping[str, Any], found: Mapping[str, Any]) -> str | None:
    mine, theirs = (_first_of(state, STEM, f"backbone.{STEM}") for state in (own, found))
    if None in (mine, theirs) or mine == theirs:
        return None
    known = {width["stem_width"]: name for name, width in WIDTHS.items()}
    way = f"take --width {known[theirs]}, or other weights" if theirs in known else "take other weights"
    return f"they are of {_width(known, theirs)}, the network is of {_width(known, mine)}; {way}"


def _width(known: Mapping[int, str], channels: Any) -> str:
    name = f"width {known[channels]} ({{}})" if channels in known else "another width ({})"
    return name.format(f"{channels} channels in the stem")


def _other_kind(own: Mapping[str, Any], found: Mapping[str, Any]) -> str | None:
    mine, theirs = (any(_OPTIONS & set(str(name).split(".")) for name in state) for state in (own, found))
    if mine == theirs or not own.keys() & found.keys():
        return None
    if mine:
        return (
            "they are of one architecture, and here those of every option are needed; take a supernet's, such as "
            "supernet/supernet.pt of a run"
        )
    return "they are of a whole supernet, and the network is one architecture's; take those of that network"


def _other_classes(own: Mapping[str, Any], found: Mapping[str, Any]) -> str | None:
    told = []
    for kind, name in (("thing", THINGS), ("stuff", STUFF)):
        mine, theirs = (_first_of(state, name) for state in (own, found))
        if None not in (mine, theirs) and mine != theirs:
            # Beside the classes the layers have one output: no thing, or any thing.
            told.append(f"{theirs - 1} {kind} classes, the data has {mine - 1}")
    if not told:
        return None
    return f"they are of {' and of '.join(told)}; take weights of the same classes, or the backbone alone"


def _first_of(state: Mapping[str, Any], *names: str) -> Any:
    """Return the outputs of the first of some layers that a state dict has."""
    shapes: Iterator[Sequence[int]] = (getattr(state.get(name), "shape", ()) for name in names)
    return next((int(shape[0]) for shape in shapes if len(shape)), None)
