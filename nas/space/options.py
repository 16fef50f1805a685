"""What may stand as the options of a choice and as their weights."""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import Enum
from typing import Any

import numpy as np

from autopanoptic.nas.space.architecture import Option


def options_of(label: str, options: Any) -> tuple[Option, ...]:
    """Return the options that a user gave for a choice, numpy's scalars as Python's.

    Raises:
        ValueError: when they are no ordered collection of different JSON scalars; names the value.
    """
    found = tuple(scalar_of(option, f"of choice {label!r}") for option in _ordered(label, "options", options))
    if not found:
        raise ValueError(f"Choice {label!r} has no options.")
    if len(set(found)) < len(found):
        raise ValueError(f"Choice {label!r} has equal options among {list(found)}.")
    return found


def scalar_of(option: Any, of_what: str) -> Option:
    """Return an option as it is kept.

    A member of an ``Enum`` that is a string or a number, too, stays what it is: it equals the value that a JSON file
    holds in its place.

    Raises:
        ValueError: when it is not a string, a finite number or a boolean.
    """
    value = option.item() if isinstance(option, np.generic) else option
    if (isinstance(value, float) and not math.isfinite(value)) or not isinstance(value, (str, int, float, bool)):
        hint = f" Let {type(value).__name__} derive from str or int besides Enum." if isinstance(value, Enum) else ""
        raise ValueError(f"Option {option!r} {of_what} must be a string, a finite number or a boolean.{hint}")
    return value


def weights_of(label: str, options: tuple[Option, ...], weights: Any) -> tuple[float, ...] | None:
    """Return the weights that a user gave for a choice's options.

    Raises:
        ValueError: when they are not one positive number per option.
    """
    if weights is None:
        return None
    given = _ordered(label, "weights", weights)
    found = tuple(weight.item() if isinstance(weight, np.generic) else weight for weight in given)
    if len(found) != len(options):
        raise ValueError(f"Choice {label!r} has {len(options)} options, but the {len(found)} weights {found}.")
    for option, weight in zip(options, found, strict=True):
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight < math.inf:
            raise ValueError(
                f"The weight of option {option!r} of choice {label!r} must be a positive number, not "
                f"{weight!r}. Leave out an option that shall never be taken."
            )
    return found


def _ordered(label: str, name: str, values: Any) -> list[Any]:
    """Return the values of a collection whose order is the same in every run.

    The order of a set of strings changes with Python's hash seed.
    """
    text = f"the text {values!r}" if isinstance(values, (str, bytes)) else repr(values)
    if isinstance(values, (str, bytes, set, frozenset)) or not isinstance(values, Iterable):
        kind = ", whose order may change from run to run" if isinstance(values, (set, frozenset)) else ""
        raise ValueError(f"Choice {label!r} needs a list of {name}, not {text}{kind}.")
    try:
        return list(values)
    except TypeError as problem:  # an array without dimensions
        raise ValueError(f"Choice {label!r} needs a list of {name}, not {text}: {problem}.") from problem
