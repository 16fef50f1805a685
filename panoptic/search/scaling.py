"""What one would build by hand: plain operators, in any size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autopanoptic.nas import Architecture, Choice, Option, SearchSpace
from autopanoptic.panoptic.model.parts.kinds import (
    COMPONENTS,
    AnyPart,
    BackboneBlock,
    FusionOperator,
    HeadOperator,
    PyramidNeck,
)

SHARE = 1 / 3
"""Of the way from the smallest to the largest sizes, where those lie that one would take first."""
_PLAIN: Mapping[type[AnyPart], str] = {
    BackboneBlock: "shuffle3",
    HeadOperator: "dw3",
    FusionOperator: "r4",
    PyramidNeck: "fpn",
}
_KINDS: Mapping[str, type[AnyPart]] = {
    **COMPONENTS,
    "backbone": BackboneBlock,
    "mask": HeadOperator,
    "segmentation": HeadOperator,
    "f2b": FusionOperator,
    "b2f": FusionOperator,
    "neck": PyramidNeck,
}


def scaled(space: SearchSpace, share: float, design: Mapping[str, Option] | None = None) -> Architecture:
    """Return the network of plain operators, in sizes that are a share of the way up.

    Args:
        space: Of a supernet.
        share: 0 for the smallest sizes, 1 for the largest.
        design: Options of choices that are to be other ones, by label; where components are choices, theirs.
    """
    options: dict[str, Option] = {}
    for choice in space.choices:
        if design is not None and choice.label in design:
            options[choice.label] = design[choice.label]
        elif is_size(choice.label):
            options[choice.label] = choice.options[int(share * (len(choice.options) - 1) + 0.5)]
        else:
            options[choice.label] = plain(choice)
    return space.canonical(options)


def plain(choice: Choice) -> Option:
    """Return the operator that one would take by hand for a choice; the first one where it lacks that."""
    return plain_of(kind_of(choice.label), choice.options)


def plain_of(kind: type[AnyPart], options: Sequence[Option]) -> Option:
    """Return the one of some parts of a kind that one would take by hand."""
    wanted = _PLAIN.get(kind)
    return wanted if wanted is not None and wanted in options else options[0]


def kind_of(label: str) -> type[AnyPart]:
    """Return the kind of parts among which a choice takes one."""
    return _KINDS[label.split(".")[0]]


def is_size(label: str) -> bool:
    """Return whether a choice is a width or a depth, and no operator."""
    return label.endswith((".width", ".depth"))
