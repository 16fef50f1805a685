"""What architectures carry of the space that has made them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from weakref import WeakValueDictionary

from autopanoptic.nas.space.architecture import Option
from autopanoptic.nas.space.choice import Choice


class Mark:
    """Stands for the choices of a space; spaces that write their architectures alike have the same one.

    Args:
        text: of the choices.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return _of_text, (self.text,)


def mark_of(choices: Iterable[Choice]) -> Mark:
    """Return the mark of some choices, in this process the same object for the same choices.

    By their text and types, not by equality: 1, 1.0 and True are equal options, but are written differently, and a
    member of an ``Enum`` is not its value.
    """
    return _of_text(
        json.dumps([[choice.to_json(), [_type(option) for option in choice.options]] for choice in choices])
    )


def _type(option: Option) -> str:
    return f"{type(option).__module__}.{type(option).__qualname__}"


_MARKS: WeakValueDictionary[str, Mark] = WeakValueDictionary()


def _of_text(text: str) -> Mark:
    # Two threads may make one each: what carries the other's is only checked once more.
    return _MARKS.setdefault(text, Mark(text))
