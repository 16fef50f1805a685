"""The whole records of a damaged line."""

from __future__ import annotations

import re

from autopanoptic.nas.storage.errors import JournalError
from autopanoptic.nas.storage.reading import Event, parsed

START = b'{"event"'
"""How each record begins; within a text its quotes would be escaped."""


def salvaged(line: bytes) -> list[Event]:
    """Return the whole records of a line, in their order.

    Two may stand on it where an end of line is lost, or one behind the beginning of another that a kill cut short.
    """
    starts = [match.start() for match in re.finditer(re.escape(START), line)]
    pieces = [line[start:end] for start, end in zip(starts, [*starts, len(line)][1:], strict=True)]
    return [event for piece in pieces for event in _event_of(piece)]


def _event_of(piece: bytes) -> list[Event]:
    # What has got in behind the record, zeros of a lost block for instance, is no part of it.
    end = piece.rfind(b"}") + 1
    try:
        return [parsed(piece[:end], "it", remedy="")]
    except JournalError:
        return []
