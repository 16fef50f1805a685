"""A journal that may be damaged, line by line: what is wrong with it, and what of it can be kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from autopanoptic.nas.journals.salvage import salvaged
from autopanoptic.nas.results.described import described
from autopanoptic.nas.search.repeats import keeps_evaluations
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.storage.errors import JournalError
from autopanoptic.nas.storage.events import MISFITS, apply, checked_event, said
from autopanoptic.nas.storage.reading import MORE, Event, lines, parsed, short
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import TrialState

ENDS = ("completed", "failed", "stopped", "paused")
AFTER_REOPENING = ("reported", "restarted", "evaluated", "held", "completed", "stopped", "paused")
"""What shows of a failed trial that it was to run again."""
MEASURED = ("completed", "paused")
"""What shows of a paused trial, by its budget, that it was promoted."""


class Problem(NamedTuple):
    """What is wrong with a line, and what becomes of it."""

    line: int
    text: str


class Mending:
    """Reads a journal to its end, whatever it comes to, and says what is wrong.

    Records that fit are kept as they stand. Of a damaged line those records are kept that are whole. Where the
    beginning of a trial is lost, the trials behind it move up, for the trials of a search are numbered without gaps.

    Args:
        path: the journal.

    Attributes:
        problems: in the order of the lines, so far.
        records: how many are kept, so far.
        history: the trials, so far; None before the first line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.problems: list[Problem] = []
        self.records = 0
        self.history: History | None = None
        self._space: SearchSpace | None = None
        self._numbers: dict[int, int] = {}  # of trials here, by those in the file
        self._shift = 0
        self._line = 0
        self._intact = self._keeps = False
        self._last: Event | None = None

    def lines(self) -> Iterator[bytes]:
        """Yield the lines of the repaired journal.

        Raises:
            FileNotFoundError: when there is no such file.
            JournalError: when it cannot be read, its first line does not describe a search, or it is of another format.
        """
        if not self._path.exists():
            raise FileNotFoundError(f"There is no journal {self._path}.")
        unfinished = b""
        for line, kept in self._kept_lines():
            if unfinished:
                yield unfinished
            unfinished = line if kept.get(MORE) is True else b""
            if not unfinished:
                yield line
        if self.history is None:
            raise JournalError(self._no_description() if self._line else f"{self._path} is empty.")
        if unfinished:
            self._say("begins or continues a group whose end is lost, so a search would leave it out; it is kept")
            yield (
                json.dumps({name: value for name, value in (self._last or {}).items() if name != MORE}).encode() + b"\n"
            )

    def _kept_lines(self) -> Iterator[tuple[bytes, Event]]:
        for number, line in enumerate(lines(self._path), 1):
            self._line = number
            for event in self._events(line):
                for kept in self._kept(event):
                    self.records += 1
                    self._last = kept
                    # What has not been changed stays as it stands, byte by byte.
                    yield (line if kept is event and self._intact else json.dumps(kept).encode() + b"\n"), kept

    def to_the_end(self) -> Mending:
        """Read all, and return this object."""
        for _ in self.lines():
            pass
        return self

    def _say(self, text: str) -> None:
        self.problems.append(Problem(self._line, text))

    def _events(self, line: bytes) -> list[Event]:
        self._intact = False
        try:
            event = parsed(line, "it", remedy="")
        except JournalError as problem:
            return self._salvaged(line, str(problem).strip())
        self._intact = line.endswith(b"\n")
        if not self._intact:
            self._say("has no end of line, so a search would leave it out; it is whole and is kept")
        return [event]

    def _salvaged(self, line: bytes, problem: str) -> list[Event]:
        found = salvaged(line)
        kept = f"; {len(found)} whole records of it are kept" if found else ""
        if line.endswith(b"\n"):
            self._say(f"is damaged: {problem} Lost: {short(line)}{kept}")
        else:
            self._say(f"is cut short after {len(line)} bytes, as a kill leaves it. Lost: {short(line)}{kept}")
        return found

    def _kept(self, event: Event) -> Iterator[Event]:
        """Yield what stands for an event in the repaired journal."""
        if self.history is None:
            self._begin(event)
            yield event
            return
        numbered = self._numbered(event)
        if numbered is None:
            return
        if self._lacks_reopening(numbered):
            reopened = {"event": "reopened", "trial": numbered["trial"]}
            self._say(f"shows that trial {numbered['trial']}, which had failed, ran again: a record of that is put in")
            apply(self.history, reopened)
            yield reopened
        if self._lacks_promotion(numbered):
            kept = len(self.history[numbered["trial"]].evaluations) if self._keeps else 0
            promoted = {"event": "promoted", "trial": numbered["trial"], "budget": numbered["budget"]}
            promoted |= {"kept": kept} if kept else {}
            self._say(f"shows that trial {numbered['trial']}, which was paused, went on: a record of that is put in")
            apply(self.history, promoted)
            yield promoted
        if self._fits(numbered):
            yield numbered

    def _begin(self, event: Event) -> None:
        if self._line > 1:
            raise JournalError(self._no_description())
        self._space, self.history = described(self._path, event)
        self._keeps = keeps_evaluations(event)

    def _no_description(self) -> str:
        return (
            f"{self._path}, line 1, which describes the search, {self.problems[0].text}. Put the first line of another "
            "journal of the same search in its place."
        )

    def _numbered(self, event: Event) -> Event | None:
        """Return the event with the number that its trial has here; None, and say why, where it has none."""
        if event["event"] == "asked":
            return self._asked(event)
        number = event.get("trial")
        if isinstance(number, int) and number not in self._numbers:
            self._say(f"is left out: trial {number}, whose {event['event']!r} it is, has no beginning. {short(event)}")
            return None
        moved = self._numbers.get(number) if isinstance(number, int) else None
        return event if moved in (None, number) else {**event, "trial": moved}

    def _asked(self, event: Event) -> Event | None:
        assert self.history is not None
        assert self._space is not None
        number, free = event.get("trial"), len(self.history)
        try:
            architecture = checked_event(event, self._space)["architecture"]
        except MISFITS as problem:
            self._say(f"is left out, as it is no trial of this search ({said(problem)}). {short(event)}")
            return None
        assert isinstance(number, int)
        known = self.history.trial_of(architecture)
        if known is not None:
            self._numbers[number] = known.id
            self._say(f"is left out, as trial {known.id} has its architecture already")
            return None
        self._numbers[number] = free
        if number - free != self._shift:
            self._say(f"begins trial {number}, which is trial {free} here, and so are moved those that follow")
            self._shift = number - free
        return event if number == free else {**event, "trial": free}

    def _lacks_reopening(self, event: Event) -> bool:
        assert self.history is not None
        number = event.get("trial")
        failed = isinstance(number, int) and event["event"] != "asked" and self._is(number, TrialState.FAILED)
        return failed and event["event"] in AFTER_REOPENING

    def _lacks_promotion(self, event: Event) -> bool:
        assert self.history is not None
        number, budget = event.get("trial"), event.get("budget")
        if event["event"] not in MEASURED or not (isinstance(number, int) and self._is(number, TrialState.PAUSED)):
            return False
        return isinstance(budget, int) and self.history[number].reached < budget < 1 << 63

    def _is(self, number: int, state: TrialState) -> bool:
        assert self.history is not None
        return 0 <= number < len(self.history) and self.history[number].state is state

    def _fits(self, event: Event) -> bool:
        assert self.history is not None
        assert self._space is not None
        if event["event"] == "ended" and _timeless(event) == _timeless(self._last):
            self._say("is left out, as it repeats the end of the search")
            return False
        try:
            apply(self.history, checked_event(event, self._space))
        except (*MISFITS, JournalError) as problem:
            self._say(f"is left out: {self._why(event, problem).rstrip('.')}. {short(event)}")
            return False
        return True

    def _why(self, event: Event, problem: Exception) -> str:
        assert self.history is not None
        number = event.get("trial")
        if event["event"] in ENDS and isinstance(number, int) and not self._is(number, TrialState.RUNNING):
            state = self.history[number].state
            return f"trial {number} has ended before, as {state.value}"
        return said(problem)


def _timeless(event: Event | None) -> dict[str, Any]:
    return {name: value for name, value in (event or {}).items() if name != "time"}
