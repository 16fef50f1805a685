"""The remedies at the small budget: a search of the same supernet within that budget alone.

A search over the whole range of costs has few candidates within a small budget, and fewer that make use of it. So the
trained supernet of each seed is searched again, as ``run --supernet-from RUN --max-gflops BUDGET`` does, with as many
candidates, all within the budget, and as many random draws there. What is then trained and compared is as before, but
for the last remedy, which trains several candidates to the end.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from autopanoptic.nas import Result
from autopanoptic.panoptic.configs.config import change_settings
from autopanoptic.panoptic.results.fronts import RANDOM, SEARCHED, TOLERANCE
from autopanoptic.panoptic.results.json_files import read_object
from autopanoptic.panoptic.run.taking import take_supernet
from autopanoptic.panoptic.stages.comparison import METRICS_FILE
from autopanoptic.panoptic.stages.pipeline import Pipeline
from autopanoptic.panoptic.stages.prepare import prepare
from autopanoptic.panoptic.stages.search import JOURNAL, searched_space
from benchmarks.search_worth.parts.budgets import budgets
from benchmarks.search_worth.parts.worth import finished, jobs_at_small, require_run, row_name
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.runner import Found, Job
from benchmarks.search_worth.study import SMALL, Problem, Study

OWN, BAYESIAN, FINALISTS = "small-own-search", "small-bayesian", "small-finalists"
"""The last parts of rows' names: searches by NSGA-II, by Bayesian optimization, and that with more finalists."""
REMEDIES: dict[str, dict[str, Any]] = {
    OWN: {"search.strategy": "nsga2"},
    BAYESIAN: {"search.strategy": "bayesian"},
    FINALISTS: {"search.strategy": "bayesian", "search.screened": 0, "search.finalists": 4},
}
"""What each changes of a problem's settings."""
EXPECTED = (
    "Expected before the first of these rows, when the search over the whole range had six seeds at the small budget, "
    "with +1.2 PQ on average: a point more than that beside the hand-made network, and nothing more beside the random "
    "draws, which are as many within the budget as well."
)
EXPECTED_OF_BAYESIAN = (
    "Expected before the first of these rows, when the PQ of candidates on nas_val, with their paths' weights, had "
    "been seen in seeds 0, 3 and 4 (2.5 to 4 more than by NSGA-II), and nothing that was trained further: a point more "
    "than NSGA-II's search beside the hand-made network and beside the random draws, since about half of what paths "
    "differ in is left after the training."
)
EXPECTED_OF_FINALISTS = (
    "Expected before the first of these rows, when one candidate of each of these searches had been trained to the "
    "end: a point more than with that one beside the hand-made network. Networks of nearly equal paths lie about 2 PQ "
    "apart once they are trained (standard deviation), and the best of three is 0.85 of that above their mean; short "
    "trainings had told little of it. Beside the random draw it is a point more, too, which is then owed to trainings "
    "that the random draw does not have."
)


def jobs(study: Study, problem: Problem, console: Console) -> list[Job]:
    """Return the searches within the small budget by each remedy, seed by seed."""
    found = []
    for last, changes in REMEDIES.items():
        work = partial(_own, study, problem, console, last)
        told = f"a search within the small budget by {changes['search.strategy']} ({last})"
        found += jobs_at_small(study, problem, last, told, work)
    return found


def _own(study: Study, problem: Problem, console: Console, last: str, seed: int, rows: Rows) -> Found:
    require_run(rows, problem, seed)
    whole, settings = study.folder(problem, seed), problem.settings(seed)
    datasets = prepare(settings, whole, console)
    most = budgets(settings, datasets, searched_space(settings, datasets))[SMALL]
    within = change_settings(settings, {"search.max_gflops": most, **REMEDIES[last]})
    folder = whole.parent / f"seed-{seed}-{last}"
    run = Pipeline(within, folder, console)
    take_supernet(run, whole)
    run.run()
    yield (
        row_name(problem, seed, last),
        {
            **finished(folder),
            "candidates": {"whole": _within(whole, most), "own": _within(folder, most)},
            "paths": best_paths(folder),
        },
    )


def best_paths(run: Path) -> dict[str, float]:
    """Return the PQ on nas_val of the best candidate of a run's search and of its random draws, as paths."""
    metrics = read_object(run / METRICS_FILE)
    return {name: metrics[part]["best_on_nas_val"] for name, part in ((SEARCHED, "search"), (RANDOM, "random"))}


def _within(run: Path, most: float) -> int:
    """Return how many candidates of a run's search were measured to the end and keep a budget."""
    completed = Result.from_journal(run / JOURNAL).history.completed
    return sum(trial.metrics["gflops"] <= most * (1 + TOLERANCE) for trial in completed)
