"""Checks of values that a config gives."""

from __future__ import annotations

from dataclasses import fields
from typing import Literal, get_args, get_type_hints


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


def _literals(hint: object) -> tuple[str, ...]:
    return get_args(hint) if getattr(hint, "__origin__", None) is Literal else ()
