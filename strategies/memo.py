"""A cache of what follows from a history."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from autopanoptic.nas.trials.history import History

Value = TypeVar("Value")


class HistoryMemo(Generic[Value]):
    """Keeps values that a strategy has worked out from a history, and drops them with the history.

    It is a cache, never the truth: every value must follow from the history, so that a resumed search works it out
    again. Searches that share a strategy do not see each other's values, and a copied or pickled strategy starts with
    an empty memo.
    """

    def __init__(self) -> None:
        self._values: WeakKeyDictionary[History, dict[Hashable, Value]] = WeakKeyDictionary()

    def get(self, history: History, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the value kept under a key of a history, made when it is first asked for."""
        known = self._values.setdefault(history, {})
        if key not in known:
            known[key] = make()
        return known[key]

    def __reduce__(self) -> tuple[type[HistoryMemo[Value]], tuple[()]]:
        return type(self), ()
