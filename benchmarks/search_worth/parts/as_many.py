"""Random draws with as many trainings as the candidates of the search have.

Of three candidates that are trained to the end the best is the answer, where of the random draws one is trained. So
here three of the same random draws are chosen by their paths and trained likewise, and the best of them on nas_val is
measured on val.
"""

from __future__ import annotations

from functools import partial

from rich.console import Console

from autopanoptic.nas import Architecture, Result
from autopanoptic.panoptic.results.finalists import Shortlist, qualities
from autopanoptic.panoptic.results.fronts import SEARCHED
from autopanoptic.panoptic.run.folder import Run, load_run
from autopanoptic.panoptic.run.prepare import prepared
from autopanoptic.panoptic.stages.batches import validation_of
from autopanoptic.panoptic.stages.costs import costs
from autopanoptic.panoptic.stages.machine import device_of
from autopanoptic.panoptic.stages.prepare import SUPERNET_FOLDER
from autopanoptic.panoptic.stages.side_by_side import retrain_all
from benchmarks.search_worth.parts.own import FINALISTS
from benchmarks.search_worth.parts.worth import jobs_at_small, row_name
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.runner import Found, Job
from benchmarks.search_worth.study import Problem, Study

AS_MANY = "small-random-finalists"
"""The last part of a row's name."""
COUNT = 3
EXPECTED_OF_AS_MANY = (
    "Expected before the first of these rows, when those above were there: half of the advantage over the one random "
    "draw is owed to the trainings, so that a point is left."
)


def jobs(study: Study, problem: Problem, console: Console) -> list[Job]:
    """Return the trainings of random draws, seed by seed."""
    work = partial(_drawn, study, problem, console)
    return jobs_at_small(study, problem, AS_MANY, "as many random draws trained to the end", work)


def chosen(drawn: Result) -> dict[str, Architecture]:
    """Return the random draws that are trained: the best by their paths that are a tenth of their choices apart."""
    completed = sorted(drawn.history.completed, key=lambda trial: -trial.metrics["pq"])
    ranked = [trial.architecture for trial in completed]
    return {f"random-{place}": one for place, one in enumerate(Shortlist(ranked).finalists(ranked, COUNT), 1)}


def _drawn(study: Study, problem: Problem, console: Console, seed: int, rows: Rows) -> Found:
    searched = rows[row_name(problem, seed, FINALISTS)]["networks"][SEARCHED]["pq"]
    folder = study.folder(problem, seed).parent / f"seed-{seed}-{FINALISTS}"
    run = Run(load_run(folder), folder, console)
    settings, datasets = run.settings, prepared(run)
    drawn = chosen(Result.from_journal(folder / "random.jsonl"))
    trained = retrain_all(
        settings, drawn, datasets, folder / "drawn", folder / SUPERNET_FOLDER, console, doing="random draws"
    )
    divisor, device = next(iter(trained.values())).config.image_divisor, device_of(settings)
    on_nas_val = qualities(trained, validation_of(settings, datasets.nas_val, divisor), "pq", device)
    best = max(on_nas_val, key=lambda name: on_nas_val[name])
    on_val = qualities({best: trained[best]}, validation_of(settings, datasets.val, divisor), "pq", device)[best]
    yield (
        row_name(problem, seed, AS_MANY),
        {
            "seed": seed, "pq": on_val, "gflops": costs(settings, datasets)["gflops"](drawn[best]),
            "searched": searched, "difference": searched - on_val, "on_nas_val": on_nas_val,
        },
    )  # fmt: skip
