"""The events of a search, and what each does to the history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from autopanoptic.nas.architecture import Architecture
from autopanoptic.nas.history import History
from autopanoptic.nas.journal import JournalError
from autopanoptic.nas.trial import Trial, TrialState

FORMAT = 1


def apply(history: History, event: Mapping[str, Any]) -> Trial | None:
    """Bring a history up to date with one event, and return the trial that it concerns.

    The events: ``asked`` (trial, architecture), ``reported`` (trial, step, metrics), ``restarted`` (trial; its reports
    are void), ``completed`` (trial, metrics, seconds), ``failed`` (trial, error, seconds), ``stopped`` (trial,
    seconds). ``search``, ``died`` and ``interrupted`` only inform.

    Raises:
        JournalError: for an event of another kind.
    """
    kind = event["event"]
    if kind in ("search", "died", "interrupted"):
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


def replay(history: History, events: Iterable[Mapping[str, Any]]) -> None:
    """Bring a history up to date with a journal's events."""
    for event in events:
        apply(history, event)


def check_header(journal_path: object, known: Mapping[str, Any], header: Mapping[str, Any]) -> None:
    """Check that a journal belongs to a search.

    Raises:
        JournalError: names the first property in which they differ, with both values.
    """
    for name in header:
        if known.get(name) != header[name]:
            raise JournalError(
                f"{journal_path} belongs to another search: its {name} is {_short(known.get(name))}, this one's is "
                f"{_short(header[name])}. Use another journal, or make the search as it was."
            )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
