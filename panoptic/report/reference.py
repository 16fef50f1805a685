"""A run's search in the files of Auto-Panoptic's published code."""

from __future__ import annotations

from pathlib import Path

from autopanoptic.nas import Architecture, PathPriority
from autopanoptic.panoptic.report.run import Run
from autopanoptic.panoptic.search.architecture_files import write_published
from autopanoptic.panoptic.search.reference_logs import Candidate, write_log
from autopanoptic.panoptic.search.strategies import strategy_of

FOLDER, LOG, MODEL = "reference", "final_test_log.json", "model_{}"
"""The folder within a run, the log, and the result files, from 0 for the answer."""
ANSWERS = 3
"""Result files of a search by path-priority, as many as its units have options; another's next ones are its best."""


def write_reference(folder: str | Path, out: str | Path | None = None) -> Path:
    """Write the search log of a run and what it has found as the published code's files.

    ``final_test_log.json`` has every candidate that was measured, of path-priority those of its cycles; AP, which is
    not measured of candidates, is NaN. ``model_0`` is the network that the run has found, ``model_1`` and ``model_2``
    are of path-priority the second and the third answer by its scoreboard, of another strategy its next best trials.

    Args:
        folder: Of the run.
        out: The folder to write to; by default ``reference/`` in the run's.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: If there is no run, or no candidate is measured yet.
        ValueError: If the run searched another space than the published one, or a file of it is damaged.
    """
    run = Run.read(Path(folder))
    asked = run.settings.search
    if asked.space != "auto-panoptic":
        raise ValueError(
            f"the published code's files hold operators alone, but {folder} has searched the space {asked.space}, with "
            "widths and depths; search with --space auto-panoptic"
        )
    config = run.settings.network_for(len(run.categories.things), len(run.categories.stuff))
    target = run.folder / FOLDER if out is None else Path(out)
    candidates, answers = _candidates(run), _answers(run)
    # Both refuse what the format cannot hold before they make the folder.
    write_log(target / LOG, candidates, config)
    for number, architecture in enumerate(answers):
        write_published(target / MODEL.format(number), [architecture], config)
    return target


def _candidates(run: Run) -> list[Candidate]:
    space, history = run.searched.space, run.searched.history
    strategy = _strategy(run)
    length = PathPriority().length(space)
    last = strategy.trials(space) if isinstance(strategy, PathPriority) else len(history)
    return [
        Candidate(trial.architecture, {**trial.metrics, "pq": trial.metrics[run.objective]}, trial.id // length)
        for trial in history.completed
        if trial.id < last
    ]


def _answers(run: Run) -> list[Architecture]:
    space, history = run.searched.space, run.searched.history
    strategy = _strategy(run)
    if isinstance(strategy, PathPriority):
        others = PathPriority(cycles=strategy.cycles, top=ANSWERS).answers(space, history)[1:]
    else:
        others = [trial.architecture for trial in history.ranked()]
    return list(dict.fromkeys([run.found, *others]))[:ANSWERS]


def _strategy(run: Run) -> object:
    return strategy_of(run.settings.search.strategy, run.settings.search.trials, run.searched.space)
