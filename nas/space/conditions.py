"""The conditions under which a choice is made, in all the forms in which they may be given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from autopanoptic.nas.space.architecture import Option
from autopanoptic.nas.space.options import scalar_of

Condition: TypeAlias = tuple[str, tuple[Option, ...]]
"""(label, options): holds while the choice of that label is made and takes one of the options."""

FORM = "(label, option or options), such as ('depth', (2, 3)), or a list of such pairs"


def conditions_of(label: str, condition: Any) -> tuple[Condition, ...]:
    """Return the conditions that a user gave for a choice: None, a pair, or pairs.

    Raises:
        ValueError: names what is not a pair of a label and one or several options.
    """
    if condition is None:
        return ()
    if isinstance(condition, (tuple, list)) and len(condition) == 2 and isinstance(condition[0], str):
        return (_condition(label, condition),)
    if isinstance(condition, (str, bytes, Mapping, np.ndarray, range)) or not isinstance(condition, Iterable):
        raise ValueError(f"Condition {condition!r} of choice {label!r} must be {FORM}.")
    return tuple(_condition(label, pair) for pair in _sorted(condition))


def _condition(label: str, pair: Any) -> Condition:
    if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not isinstance(pair[0], str):
        raise ValueError(f"Condition {pair!r} of choice {label!r} must be {FORM}.")
    parent, allowed = pair
    options = tuple(scalar_of(option, f"in condition {pair!r} of choice {label!r}") for option in _several(allowed))
    if not options:
        raise ValueError(f"Condition {pair!r} of choice {label!r} names no option, so it could never hold.")
    return parent, options


def _several(allowed: Any) -> list[Any]:
    """Return the options of a list, range, set or array of them; of a single one itself."""
    array = isinstance(allowed, np.ndarray) and allowed.ndim > 0
    if array or (isinstance(allowed, Iterable) and not isinstance(allowed, (str, bytes, Mapping, np.ndarray))):
        return _sorted(allowed)
    return [allowed]


def _sorted(values: Iterable[Any]) -> list[Any]:
    """Return the values, those of a set sorted: it has no order of its own, and equal spaces must be written alike."""
    return sorted(values, key=repr) if isinstance(values, (set, frozenset)) else list(values)
