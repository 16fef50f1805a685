"""Why a file's weights do not fit a network, where their names and shapes tell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from autopanoptic.panoptic.configs.widths import WIDTHS
from autopanoptic.panoptic.model.config_checks import SEARCHED_BACKBONE
from autopanoptic.panoptic.model.operators.options import BLOCK_OPTIONS, FUSION_OPTIONS, HEAD_OPTIONS

STEM = "stem.0.weight"
THINGS, STUFF = "roi_heads.box_predictor.classes.weight", "segmentation.score.weight"
ALL = "segmentation.classes.weight"
"""Of a semantic head that scores stuff and things."""
_OPTIONS = {*BLOCK_OPTIONS, *HEAD_OPTIONS, *FUSION_OPTIONS}
_BLOCK = re.compile(r"(?:backbone\.)?stages\.c2\.(?:blocks\.)?\d+\.(\w+)\.")
_FIRST_BLOCK = re.compile(r"(?:backbone\.)?stages\.c2\.0\.(?:\w+\.)?(branch|projection)\.")
_FIXED = {"resnet50": {"conv1", "bn1", "conv2", "bn2", "conv3", "bn3"}, "efficientnet-lite0": {"depthwise", "project"}}
"""Layers that tell the blocks of a fixed backbone from others."""


def reason(own: Mapping[str, Any], found: Mapping[str, Any]) -> str | None:
    """Say of what other network some weights are, and what to do about it; None where that is not known.

    Told apart are the backbone and its width, a whole supernet and a single architecture, and the number of classes.

    Args:
        own: The state dict of the network, or of its backbone.
        found: That of the file.
    """
    for one in (_other_backbone, _other_width, _other_kind, _other_classes):
        if (told := one(own, found)) is not None:
            return told
    return None


def _backbone(state: Mapping[str, Any]) -> str | None:
    """Return the config's word for the backbone that a state dict has; None where it has none that is known."""
    layers = {found[1] for name in state if (found := _BLOCK.match(str(name)))}
    fixed = (name for name, wanted in _FIXED.items() if wanted <= layers)
    return next(fixed, SEARCHED_BACKBONE) if layers else None


def _other_backbone(own: Mapping[str, Any], found: Mapping[str, Any]) -> str | None:
    mine, theirs = _backbone(own), _backbone(found)
    if None in (mine, theirs) or mine == theirs:
        return None
    named = {SEARCHED_BACKBONE: "a searched backbone"}
    return (
        f"they are of {named.get(str(theirs), theirs)}, the network has {named.get(str(mine), mine)}; take --backbone "
        f"{theirs}, or other weights"
    )


def _other_width(own: Mapping[str, Any], found: Mapping[str, Any]) -> str | None:
    mine, theirs = (_first_of(state, STEM, f"backbone.{STEM}") for state in (own, found))
    if None in (mine, theirs) or mine == theirs or {_backbone(own), _backbone(found)} != {SEARCHED_BACKBONE}:
        return None
    name = _published_width(found)
    # In another space, and where the blocks are of one's own, there is no such option.
    way = "take other weights" if None in (name, _published_width(own)) else f"take --width {name}, or other weights"
    return f"they are of {_width(found, theirs)}, the network is of {_width(own, mine)}; {way}"


def _width(state: Mapping[str, Any], channels: Any) -> str:
    name = _published_width(state)
    return f"{'another width' if name is None else f'width {name}'} ({channels} channels in the stem)"


def _published_width(state: Mapping[str, Any]) -> str | None:
    """Return the name of the published width that a searched backbone has, by its stem and the first block's output."""
    stem, ends = _first_of(state, STEM, f"backbone.{STEM}"), dict[str, int]()
    for name in state:
        if (found := _FIRST_BLOCK.match(str(name))) and name.endswith(".weight"):
            ends[found[1]] = int(state[name].shape[0])  # the last one's
    for name, width in WIDTHS.items():
        first = {"projection": width["stem_width"], "branch": width["stage_widths"][0] - width["stem_width"]}
        if stem == width["stem_width"] and ends == first:
            return name
    return None


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
    told = [
        f"{theirs} {kind} classes, the data has {mine}"
        for kind, count in (("thing", _things), ("stuff", _stuff))
        if None not in (mine := count(own), theirs := count(found)) and mine != theirs
    ]
    if not told:
        return None
    return f"they are of {' and of '.join(told)}; take weights of the same classes, or the backbone alone"


def _things(state: Mapping[str, Any]) -> int | None:
    outputs = _first_of(state, THINGS)
    return None if outputs is None else outputs - 1  # which stands for no thing


def _stuff(state: Mapping[str, Any]) -> int | None:
    if (outputs := _first_of(state, STUFF)) is not None:
        return int(outputs) - 1  # which stands for any thing
    both, things = _first_of(state, ALL), _things(state)
    return None if both is None or things is None else both - things


def _first_of(state: Mapping[str, Any], *names: str) -> Any:
    """Return the outputs of the first of some layers that a state dict has."""
    shapes: Iterator[Sequence[int]] = (getattr(state.get(name), "shape", ()) for name in names)
    return next((int(shape[0]) for shape in shapes if len(shape)), None)
