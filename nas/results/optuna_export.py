"""A search's journal as a study in an Optuna storage, to be browsed in optuna-dashboard."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autopanoptic.nas.results._optuna import quiet, require_optuna
from autopanoptic.nas.results.result import Result
from autopanoptic.nas.storage.journal import JournalError
from autopanoptic.nas.storage.reading import Reading
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import Trial, TrialState

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial
    from optuna.trial import TrialState as OptunaState

logger = logging.getLogger(__name__)

MOST_NAMED = 10
"""Trials in a warning."""
MARK = "autopanoptic"
"""The user attribute by which a study is known as the export of a journal."""

STATES = {
    TrialState.RUNNING: "RUNNING",
    TrialState.COMPLETED: "COMPLETE",
    TrialState.FAILED: "FAIL",
    TrialState.STOPPED: "PRUNED",
}


def export_optuna(journal: str | Path, storage_url: str | BaseStorage, study_name: str | None = None) -> Study:
    """Write the trials of a journal into a study of an Optuna storage, and return the study.

    The search may be finished or running. Called again, it adds the trials that are new and brings those up to date
    that were running; it is for one process at a time.

    Trial n has number n, its options as categorical parameters by label, its objectives as values, what the first
    objective was reported to be, or measured at a budget, as intermediate values, its other metrics, ``seconds`` and
    ``error`` as user attributes, and the times from the journal; stopped trials are pruned ones. So are paused ones
    when the search has ended; before, they run. By how much it breaks each constraint of the search is noted in
    Optuna's way. What was exported as ended stays so: a trial that failed, or was paused at the end of a run, and has
    gone on since is named in a warning. Only a trial that was exported while it ran ends, for Optuna, when it is
    brought up to date: a storage takes no other time then.

    Args:
        journal: the journal of a search.
        storage_url: a file that ends in ``.log``, which becomes Optuna's journal file; a database as SQLAlchemy names
            it, such as ``sqlite:///studies.db``, which takes about ten times as long; or a storage of Optuna's.
        study_name: the study's name; by default the journal's file name without its ending.

    Raises:
        ImportError: when Optuna, or the driver of the database, is not installed.
        FileNotFoundError: when there is no such journal.
        JournalError: when the journal is damaged or empty.
        ValueError: when the storage cannot be opened, or has a study of that name that is no export of this journal.
    """
    require_optuna("export_optuna")
    result = Result.from_journal(journal)
    events = Reading(Path(journal))  # read later, so that it tells the times of all that the result holds
    with quiet():
        storage = storage_of(storage_url)
        try:
            export = _Export(result, events, Path(journal))
            return export.into(storage, Path(journal).stem if study_name is None else study_name)
        finally:
            storage.remove_session()


def storage_of(url: str | BaseStorage) -> BaseStorage:
    """Return Optuna's storage of a file's name or a database's address; see :func:`export_optuna`.

    Raises:
        ImportError: when the driver of the database is not installed.
        ValueError: when it cannot be opened.
    """
    from optuna.storages import BaseStorage, JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend
    from sqlalchemy.exc import SQLAlchemyError

    if isinstance(url, BaseStorage):
        return url
    try:
        is_file = url.endswith(".log") and "://" not in url
        return JournalStorage(JournalFileBackend(url)) if is_file else RDBStorage(url)
    except (
        SQLAlchemyError,
        RuntimeError,
        KeyError,
        TypeError,
        ValueError,
    ) as problem:  # those of files are of other kinds of file
        reason = f"{type(problem).__name__}: {problem}".splitlines()[0]
        raise ValueError(
            f"Optuna cannot open the storage {url!r}: {reason}. Give one such as studies.log or sqlite:///studies.db."
        ) from problem


class _Export:
    """A journal and the study that it goes into."""

    def __init__(self, result: Result, events: Reading, journal: Path) -> None:
        first = list(islice(events, 2))
        self._result, self._header, self._journal = result, first[0], journal
        self._mark = hashlib.sha256(json.dumps(first, sort_keys=True).encode()).hexdigest()[:16]
        self._began = _times(events, ("asked", "restarted"))
        self._ended = _times(events, ("completed", "failed", "stopped", "paused"))

    def into(self, storage: BaseStorage, name: str) -> Study:
        """Bring the study of a name up to date, or make it."""
        import optuna

        if name in optuna.get_all_study_names(storage):
            study = optuna.load_study(study_name=name, storage=storage)
        else:
            study = self._new_study(storage, name)
        known = study.get_trials(deepcopy=False)
        self._check(study, known)
        study.set_user_attr(MARK, self._mark)
        study_id, history = storage.get_study_id_from_name(name), self._result.history
        gone_on = []
        for trial, exported in zip(map(self._settled, history), known, strict=False):
            if not exported.state.is_finished():
                self._update(storage, storage.get_trial_id_from_study_id_trial_number(study_id, trial.id), trial)
            elif exported.state is not _state(trial):
                gone_on.append(trial.id)
        if gone_on:
            logger.warning(
                "Trials %s have gone on since they were exported as ended, which Optuna does not let change: export "
                "the journal under another study_name.",
                ", ".join(map(str, gone_on[:MOST_NAMED])) + (", ..." if len(gone_on) > MOST_NAMED else ""),
            )
        study.add_trials(self._frozen(self._settled(trial)) for trial in history[len(known) :])
        return study

    def _settled(self, trial: Trial) -> Trial:
        """Return a trial in a state that Optuna knows: a paused one runs, until the search has ended."""
        if trial.state is not TrialState.PAUSED:
            return trial
        return replace(trial, state=TrialState.RUNNING if self._result.ended is None else TrialState.STOPPED)

    def _new_study(self, storage: BaseStorage, name: str) -> Study:
        import optuna

        objectives = self._result.history.objectives
        best = {"max": optuna.study.StudyDirection.MAXIMIZE, "min": optuna.study.StudyDirection.MINIMIZE}
        directions = [best[objective.direction] for objective in objectives]
        study = optuna.create_study(study_name=name, storage=storage, directions=directions)
        study.set_user_attr(MARK, self._mark)
        study.set_metric_names([objective.name for objective in objectives])
        for key in ("strategy", "seed"):
            study.set_user_attr(key, self._header.get(key))
        return study

    def _check(self, study: Study, known: Sequence[FrozenTrial]) -> None:
        mark, history = study.user_attrs.get(MARK), self._result.history
        # A study without trials may have been made before the first of the trials, which the mark tells of, too.
        same = mark == self._mark or (mark is not None and not known)
        pairs = zip(history, known, strict=False)
        if not same or len(known) > len(history) or any(dict(t.architecture) != found.params for t, found in pairs):
            raise ValueError(
                f"The storage has a study {study.study_name!r} that is not the export of {self._journal}. Give another "
                "study_name, or delete that study by optuna.delete_study."
            )

    def _frozen(self, trial: Trial) -> FrozenTrial:
        from optuna.distributions import CategoricalDistribution
        from optuna.trial import create_trial

        space, history = self._result.space, self._result.history
        frozen = create_trial(
            state=_state(trial),
            values=_values(trial, history),
            params=dict(trial.architecture),
            distributions={label: CategoricalDistribution(space[label].options) for label in trial.architecture},
            user_attrs=_attributes(trial, history),
            system_attrs=_constraints(trial, history),
            intermediate_values=_reports(trial, history),
        )
        frozen.datetime_start = self._began[trial.id]
        frozen.datetime_complete = None if trial.state is TrialState.RUNNING else self._ended[trial.id]
        return frozen

    def _update(self, storage: BaseStorage, trial_id: int, trial: Trial) -> None:
        """Bring a trial that was running up to date."""
        history = self._result.history
        for step, value in _reports(trial, history).items():
            storage.set_trial_intermediate_value(trial_id, step, value)
        for name, attribute in _attributes(trial, history).items():
            storage.set_trial_user_attr(trial_id, name, attribute)
        for name, violations in _constraints(trial, history).items():
            storage.set_trial_system_attr(trial_id, name, violations)
        if trial.state is not TrialState.RUNNING:
            storage.set_trial_state_values(trial_id, _state(trial), _values(trial, history))


def _times(events: Iterable[Mapping[str, Any]], kinds: Sequence[str]) -> dict[int, datetime]:
    """Return the time of each trial's last event of some kinds.

    Raises:
        JournalError: when an event of theirs has no time.
    """
    found: dict[int, datetime] = {}
    for event in events:
        if event["event"] in kinds:
            if "time" not in event:
                raise JournalError(f"The journal lacks a time of trial {event['trial']}, which Optuna must know.")
            found[event["trial"]] = datetime.fromtimestamp(event["time"])
    return found


def _state(trial: Trial) -> OptunaState:
    from optuna.trial import TrialState as OptunaState

    return OptunaState[STATES[trial.state]]


def _values(trial: Trial, history: History) -> list[float] | None:
    if trial.state is not TrialState.COMPLETED:
        return None
    return [trial.metrics[objective.name] for objective in history.objectives]


def _reports(trial: Trial, history: History) -> dict[int, float]:
    main = history.objectives[0].name
    measured = [(rung.budget, rung.metrics) for rung in trial.rungs]
    return {step: metrics[main] for step, metrics in (*measured, *trial.reports) if main in metrics}


def _attributes(trial: Trial, history: History) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if trial.state is not TrialState.RUNNING:
        found["seconds"] = trial.seconds
        if trial.error is not None:
            found["error"] = trial.error
        objectives = {objective.name for objective in history.objectives}
        others = {name: value for name, value in trial.metrics.items() if name not in objectives}
        found.update({f"{name} (metric)" if name in found else name: value for name, value in others.items()})
        found.update({f"{name} (standard error)": value for name, value in trial.standard_errors.items()})
    # A trial that runs has not all its own yet, whose names must not be taken.
    taken = {"seconds", "error", *found}
    users = {f"{name} (attribute)" if name in taken else name: value for name, value in trial.attributes.items()}
    return {**found, **users}


def _constraints(trial: Trial, history: History) -> dict[str, list[float]]:
    """Return by how much a trial breaks each constraint, under the name that Optuna gives it."""
    if trial.state is not TrialState.COMPLETED or not history.constraints:
        return {}
    return {"constraints": [bound.violation(trial.metrics[bound.name]) for bound in history.constraints]}
