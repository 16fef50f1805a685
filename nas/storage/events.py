"""The events of a search, and what each does to the history."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.storage.checks import check_fields
from autopanoptic.nas.storage.cycles import no_search_for_cycles
from autopanoptic.nas.storage.errors import JournalError
from autopanoptic.nas.storage.reading import plain, short
from autopanoptic.nas.trials.budget import Budget
from autopanoptic.nas.trials.evaluations import Evaluation
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import (
    Trial,
    TrialState,
    begun_again,
    evaluated,
    measured,
    promoted,
    reports_of,
    with_changes,
)

INFORMING = frozenset({"search", "died", "attempt_failed", "interrupted", "ended"})


def changed(history: History, event: Mapping[str, Any]) -> Trial | None:
    """Return the trial that an event leads to, which may yet be refused; changes nothing.

    The events: ``asked`` (trial, architecture, and its budget where the search has budgets), ``reported`` (trial, step,
    metrics, and costs with the first one that a stopping rule sees), ``restarted`` (trial; its reports are void, but
    for those before it was last paused), ``evaluated`` (trial, metrics, seconds; one of several evaluations, behind
    which the next begins), ``annotated`` (trial, attributes; whatever its state), ``completed`` (trial, metrics,
    seconds, its budget, and the last evaluation where the metrics are the means of several), ``paused`` (the same,
    with a budget that is not the largest), ``promoted`` (trial, budget, and how many of its evaluations are kept, if
    any; one that was paused runs again), ``failed`` (trial, error, seconds), ``stopped`` (trial, seconds),
    ``reopened`` (trial; one that failed runs again).
    Some only inform: ``search`` (what is searched, how), ``died`` (trial, error; its worker did), ``attempt_failed``
    (trial, error; it is tried again), ``held`` (trial, seconds, and metrics, error or stopped; a result whose turn has
    not come, see :class:`Held`), ``interrupted`` (trials) and ``ended`` (reason).

    Returns:
        None for an event that only informs.

    Raises:
        JournalError: for an event of another kind.
        ValueError: when the event does not fit the history.
    """
    kind = event["event"]
    if kind in INFORMING:
        return None
    if kind == "asked":
        trial = _asked(event)
        history.check_add(trial)
        return trial
    if not 0 <= event["trial"] < len(history):
        raise ValueError(f"There is no trial {event['trial']}; the last is {len(history) - 1}.")
    if kind == "held":
        _check_running(history[event["trial"]])
        return None
    trial = _changed(history[event["trial"]], event)
    if kind == "reopened":
        history.check_reopen(trial.id)
    elif kind == "promoted":
        history.check_promote(trial)
    elif kind != "annotated":
        history.check_update(trial)
    return trial


def _check_running(trial: Trial) -> None:
    """Refuse a result that is held of a trial that does not run."""
    if trial.state is not TrialState.RUNNING:
        raise ValueError(f"Trial {trial.id} is {trial.state.value}, not running, so that no result of it is held.")


def _asked(event: Mapping[str, Any]) -> Trial:
    """Return the trial that an event ``asked`` begins."""
    options = event["architecture"]
    architecture = options if type(options) is Architecture else Architecture(options)
    return Trial(event["trial"], architecture, budget=Budget(0, event["budget"]) if "budget" in event else None)


def _changed(trial: Trial, event: Mapping[str, Any]) -> Trial:
    kind, seconds = event["event"], event.get("seconds", 0.0)
    if kind in _MEASURED:
        _check_budget(trial, event)
        _check_names(trial, event.get("evaluation"))
        return measured(trial, _MEASURED[kind], event["metrics"], seconds, event.get("evaluation"))
    if kind == "evaluated":
        _check_names(trial, event["metrics"])
        return evaluated(trial, Evaluation(event["metrics"], seconds))
    if kind == "annotated":
        return with_changes(trial, attributes={**trial.attributes, **event["attributes"]})
    if kind == "promoted":
        return promoted(trial, event["budget"], event.get("kept", 0))
    if kind == "reported":
        reports = reports_of(trial.reports).followed_by(event["step"], event["metrics"])
        return with_changes(trial, reports=reports, costs=event.get("costs", trial.costs))
    if kind in ("restarted", "reopened"):
        return begun_again(trial)
    if kind == "failed":
        return with_changes(trial, state=TrialState.FAILED, error=event["error"], seconds=trial.seconds + seconds)
    if kind == "stopped":
        return with_changes(trial, state=TrialState.STOPPED, seconds=trial.seconds + seconds)
    raise JournalError(f"Unknown event {kind!r}; it was written by a newer release.")


_MEASURED = {"completed": TrialState.COMPLETED, "paused": TrialState.PAUSED}


def _check_budget(trial: Trial, event: Mapping[str, Any]) -> None:
    """Refuse a result at another budget than the one with which the trial is evaluated."""
    ours = None if trial.budget is None else trial.budget.end
    if event.get("budget") != ours:
        raise ValueError(
            f"Trial {trial.id} has a budget of {ours}, but was {event['event']} with {event.get('budget')}."
        )


def _check_names(trial: Trial, metrics: Mapping[str, float] | None) -> None:
    """Refuse an evaluation with other metrics than those before it; None for the only one of its trial."""
    if metrics is None and not trial.evaluations:
        return
    ours = trial.evaluations[0].metrics.keys() if trial.evaluations else (metrics or {}).keys()
    if metrics is None or metrics.keys() != ours:
        found = None if metrics is None else sorted(metrics)
        raise ValueError(
            f"The evaluations of trial {trial.id} have the metrics {sorted(ours)}, but another has {found}."
        )


def enter(history: History, event: Mapping[str, Any], trial: Trial | None) -> None:
    """Bring a history up to date with an event and the trial that it leads to, as :func:`changed` found it."""
    if trial is None:
        return
    if event["event"] == "asked":
        history.add(trial, checked=True)
    elif event["event"] == "reopened":
        history.reopen(trial.id)
    elif event["event"] == "promoted":
        history.promote(trial)
    elif event["event"] == "annotated":
        history.annotate(trial)
    else:
        history.update(trial, checked=True)


def apply(history: History, event: Mapping[str, Any]) -> Trial | None:
    """Bring a history up to date with one event, and return the trial that it leads to.

    Raises:
        JournalError, ValueError: as :func:`changed`; the history is as it was then.
    """
    trial = changed(history, event)
    enter(history, event, trial)
    return trial


def replay(
    history: History,
    events: Iterable[Mapping[str, Any]],
    space: SearchSpace,
    *seers: Callable[[Mapping[str, Any]], object],
) -> None:
    """Bring a history up to date with a journal's events.

    Args:
        history: is changed.
        events: as they stand in the file, one a line, or of a :class:`Reading` in that space.
        space: gives the options back that JSON cannot hold, such as an ``Enum`` member in place of its value.
        seers: are shown each event, once the history has it.

    Raises:
        JournalError: names the first event that does not fit those before it, with its line.
    """
    with no_search_for_cycles():
        for number, event in enumerate(events, 1):
            try:
                apply(history, checked_event(event, space))
                for see in seers:
                    see(event)
            except MISFITS as problem:
                raise JournalError(
                    f"Line {number} of the journal, {short(plain(event))}, does not fit what stands before it "
                    f"({said(problem)}). Restore the file, or keep what can be read by `autopanoptic journal repair`."
                ) from problem


MISFITS = (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What an event raises that does not fit the history, or is not what a search writes."""


def said(problem: BaseException) -> str:
    """Return what is wrong, on one line."""
    return f"{type(problem).__name__}: {problem}"


def checked_event(event: Mapping[str, Any], space: SearchSpace) -> Mapping[str, Any]:
    """Return an event that a file holds as a search has recorded it.

    Raises:
        ValueError: when a field is missing or of another type, or an architecture is not one of the space.
    """
    check_fields(event)
    if event["event"] != "asked" or type(event["architecture"]) is Architecture:
        return event
    return {**event, "architecture": space.without_inactive(event["architecture"])}


def end_of(last: Mapping[str, Any] | None) -> str | None:
    """Return why a search ended, of which the last event is given; None while it runs, or when it was interrupted."""
    return last.get("reason") if last is not None and last["event"] == "ended" else None
