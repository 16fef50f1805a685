"""The events of a search, and what each does to the history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.storage.journal import JournalError
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import Trial, TrialState

FORMAT = 1


def apply(history: History, event: Mapping[str, Any]) -> Trial | None:
    """Bring a history up to date with one event, and return the trial that it concerns.

    The events: ``asked`` (trial, architecture), ``reported`` (trial, step, metrics), ``restarted`` (trial; its reports
    are void), ``completed`` (trial, metrics, seconds), ``failed`` (trial, error, seconds), ``stopped`` (trial,
    seconds). Some only inform: ``search`` (what is searched, how), ``died`` (trial, error), ``interrupted`` and
    ``ended`` (reason).

    Raises:
        JournalError: for an event of another kind.
    """
    kind = event["event"]
    if kind in ("search", "died", "interrupted", "ended"):
        return None
    if kind == "asked":
        trial = Trial(event["trial"], Architecture(event["architecture"]))
        history.add(trial)
        return trial
    trial = _changed(history[event["trial"]], event)
    history.update(trial)
    return trial


def _changed(trial: Trial, event: Mapping[str, Any]) -> Trial:
    kind, seconds = event["event"], event.get("seconds", 0.0)
    if kind == "reported":
        return replace(trial, reports=(*trial.reports, (event["step"], event["metrics"])))
    if kind == "restarted":
        return replace(trial, reports=())
    if kind == "completed":
        return replace(trial, state=TrialState.COMPLETED, metrics=event["metrics"], seconds=seconds)
    if kind == "failed":
        return replace(trial, state=TrialState.FAILED, error=event["error"], seconds=seconds)
    if kind == "stopped":
        return replace(trial, state=TrialState.STOPPED, seconds=seconds)
    raise JournalError(f"Unknown event {kind!r}; it was written by a newer release.")


def replay(history: History, events: Iterable[Mapping[str, Any]], space: SearchSpace) -> None:
    """Bring a history up to date with a journal's events.

    Args:
        history: is changed.
        events: as they stand in the file.
        space: gives the options back that JSON cannot hold, such as an ``Enum`` member in place of its value.

    Raises:
        JournalError: names the first event that does not fit those before it.
    """
    for number, event in enumerate(events, 1):
        try:
            apply(history, _in_space(event, space))
        except (IndexError, KeyError, TypeError, ValueError) as problem:
            raise JournalError(
                f"Event {number} of the journal, {_short(dict(event))}, does not fit what stands before it "
                f"({type(problem).__name__}: {problem}). Restore the file or delete it."
            ) from problem


def _in_space(event: Mapping[str, Any], space: SearchSpace) -> Mapping[str, Any]:
    if event["event"] != "asked":
        return event
    return {**event, "architecture": space.without_inactive(event["architecture"])}


def end_of(events: Sequence[Mapping[str, Any]]) -> str | None:
    """Return why the search ended; None while it runs, or when it was interrupted."""
    return events[-1].get("reason") if events and events[-1]["event"] == "ended" else None


def check_header(journal_path: object, known: Mapping[str, Any], header: Mapping[str, Any]) -> None:
    """Check that a journal belongs to a search.

    Raises:
        JournalError: names the first property in which they differ, with both values.
    """
    for name in header:
        if known.get(name) != header[name]:
            theirs, ours = _first_difference(known.get(name), header[name])
            raise JournalError(
                f"{journal_path} belongs to another search: its {name} is {_short(theirs)}, this one's is "
                f"{_short(ours)}. Use another journal, or make the search as it was."
            )


def _first_difference(theirs: Any, ours: Any) -> tuple[Any, Any]:
    """Return the first items that differ, of two lists (such as spaces) of the same length, else the values."""
    if isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        return next((pair for pair in zip(theirs, ours, strict=True) if pair[0] != pair[1]), (theirs, ours))
    return theirs, ours


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
