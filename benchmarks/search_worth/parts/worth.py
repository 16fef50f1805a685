"""Is the searched network better than one made by hand, than a random path's, and than random networks trained alone?

Each seed is a whole run of the main job, whose scenes, weights and draws are the seed's. At its own budget the run
trains what is compared; at the small one the same search's candidates are screened and trained likewise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from autopanoptic.panoptic.quality.bootstrap import bootstrap_difference
from autopanoptic.panoptic.results.fronts import FRONT, SEARCHED, Fronts
from autopanoptic.panoptic.results.json_files import read_object
from autopanoptic.panoptic.run.folder import Run
from autopanoptic.panoptic.run.prepare import prepared
from autopanoptic.panoptic.run.retrain import train_finalists
from autopanoptic.panoptic.run.screening import screened
from autopanoptic.panoptic.run.search import TRIALS, finished_search
from autopanoptic.panoptic.stages.batches import validation_of
from autopanoptic.panoptic.stages.costs import costs
from autopanoptic.panoptic.stages.machine import device_of
from autopanoptic.panoptic.stages.pipeline import Pipeline
from autopanoptic.panoptic.stages.prepare import DATA, SUPERNET_FOLDER
from autopanoptic.panoptic.stages.search import JOURNAL, searched_space
from benchmarks.main_job import read
from benchmarks.search_worth.parts.budgets import budgets
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.runner import Found, Job
from benchmarks.search_worth.study import MIDDLE, SMALL, Problem, Study

PART = "worth"
SHARED = ("data", DATA, SUPERNET_FOLDER, TRIALS, JOURNAL)
"""What the comparison at another budget has of a run."""


def jobs(study: Study, problem: Problem, console: Console) -> list[Job]:
    """Return the runs, and the comparisons at the small budget, seed by seed."""
    found = []
    for seed in study.seeds_of(problem.worth_seeds):
        job = partial(job_of, problem, seed)
        found.append(job("run", partial(_whole, study, problem, seed, console)))
        if SMALL in problem.budgets:
            found.append(job(SMALL, partial(_small, study, problem, seed, console)))
    return found


def jobs_at_small(
    study: Study, problem: Problem, last: str, title: str, work: Callable[[int, Rows], Found]
) -> list[Job]:
    """Return jobs of one row at the small budget, seed by seed.

    Args:
        study: The study.
        problem: Its problem; without a small budget there is no job.
        last: The last part of the rows' names.
        title: What is done.
        work: Does it for a seed.
    """
    return [
        Job(
            PART, f"{problem.title}, seed {seed}, {title}", problem.digest, (row_name(problem, seed, last),),
            partial(work, seed),
        )
        for seed in study.seeds_of(problem.worth_seeds)
        if SMALL in problem.budgets
    ]  # fmt: skip


def row_name(problem: Problem, seed: int, last: str) -> str:
    """Return the name of a row of this part."""
    return f"{PART}/{problem.name}/seed-{seed}/{last}"


def job_of(problem: Problem, seed: int, last: str, work: Any) -> Job:
    """Return the job of one row of a seed."""
    name = row_name(problem, seed, last)
    return Job(PART, f"{problem.title}, seed {seed}, {last.partition('/')[0]}", problem.digest, (name,), work)


def _whole(study: Study, problem: Problem, seed: int, console: Console, rows: Rows) -> Found:
    folder = study.folder(problem, seed)
    Pipeline(problem.settings(seed), folder, console).run()
    yield row_name(problem, seed, "run"), finished(folder)


def finished(folder: Path) -> dict[str, Any]:
    """Return what a row tells of a finished run."""
    metrics = read_object(folder / "metrics.json") if (folder / "metrics.json").exists() else {}
    return {**read(folder), "stages": metrics.get("seconds", {}), "device": metrics.get("device")}


def _small(study: Study, problem: Problem, seed: int, console: Console, rows: Rows) -> Found:
    whole = study.folder(problem, seed)
    require_run(rows, problem, seed)
    run = at_budget(study, problem, seed, console)
    searched, fronts = finished_search(run)
    assert fronts is not None
    others = {name: fronts.chosen(name).architecture for name in run.settings.search.compared}
    with run.stage("retraining"):
        trained = train_finalists(run, screened(run, searched, fronts), others)
    validation = validation_of(run.settings, prepared(run).val, trained.networks[SEARCHED].config.image_divisor)
    gflops, device = costs(run.settings, prepared(run))["gflops"], device_of(run.settings)
    found = {name: validation.quality(trained.networks[name].to(device)) for name in (SEARCHED, *others)}
    yield (
        row_name(problem, seed, SMALL),
        {
            "seed": seed,
            "budget": fronts.budget,
            "seconds": round(run.seconds["retraining"]),
            "networks": {
                name: {
                    "pq": 100 * one.all.pq,
                    "gflops": gflops(trained.architectures[name]),
                    "architecture": trained.architectures[name].to_json(),
                }
                for name, one in found.items()
            },
            "differences": {
                name: asdict(bootstrap_difference(found[SEARCHED].images, found[name].images))
                for name in others
                if trained.architectures[name] != trained.architectures[SEARCHED]
            },
            "run": str(whole.name),
        },
    )


def at_budget(study: Study, problem: Problem, seed: int, console: Console) -> Run:
    """Return a run that shares the data, the supernet and the search of a seed's, and has the small budget."""
    whole = study.folder(problem, seed)
    folder = whole.parent / f"seed-{seed}-{SMALL}"
    folder.mkdir(parents=True, exist_ok=True)
    for name in SHARED:
        if not (folder / name).exists() and (whole / name).exists():
            (folder / name).symlink_to((whole / name).absolute())
    run = Run(problem.settings(seed), folder, console)
    datasets = prepared(run)
    small = budgets(run.settings, datasets, searched_space(run.settings, datasets))[SMALL]
    if not (folder / FRONT).exists():
        replace(Fronts.load(whole), budget=small, on_val=()).save(folder)
    return run


def require_run(rows: Rows, problem: Problem, seed: int) -> dict[str, Any]:
    """Return the row of a seed's run.

    Raises:
        FileNotFoundError: If there is none.
    """
    found = rows.get(row_name(problem, seed, "run"))
    if found is None:
        raise FileNotFoundError(
            f"there is no {rows.path(row_name(problem, seed, 'run'))}: the run of seed {seed} has not ended; "
            "`run --part worth` does it first"
        )
    return found


def named_budgets(problem: Problem) -> Iterator[tuple[str, str]]:
    """Yield the budgets of a problem with the last part of the name of the row that has the networks there."""
    for budget in problem.budgets:
        yield budget, "run" if budget == MIDDLE else budget
