"""An architecture: one option for every active choice of a search space."""

from __future__ import annotations

import hashlib
import json
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from pathlib import Path
from typing import Any, TypeAlias

from autopanoptic.nas.storage.files import whole

Option: TypeAlias = str | int | float | bool
"""The value of a choice; a JSON scalar."""


class Architecture(Mapping[str, Option]):
    """An immutable mapping from the labels of the active choices to their options.

    Equality and the hash do not depend on the order of the labels. :meth:`SearchSpace.canonical` makes one from any
    mapping; built directly, nothing is checked against a space.

    Args:
        options: by label.
        canonical_of: the mark of the search space in which it is canonical; copies and pickles are without it.
    """

    # A search may hold hundreds of thousands of them.
    __slots__ = ("_canonical_of", "_hash", "_labels", "_options", "_packed")
    _labels: tuple[str, ...]
    _packed: tuple[Option, ...]

    def __init__(self, options: Mapping[str, Option], canonical_of: object = None) -> None:
        self._options = dict(options)
        self._canonical_of = canonical_of
        self._hash: int | None = None

    @classmethod
    def of_own(cls, options: dict[str, Option]) -> Architecture:
        """Return the architecture of a dictionary that nobody else keeps, without copying it."""
        found = cls.__new__(cls)
        found._options, found._canonical_of, found._hash = options, None, None
        return found

    @classmethod
    def packed(
        cls, labels: tuple[str, ...], options: tuple[Option, ...], pairs: Iterable[tuple[str, Option]]
    ) -> Architecture:
        """Return an architecture that takes a third of the memory until somebody asks for an option.

        Args:
            labels: which others share.
            options: in the same order.
            pairs: of both.
        """
        found = cls.__new__(cls)
        found._labels, found._packed, found._canonical_of = labels, options, None
        found._hash = hash(frozenset(pairs))
        return found

    def __getattr__(self, name: str) -> Any:
        if name != "_options":
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self._options = options = dict(zip(self._labels, self._packed, strict=True))  # in two threads the same
        return options

    def is_canonical_of(self, mark: object) -> bool:
        """Return whether a space with this mark has made the architecture, so that it need not check it again."""
        return self._canonical_of is mark

    def __getitem__(self, label: str) -> Option:
        return self._options[label]

    def __iter__(self) -> Iterator[str]:
        return iter(self._options)

    def __len__(self) -> int:
        return len(self._options)

    def __contains__(self, label: object) -> bool:
        return label in self._options

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self._options.items()))
        return self._hash

    def __reduce__(self) -> tuple[type[Architecture], tuple[dict[str, Option]]]:
        # The cached hash must not travel: strings hash differently in another process.
        return type(self), (dict(self._options),)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Architecture):
            return self._options == other._options
        return isinstance(other, Mapping) and self._options == dict(other)

    # A mapping inherits views that go through __getitem__; a search reads far too many architectures for that.
    def keys(self) -> KeysView[str]:
        """Return the labels."""
        return self._options.keys()

    def values(self) -> ValuesView[Option]:
        """Return the options."""
        return self._options.values()

    def items(self) -> ItemsView[str, Option]:
        """Return pairs of label and option."""
        return self._options.items()

    def __repr__(self) -> str:
        return f"Architecture({self._options})"

    @property
    def id(self) -> str:
        """Ten hexadecimal digits that depend on the options alone."""
        text = json.dumps(self._options, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:10]

    def replace(self, label: str, option: Option) -> dict[str, Option]:
        """Return the options with one changed, as a plain dictionary that is yet to be made canonical."""
        return {**self._options, label: option}

    def to_json(self) -> dict[str, Option]:
        """Return the options as a JSON object."""
        return dict(self._options)

    def save(self, path: str | Path) -> None:
        """Write the architecture as a JSON file."""
        with whole(path) as partial:
            partial.write_text(json.dumps(self._options, indent=2) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Architecture:
        """Read an architecture from a JSON file.

        Raises:
            FileNotFoundError: when there is no such file.
            ValueError: when the file is not a JSON object of scalars.
        """
        try:
            options: Any = json.loads(Path(path).read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} is not a JSON file: {error}.") from error
        if not isinstance(options, dict) or not all(isinstance(v, (str, int, float, bool)) for v in options.values()):
            raise ValueError(f"{path} is not an architecture: it must hold one JSON object of label: option.")
        return cls(options)
