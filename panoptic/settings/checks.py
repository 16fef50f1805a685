"""Checks of values that a config gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from numbers import Integral, Real
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

_KINDS: Mapping[Any, str] = {bool: "True or False", int: "a whole number", float: "a number"}


def require_at_least(least: int, settings: object, *names: str) -> None:
    """Refuse fields with less; one that is None has no value to be too small."""
    for name in names:
        value = getattr(settings, name)
        if value is not None and value < least:
            raise ValueError(f"{name} must be at least {least}, not {value}")


def require_options(settings: object) -> None:
    """Refuse what is none of the options of a field, which a program that is not type-checked may give."""
    hints = get_type_hints(type(settings))
    for one in fields(settings):  # type: ignore[arg-type]
        parts = (hints[one.name], *get_args(hints[one.name]))
        options = [option for part in parts for option in _literals(part)]
        value = getattr(settings, one.name)
        if options and value not in options and not (value is None and type(None) in parts):
            raise ValueError(f"{one.name} must be one of {', '.join(options)}, not {value!r}")


def kind_problems(values: object) -> Iterator[str]:
    """Say which fields of a data class hold no number, or no truth value, where its hints promise one."""
    hints = get_type_hints(type(values))
    for one in fields(values):  # type: ignore[arg-type]
        value, hint = getattr(values, one.name), hints[one.name]
        kinds = get_args(hint) or (hint,)
        if get_origin(hint) is tuple:
            many = isinstance(value, tuple) and (Ellipsis in kinds or len(value) == len(kinds))
            if not many or not all(_is_of(kinds[:1], item) for item in value):
                yield f"{one.name} must be of the kind {hint}, not {value!r}"
        elif not _is_of(kinds, value):
            yield f"{one.name} must be {next(_KINDS[kind] for kind in kinds if kind in _KINDS)}, not {value!r}"


def _is_of(kinds: Sequence[Any], value: object) -> bool:
    """Whether a value is of one of some kinds, of which others than numbers and truth values are not looked at."""
    if any(kind not in (*_KINDS, NoneType) for kind in kinds):
        return True
    if isinstance(value, bool) or value is None:
        return type(value) in kinds
    return (int in kinds and isinstance(value, Integral)) or (float in kinds and isinstance(value, Real))


def _literals(hint: object) -> tuple[str, ...]:
    return get_args(hint) if getattr(hint, "__origin__", None) is Literal else ()
