"""What the fields of an event must be, where it comes from a file that anybody may have written."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.storage.reading import short

EARLIEST, LATEST = -62_000_000_000, 253_000_000_000
"""Seconds since 1970 between which dates have years from 1 to 9999."""


def check_fields(event: Mapping[str, Any]) -> None:
    """Check the types of an event's fields; what they mean, and events of unknown kinds, are for others to check.

    Raises:
        ValueError: names the first field that is missing or of another type, with its value.
    """
    needed, known = _OF_KIND.get(event["event"], _OF_OTHERS)
    if event["event"] == "held":
        _check_end(event)
    for name in needed:
        if name not in event:
            raise ValueError(f"{name!r} is missing; it is {known[name][1]}.")
    for name, value in event.items():
        if name in known and not known[name][0](value):
            raise ValueError(f"{name!r} is {known[name][1]}, not {short(value)}.")


def _check_end(event: Mapping[str, Any]) -> None:
    """Refuse a held result that is not one of three: metrics, an error, or that a rule has stopped the trial."""
    found = [name for name in _ENDS if name in event]
    if len(found) != 1 or not _ENDS[found[0]](event[found[0]]):
        raise ValueError(f"it holds no result, but {short({name: event[name] for name in found})}.")


def _is_whole(value: Any) -> bool:
    return type(value) is int


def _is_budget(value: Any) -> bool:
    return _is_whole(value) and 0 < value < 1 << 63


def _is_number(value: Any) -> bool:
    return (type(value) is float and math.isfinite(value)) or (type(value) is int and abs(value) < 1 << 1000)


def _is_time(value: Any) -> bool:
    return _is_number(value) and EARLIEST <= value <= LATEST


def _are_numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_number, value.values()))


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_architecture(value: Any) -> bool:
    return type(value) is Architecture or isinstance(value, dict)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_text_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _are_whole(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_whole, value))


_Field = tuple[Callable[[Any], bool], str]
_TRIAL: dict[str, _Field] = {"trial": (_is_whole, "the number of a trial")}
_METRICS: dict[str, _Field] = {"metrics": (_are_numbers, "an object of finite numbers")}
_BUDGET: dict[str, _Field] = {"budget": (_is_budget, "a whole number above 0")}
_FIELDS: dict[str, dict[str, _Field]] = {
    "asked": {**_TRIAL, "architecture": (_is_architecture, "an object")},
    "reported": {**_TRIAL, **_METRICS, "step": (_is_whole, "a whole number")},
    "restarted": _TRIAL,
    "reopened": _TRIAL,
    "completed": {**_TRIAL, **_METRICS},
    "evaluated": {**_TRIAL, **_METRICS},
    "annotated": {**_TRIAL, "attributes": (_is_object, "an object")},
    "paused": {**_TRIAL, **_METRICS, **_BUDGET},
    "promoted": {**_TRIAL, **_BUDGET},
    "failed": {**_TRIAL, "error": (_is_text, "a text")},
    "stopped": _TRIAL,
    "died": _TRIAL,
    "held": _TRIAL,
    "attempt_failed": _TRIAL,
}
_ENDS: dict[str, Callable[[Any], bool]] = {
    "metrics": _are_numbers,
    "error": _is_text,
    "stopped": lambda value: value is True,
}
_WHERE_GIVEN: dict[str, _Field] = {
    "seconds": (_is_number, "a finite number"),
    **_BUDGET,
    "kept": (_is_budget, "a whole number above 0"),
    "time": (_is_time, "a number of seconds since 1970 that a date can be made of"),
    "costs": (_are_numbers, "an object of finite numbers"),
    "evaluation": (_are_numbers, "an object of finite numbers"),
    "error": (_is_text_or_none, "a text"),
    "reason": (_is_text_or_none, "a text"),
    "trials": (_are_whole, "a list of numbers of trials"),
}
_OF_OTHERS: tuple[tuple[str, ...], dict[str, _Field]] = ((), _WHERE_GIVEN)
_OF_KIND = {kind: (tuple(fields), {**_WHERE_GIVEN, **fields}) for kind, fields in _FIELDS.items()}
"""Of each kind of event, what it must have, and what each field is that it may have."""
