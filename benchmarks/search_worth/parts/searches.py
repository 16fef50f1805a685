"""One search among the paths of a trained supernet, as a row tells of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from autopanoptic.nas import Architecture, PathPriority, Result, Strategy, Supernet
from autopanoptic.panoptic.configs.config import change_settings
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.results.fronts import TOLERANCE
from autopanoptic.panoptic.results.json_files import read_object, write_object
from autopanoptic.panoptic.run.folder import Run
from autopanoptic.panoptic.run.prepare import prepared
from autopanoptic.panoptic.run.train_supernet import train_supernet
from autopanoptic.panoptic.search.strategies import answer_of, strategy_of
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.batches import chunks_of
from autopanoptic.panoptic.stages.comparison import on_nas_val
from autopanoptic.panoptic.stages.search import Candidates
from benchmarks.search_worth.study import Problem, Study


def supernet_of(study: Study, problem: Problem, seed: int, console: Console) -> tuple[Settings, Supernet, Datasets]:
    """Return the supernet of a seed's run, trained where it is not, with the settings and the data."""
    run = Run(problem.settings(seed), study.folder(problem, seed), console)
    return run.settings, train_supernet(run), prepared(run)


def search(
    settings: Settings, supernet: Supernet, datasets: Datasets, folder: Path, console: Console,
    changes: Mapping[str, Any], budget: float | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Search, going on from the folder's journal, and return what a row tells.

    Args:
        settings: Of the supernet's run.
        supernet: Trained.
        datasets: Of the run.
        folder: Of this search alone.
        console: Shows the progress.
        changes: Of the settings, such as the strategy.
        budget: The most GFLOPs of the answer of a search with a cost; None for one whose strategy answers.

    Returns:
        ``answer`` and ``best``, the best candidate before it, each with its architecture and PQ on nas_val and val; the
        GFLOPs and PQ on nas_val of each candidate that was measured to the end, in their order; the number of
        candidates, of nas_val's chunks, the share of its batches that were measured for them, and the seconds of the
        search by the clock, those of interrupted calls with them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    changed, taken = change_settings(settings, changes), Taken(folder)
    with Candidates(changed, supernet, datasets, folder, progress=console.is_terminal) as candidates:
        with taken:
            result = candidates.searched()
        seconds = taken.seconds
        answer, best = _answers(changed, result, budget)
        on_val = candidates.on_val(list(dict.fromkeys([answer, best]))).history
    return {
        "seed": changed.seed,
        "trials": len(result.history),
        "completed": result.history.n_completed,
        "measured": _measured(changed, datasets, result),
        "seconds": round(seconds, 1),
        **told_of(changed, datasets, result),
        **{
            name: {
                "id": one.id, "architecture": one.to_json(), "nas_val": on_nas_val(result, one),
                "val": on_val.trial_of(one).metrics["pq"],  # type: ignore[union-attr]
            }
            for name, one in (("answer", answer), ("best", best))
        },
    }  # fmt: skip


class Taken:
    """Adds up the seconds of a search over its calls, also those that Ctrl-C ended.

    Args:
        folder: Of the search; gets ``seconds.json``.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "seconds.json"
        self.seconds: float = read_object(self._path)["search"] if self._path.exists() else 0.0

    def __enter__(self) -> None:
        self._begun = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.monotonic() - self._begun
        write_object(self._path, {"search": self.seconds})


def told_of(settings: Settings, datasets: Datasets, result: Result) -> dict[str, Any]:
    """Return a search's candidates, GFLOPs and PQ on nas_val of those measured to the end, and nas_val's chunks."""
    batches, every = chunks_of(settings, datasets.nas_val)
    objective = settings.search.objective
    return {
        "candidates": [[trial.metrics["gflops"], trial.metrics[objective]] for trial in result.history.completed],
        "chunks": batches // (every or batches),
    }


def _answers(settings: Settings, result: Result, budget: float | None) -> tuple[Architecture, Architecture]:
    """Return what a search answers, and the best candidate that it saw before; of a front both are the same."""
    if budget is None:
        strategy = strategy_of(settings.search.strategy, settings.search.trials, result.space)
        return answer_of(strategy, result), best_before_the_answer(strategy, result)
    best = result.best_within({"gflops": (None, budget * (1 + TOLERANCE))}).architecture
    return best, best


def best_before_the_answer(strategy: Strategy, result: Result) -> Architecture:
    """Return the best candidate of a search, of path priority without the answer that it has measured after them."""
    history = result.history
    if not isinstance(strategy, PathPriority):
        return result.best.architecture
    count = strategy.trials(result.space)
    return history.ranked(trial for trial in history.completed if trial.id < count)[0].architecture


def _measured(settings: Settings, datasets: Datasets, result: Result) -> float:
    """Return which share of nas_val's batches the candidates were measured on."""
    batches, _ = chunks_of(settings, datasets.nas_val)
    completed = {trial.id for trial in result.history.completed}
    seen = sum(
        batches if trial.id in completed else trial.reports[-1][0] if trial.reports else 0 for trial in result.history
    )
    return seen / (batches * len(result.history))
