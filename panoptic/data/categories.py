"""Categories of a panoptic data set, and the contiguous labels that networks predict."""

from __future__ import annotations

import colorsys
import operator
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

THING = 0
"""Value of every thing pixel in a semantic map."""
VOID = 255
"""Value of every unlabelled pixel in a semantic map."""


@dataclass(frozen=True)
class Category:
    """One category: things are countable objects, stuff is amorphous.

    Attributes:
        id: The id that annotations use; non-negative, with gaps allowed.
        name: What people read.
        isthing: True for things, False for stuff.
        color: Red, green and blue, each in 0..255, for pictures.
    """

    id: int
    name: str
    isthing: bool
    color: tuple[int, int, int]


class Categories:
    """Immutable categories in the order of their JSON, with labels for networks.

    Thing label l in 1..T is ``things[l - 1]`` (0 is the detector's background); stuff label l in 1..S is
    ``stuff[l - 1]``. In a semantic map, 0 is any thing and 255 is void.

    Args:
        categories: The categories in order.

    Raises:
        ValueError: If there are none, an id occurs twice, or there are more than 254 stuff categories
            (semantic maps are uint8).
    """

    def __init__(self, categories: Iterable[Category]) -> None:
        self._categories = tuple(categories)
        self._by_id = {category.id: category for category in self._categories}
        self.things = tuple(c for c in self._categories if c.isthing)
        self.stuff = tuple(c for c in self._categories if not c.isthing)
        self.thing_label: Mapping[int, int] = _labels(self.things)
        self.stuff_label: Mapping[int, int] = _labels(self.stuff)
        self._validate()

    def _validate(self) -> None:
        if not self._categories:
            raise ValueError("there are no categories: a panoptic data set needs at least one")
        repeated = [i for i, n in Counter(c.id for c in self._categories).items() if n > 1]
        if repeated:
            raise ValueError(f"category ids occur more than once: {repeated}; give every category its own id")
        if len(self.stuff) >= VOID:
            raise ValueError(
                f"{len(self.stuff)} stuff categories, but semantic maps are uint8 with {VOID} for void and "
                f"{THING} for things: at most {VOID - 1} fit"
            )

    @classmethod
    def from_json(cls, entries: Iterable[Mapping[str, Any]]) -> Categories:
        """Reads the ``categories`` list of a COCO panoptic JSON.

        Args:
            entries: Mappings with ``id``, ``name``, ``isthing`` (0 or 1) and optionally ``color`` (three
                integers in 0..255; without it, a colour is derived from the id). Other keys are ignored.

        Raises:
            ValueError: If an entry lacks a key or holds a value of the wrong kind, and as the constructor.
        """
        return cls(_parse(entry) for entry in entries)

    def to_json(self) -> list[dict[str, Any]]:
        """Returns the ``categories`` list of a COCO panoptic JSON."""
        return [
            {"id": operator.index(c.id), "name": c.name, "isthing": int(c.isthing), "color": list(map(int, c.color))}
            for c in self._categories
        ]

    def difference(self, other: Categories) -> str | None:
        """Says what first tells these categories from others; None if nothing does.

        Two are the same if id, name and kind are; the order, which decides the labels, and colours are not compared.
        """
        for category in sorted(self, key=lambda c: c.id):
            if category.id not in other:
                return f"{_named(category)} is not among the others"
            if _named(category) != _named(other[category.id]):
                return f"{_named(category)} is {_named(other[category.id])} among the others"
        lacking = sorted((c for c in other if c.id not in self), key=lambda c: c.id)
        return f"{_named(lacking[0])} is among the others only" if lacking else None

    def ordered_as(self, other: Categories) -> Categories | None:
        """Returns these categories with the order, and so the labels, and the colours of others.

        Categories are the same where id, name and kind are; or, where that does not hold for all of them, where name
        and kind are, and no two of a kind share a name. None if they are not the same either way.
        """
        if self.difference(other) is None:
            return other
        own = {(category.name, category.isthing): category for category in self}
        names = [(category.name, category.isthing) for category in other]
        if len(own) != len(self) or len(set(names)) != len(names) or own.keys() != set(names):
            return None
        each = zip(names, other, strict=True)
        return Categories(replace(own[name], color=category.color) for name, category in each)

    def __iter__(self) -> Iterator[Category]:
        return iter(self._categories)

    def __len__(self) -> int:
        return len(self._categories)

    def __contains__(self, category_id: object) -> bool:
        return category_id in self._by_id

    def __getitem__(self, category_id: int) -> Category:
        """Returns the category with this id; ValueError if there is none."""
        try:
            return self._by_id[category_id]
        except KeyError:
            raise ValueError(
                f"unknown category id {category_id}; the {len(self)} known ids are {_abbreviated(self._by_id)}"
            ) from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Categories) and self._categories == other._categories

    def __hash__(self) -> int:
        return hash(self._categories)

    def __repr__(self) -> str:
        return f"Categories({len(self.things)} things, {len(self.stuff)} stuff)"

    def __reduce__(self) -> tuple[type[Categories], tuple[tuple[Category, ...]]]:
        # Mapping proxies cannot be pickled, but data loaders send data sets to spawned workers.
        return Categories, (self._categories,)


def _labels(categories: tuple[Category, ...]) -> Mapping[int, int]:
    return MappingProxyType({category.id: label for label, category in enumerate(categories, start=1)})


def _named(category: Category) -> str:
    return f"category {category.id} ({category.name!r}, {'a thing' if category.isthing else 'stuff'})"


def _abbreviated(ids: Iterable[int], limit: int = 10) -> str:
    listed = list(ids)
    return ", ".join(map(str, listed[:limit])) + (", ..." if len(listed) > limit else "")


def _parse(entry: object) -> Category:
    if not isinstance(entry, Mapping):
        raise ValueError(f"category {entry!r} is not an object with id, name and isthing")
    missing = [key for key in ("id", "name", "isthing") if key not in entry]
    if missing:
        raise ValueError(f"category {dict(entry)!r} lacks {', '.join(missing)}")
    identifier, name, isthing = entry["id"], entry["name"], entry["isthing"]
    if isinstance(identifier, bool) or not isinstance(identifier, int) or not 0 <= identifier < 2**63:
        raise ValueError(f"category id {identifier!r} is not a non-negative integer of 64 bits")
    if not isinstance(name, str) or not name:
        raise ValueError(f"category {identifier} has the name {name!r}: a non-empty string is needed")
    if isthing not in (0, 1):
        raise ValueError(f"category {identifier} ({name}) has isthing {isthing!r}: 0 or 1 is needed")
    return Category(identifier, name, bool(isthing), _color(entry.get("color"), identifier))


def _color(value: Any, identifier: int) -> tuple[int, int, int]:
    if value is None:
        # Steps of the golden ratio spread any number of hues evenly.
        red, green, blue = colorsys.hsv_to_rgb(identifier * 0.61803398875 % 1, 0.65, 0.9)
        return round(red * 255), round(green * 255), round(blue * 255)
    valid = isinstance(value, (list, tuple)) and len(value) == 3
    if not valid or not all(isinstance(v, int) and 0 <= v <= 255 for v in value):
        raise ValueError(f"category {identifier} has the color {value!r}: three integers in 0..255 are needed")
    return value[0], value[1], value[2]
