"""The lines of a journal that begin trials, read in half of the time that JSON takes."""

from __future__ import annotations

import json
from typing import Any

from autopanoptic.nas.space.architecture import Architecture, Option
from autopanoptic.nas.space.space import SearchSpace

HEAD, MIDDLE, CLOSE = '{"event": "asked", "trial": ', ', "architecture": {', "}"
"""How a search writes such a line."""


class AskedLines:
    """Reads a line that begins a trial of a space without conditions, as a search writes it.

    The text of each option is looked up, in place of decoding it, checking it against the space and hashing it, which
    is most of what it takes to open a journal of many choices. Whatever is written in another way, or is not of the
    space, is left to others.

    Args:
        space: of the search.
        decoder: of the rest of the line.
    """

    def __init__(self, space: SearchSpace, decoder: json.JSONDecoder) -> None:
        self._decode = decoder.raw_decode
        self._is_flat = not any(choice.conditions for choice in space.choices)
        self._labels = tuple(choice.label for choice in space.choices)
        self._pairs: list[dict[str, tuple[str, Option]]] = [
            {json.dumps({choice.label: option})[1:-1]: (choice.label, option) for option in choice.options}
            for choice in space.choices
        ]

    def event(self, text: str) -> dict[str, Any] | None:
        """Return the event, whose architecture is an :class:`Architecture`; None where the line is another one."""
        if not (self._is_flat and text.startswith(HEAD)):
            return None
        begin = text.find(MIDDLE)
        start, end = begin + len(MIDDLE), text.find(CLOSE, begin)
        if begin < 0 or end < 0 or not text[len(HEAD) : begin].isdigit():  # else it may be part of another field
            return None
        rest = text[:begin] + text[end + 1 :]
        try:
            pairs = [of[piece] for of, piece in zip(self._pairs, text[start:end].split(", "), strict=True)]
            event, stop = self._decode(rest)
        except (KeyError, ValueError, RecursionError):
            return None
        if rest[stop:] != "\n" or "architecture" in event:
            return None
        architecture = Architecture.packed(self._labels, tuple([option for _, option in pairs]), pairs)
        return {"event": "asked", "trial": event["trial"], "architecture": architecture, **event}
