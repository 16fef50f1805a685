"""Whether the components of a network fit together: each gets what it needs from the others; loads no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from autopanoptic.panoptic.model.parts.kinds import BOTH, COMPONENTS, BoxHead, Component, MaskHead, SemanticHead
from autopanoptic.panoptic.model.parts.registry import names_of, part_of, sizes_problem, unknown

if TYPE_CHECKING:
    from autopanoptic.panoptic.model.config import PanopticConfig

PUBLISHED = "published"
"""The space in which components are choices."""
OPTIONS: Mapping[str, str] = {
    "semantic_head": "semantic_heads",
    "mask_head": "mask_heads",
    "fusion": "fusions",
    "panoptic_head": "panoptic_heads",
}
"""Fields of the components that are choices in the space published, and the fields that name their options.

The box head is the same in all networks of a space.
"""
PARTNERS = ("fusion", "panoptic_head")
"""Fields of which a semantic head decides what fits."""


def component_problems(config: PanopticConfig) -> Iterator[str]:
    """Yield which components of a config are unknown, of another space or lack what they need, by their fields."""
    names = {field: getattr(config, field) for field in COMPONENTS}
    strange = [
        f"{field}: {unknown(kind, names[field])}"
        for field, kind in COMPONENTS.items()
        if not isinstance(names[field], str) or names[field] not in names_of(kind)
    ]
    yield from strange
    if not strange:
        yield from _option_problems(config) if config.space == PUBLISHED else _misfits(config)


def partners(config: PanopticConfig, field: str, head: str) -> tuple[str, ...]:
    """Return the names of a field's options that fit a semantic head, where components are choices.

    Args:
        config: Of the space.
        field: One of `PARTNERS`.
        head: Name of the semantic head.
    """
    given = _given_beside(config, head)
    return tuple(
        name for name in getattr(config, OPTIONS[field]) if given.issuperset(part_of(COMPONENTS[field], name).needs)
    )


def _given_beside(config: PanopticConfig, head: str) -> set[str]:
    return {BOTH, *part_of(SemanticHead, head).gives, *part_of(BoxHead, config.box_head).gives}


def _option_problems(config: PanopticConfig) -> Iterator[str]:
    """Yield which components no network of the space published could have, and which would find no partner."""
    if not config.num_things or not config.num_stuff:
        yield (
            f"space {PUBLISHED} needs {BOTH}, and the data have {config.num_things} of things and {config.num_stuff} "
            "of stuff; take the space elastic or auto-panoptic"
        )
        return
    for field, names in OPTIONS.items():
        parts = [part_of(COMPONENTS[field], name) for name in getattr(config, names)]
        yield from (f"{names}: {problem}" for part in parts if (problem := sizes_problem(part, config)))
        yield from (f"{names}: {problem}" for part in parts if (problem := _alone(part, config)))
    for head in config.semantic_heads:
        for field in PARTNERS:
            if not partners(config, field, head):
                yield (
                    f"{OPTIONS[field]}: none of {', '.join(getattr(config, OPTIONS[field]))} fits the semantic head "
                    f"{head!r}; add one that does, such as {'none' if field == 'fusion' else 'merge'}, or leave out "
                    f"{head!r} of semantic_heads"
                )


def _alone(part: Component[Any], config: PanopticConfig) -> str | None:
    """Say that a component fits no semantic head of the space, or a mask head not all of them."""
    heads = config.semantic_heads
    if isinstance(part, SemanticHead):
        fits, rule = set(part.needs) <= {BOTH}, "a semantic head stands beside all others, which do not give it"
    else:
        having = [head for head in heads if _given_beside(config, head).issuperset(part.needs)]
        if isinstance(part, MaskHead):
            fits, rule = len(having) == len(heads), f"a mask head stands beside each of {', '.join(heads)}"
        else:
            fits, rule = bool(having), f"none of semantic_heads ({', '.join(heads)}) gives all of it"
    if fits:
        return None
    return f"the {part.what} {part.name!r} needs {' and '.join(part.needs)}, but {rule}; leave it out"


def _misfits(config: PanopticConfig) -> Iterator[str]:
    parts = {field: part_of(kind, getattr(config, field)) for field, kind in COMPONENTS.items()}
    given = {one for part in parts.values() for one in part.gives}
    if config.num_things and config.num_stuff:
        given.add(BOTH)
    for field, part in parts.items():
        if problem := sizes_problem(part, config):
            yield f"{field}: {problem}"
        for need in part.needs:
            if need not in given:
                yield f"{field}: the {part.what} {part.name!r} needs {need}, {_who_gives(need, parts)}"


def _who_gives(need: str, parts: dict[str, Component[Any]]) -> str:
    """Say which component lacks something, and which others have it."""
    if need == BOTH:
        return "and the data have classes of one kind alone"
    for field, kind in COMPONENTS.items():
        givers = [name for name in names_of(kind) if need in part_of(kind, name).gives]
        if givers:
            return (
                f"which the {kind.what} {parts[field].name!r} does not give; give {field} one of {', '.join(givers)}, "
                "or take another partner"
            )
    return "which no part gives"
