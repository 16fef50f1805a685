"""Whether the components of a network fit together: each gets what it needs from the others; loads no torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from autopanoptic.panoptic.model.parts.kinds import BOTH, COMPONENTS, Component
from autopanoptic.panoptic.model.parts.registry import names_of, part_of, sizes_problem, unknown

if TYPE_CHECKING:
    from autopanoptic.panoptic.model.config import PanopticConfig


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
        yield from _misfits(config)


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
