"""What users may keep with a trial."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def checked_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes as JSON would give them back: tuples are lists, numbers of numpy and torch plain ones.

    Raises:
        ValueError: when a name is no text or empty, or a value is nothing that JSON has words for; names the attribute.
    """
    return {_name(name): _value(name, value) for name, value in attributes.items()}


def _name(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise ValueError(f"The name of an attribute must be a text that is not empty, not {name!r}.")
    return name


def _value(name: str, value: Any) -> Any:
    try:
        _check_keys(value)
        return json.loads(json.dumps(value, allow_nan=False, default=_plain))
    except (RecursionError, TypeError, ValueError) as problem:
        raise ValueError(
            f"Attribute {name!r} is {value!r:.200}; it must be what JSON can hold: None, a boolean, a finite number, a "
            f"text, or lists and dictionaries of such ({problem})."
        ) from problem


def _check_keys(value: Any) -> None:
    """Refuse keys that JSON would turn into texts, so that what is read is what was written."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"the key {key!r} is no text")
            _check_keys(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _check_keys(inner)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        return value.item()
    raise TypeError(f"{type(value).__name__} is none of these")
