"""One pass over a journal's file, of which no more than one event is in memory at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.storage.asked import AskedLines
from autopanoptic.nas.storage.errors import JournalError

Event: TypeAlias = dict[str, Any]

MORE = "more"
"""The field of an event that counts only together with the one behind it."""


class Reading:
    """The events of a journal's file, in their order; each iteration reads the file anew.

    A last line that a kill cut short is left out, and so are the last events where they are the beginning of a group
    that was to be written as a whole (each but its last has ``"more": true``). A file that is not there has no events.

    Args:
        path: the file.
        end: how many bytes of it are read; all by default.
        space: of the search. Where it is known, an event that begins a trial may have its architecture as an
            :class:`Architecture` of this space, which need not be checked again.

    Attributes:
        first: the first event so far, None before there is one.
        last: the last event so far.
        count: the number of events so far.
        length: the bytes of their lines.

    An iteration raises :class:`JournalError` when the path is a folder or cannot be read, and where it comes to a whole
    line that holds no event.
    """

    def __init__(self, path: Path, end: int | None = None, space: SearchSpace | None = None) -> None:
        self.path = path
        self._end = end
        self._asked = None if space is None else AskedLines(space, _DECODER)
        self._start()

    def _start(self) -> None:
        self.first: Event | None = None
        self.last: Event | None = None
        self.count = self.length = 0

    def __iter__(self) -> Iterator[Event]:
        self._start()
        group: list[tuple[Event, int]] = []
        for line in lines(self.path):
            if not line.endswith(b"\n") or self.length == self._end:
                return
            event = self._event(line, self.count + len(group) + 1)
            if not group and MORE not in event:
                self._take(event, len(line))
                yield event
                continue
            group.append((event, len(line)))
            if event.get(MORE) is not True:
                for one, length in group:
                    self._take(one, length)
                    yield one
                group.clear()

    def _event(self, line: bytes, number: int) -> Event:
        try:
            return _decoded(line, self._asked)
        except _UnreadableError as problem:
            raise JournalError(f"{self.path}, line {number} {problem} {_remedy(number - 1)}") from problem.__cause__

    def _take(self, event: Event, length: int) -> None:
        self.count += 1
        self.length += length
        self.last = event
        if self.first is None:
            self.first = event

    def header(self) -> Event | None:
        """Return the first event alone; None where there is none."""
        return next(iter(self), None)

    def to_the_end(self) -> Reading:
        """Read all that has not been read, and return this reading."""
        for _ in self:
            pass
        return self


def lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file as bytes, with their ends; none where there is no file.

    Raises:
        JournalError: when the path is a folder or cannot be read.
    """
    try:
        if path.is_dir():
            within = ", ".join(str(file) for file in sorted(path.glob("*.jsonl")))
            raise JournalError(f"{path} is a folder. Name the journal itself{within and f': {within}'}.")
        with path.open("rb") as file:
            yield from file
    except FileNotFoundError:
        return
    except OSError as problem:
        raise JournalError(f"{path} cannot be read: {problem.strerror}. Mend the cause and try again.") from problem


def _remedy(number: int) -> str:
    return "`autopanoptic journal repair` keeps what can be read." if number else "Is it a journal?"


def parsed(line: bytes, where: str, remedy: str) -> Event:
    """Return the event that a line holds.

    Args:
        line: JSON, as UTF-8.
        where: begins the message of an error.
        remedy: ends it.

    Raises:
        JournalError: when it holds none.
    """
    try:
        return _decoded(line)
    except _UnreadableError as problem:
        raise JournalError(f"{where} {problem} {remedy}") from problem.__cause__


class _UnreadableError(Exception):
    """Says what is wrong with a line, as the end of a sentence that begins with its place."""


def _decoded(line: bytes, asked: AskedLines | None = None) -> Event:
    try:
        text = line.decode()
        event = (asked and asked.event(text)) or _value(text)
    except (ValueError, RecursionError) as error:
        raise _UnreadableError(f"is not JSON ({error}).") from error
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        raise _UnreadableError(f"is not an event of a search: {short(event)}.")
    return event


def _value(text: str) -> Any:
    try:
        value, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return _DECODER.decode(text)  # which takes blanks before it, and says what is wrong
    return value if text[end:] == "\n" else _DECODER.decode(text)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number that JSON knows")


_DECODER = json.JSONDecoder(parse_constant=_no_number)


def plain(event: Mapping[str, Any]) -> Event:
    """Return an event as it stands in a file."""
    options = event.get("architecture")
    return {**event, "architecture": options.to_json()} if isinstance(options, Architecture) else dict(event)


def short(value: Any) -> str:
    """Return a value for an error message, cut after 200 characters."""
    return cut(repr(value))


def cut(text: str) -> str:
    """Return a text, cut after 200 characters."""
    return text if len(text) <= 200 else f"{text[:200]}..."
