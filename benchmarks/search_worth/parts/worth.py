"""Is the searched network better than one made by hand, than a random path's, and than random networks trained alone?

Each seed is a whole run of the main job, whose scenes, weights and draws are the seed's. At its own budget the run
trains what is compared; at the small one the same search's candidates are screened and trained likewise. Against them
stand random networks trained from scratch, as many as the run's time allows, of which the best on nas_val is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.configs.config import change_settings
from autopanoptic.panoptic.quality.bootstrap import bootstrap_difference
from autopanoptic.panoptic.results.fronts import FRONT, SEARCHED, Fronts
from autopanoptic.panoptic.results.json_files import read_object
from autopanoptic.panoptic.run.folder import Run
from autopanoptic.panoptic.run.prepare import prepared
from autopanoptic.panoptic.run.retrain import train_finalists
from autopanoptic.panoptic.run.screening import screened
from autopanoptic.panoptic.run.search import TRIALS, finished_search
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.batches import validation_of
from autopanoptic.panoptic.stages.costs import costs
from autopanoptic.panoptic.stages.machine import device_of
from autopanoptic.panoptic.stages.pipeline import Pipeline
from autopanoptic.panoptic.stages.prepare import DATA, SUPERNET_FOLDER, prepare
from autopanoptic.panoptic.stages.search import JOURNAL, searched_space
from benchmarks.main_job import read
from benchmarks.search_worth.parts.alone import trained_alone
from benchmarks.search_worth.parts.budgets import budgets, drawn_within
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.runner import Found, Job
from benchmarks.search_worth.study import FEW, MANY, MIDDLE, SMALL, Problem, Study

PART = "worth"
TOOK = "took"
"""What a training took: processor seconds, or on a GPU those of the clock."""
EXPECTED_OF_DRAWN = (
    "Random networks trained alone were planned with all seeds, and are taken with 2, which is described and not "
    "tested. Expected before the first of these rows, when the config as it ships had shown 69.1 PQ after 800 passes "
    "from scratch: the best of a few has some 14 PQ more than the searched network, the best of many less than half of "
    "its PQ. Either is many times what seeds change."
)
SHARED = ("data", DATA, SUPERNET_FOLDER, TRIALS, JOURNAL)
"""What the comparison at another budget has of a run."""


def jobs(study: Study, problem: Problem, console: Console) -> list[Job]:
    """Return the runs, the comparisons at the small budget, and the random networks, seed by seed."""
    found = []
    for seed in study.seeds_of(problem.worth_seeds):
        job = partial(_job, problem, seed)
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


def drawn_jobs(study: Study, problem: Problem, form: str, console: Console) -> list[Job]:
    """Return the random networks trained alone, many shortly or few longer, seed by seed."""
    return [
        _job(problem, seed, f"{form}-{budget}/end", partial(_drawn, study, problem, seed, budget, form, console))
        for seed in study.seeds_of(min(problem.worth_seeds, study.drawn_seeds))
        for budget in problem.budgets
    ]


def row_name(problem: Problem, seed: int, last: str) -> str:
    """Return the name of a row of this part."""
    return f"{PART}/{problem.name}/seed-{seed}/{last}"


def _job(problem: Problem, seed: int, last: str, work: Any) -> Job:
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


def _drawn(study: Study, problem: Problem, seed: int, budget: str, form: str, console: Console, rows: Rows) -> Found:
    """Train random networks until the time of the run is spent, and take the best on nas_val."""
    start = row_name(problem, seed, f"{form}-{budget}")
    passes = {MANY: problem.settings(seed).retrain.passes, FEW: study.few_passes}[form]
    settings = change_settings(problem.settings(seed), {"retrain.passes": passes})
    time = _seconds(settings, require_run(rows, problem, seed))
    whole = study.folder(problem, seed)
    datasets = prepare(settings, whole, console)
    space, gflops = searched_space(settings, datasets), costs(settings, datasets)["gflops"]
    most = budgets(settings, datasets, space)[budget]
    known = dict(rows.under(start)) if (rows.folder / start).exists() else {}
    while wave := _next(known, time, settings.machine.workers, study.most_drawn):
        chosen = drawn_within(space, gflops, most, max(wave) + 1, seed)
        named = {f"{place:03}": chosen[place] for place in wave}
        folder = whole.parent / f"seed-{seed}-{form}-{budget}"
        for name, metrics in trained_alone(settings, named, datasets, folder, console):
            took = metrics["cpu_seconds" if device_of(settings).type == "cpu" else "seconds"]
            known[name] = {**_of(named[name]), "gflops": gflops(named[name]), **metrics, TOOK: took, "passes": passes}
            yield f"{start}/{name}", known[name]
    best = max(known, key=lambda name: float(known[name]["nas_val"]))
    spent = sum(one[TOOK] for one in known.values())
    yield f"{start}/end", {
        "networks": len(known), "best": best, "pq": known[best]["val"], "gflops": known[best]["gflops"],
        "budget": most, "passes": passes, "time": time, "spent": spent,
    }  # fmt: skip


def _next(known: Mapping[str, Mapping[str, Any]], time: float, workers: int, most: int | None) -> list[int]:
    """Return which networks are trained next, by their places: so many at a time, while there is time for them.

    The first ones are trained whatever they take; what each of the others takes is the mean so far.
    """
    done = len(known)
    free = [place for place in range(done + workers) if f"{place:03}" not in known][:workers]
    if known:
        spent = sum(float(one[TOOK]) for one in known.values())
        free = free[: max(0, int((time - spent) / (spent / done)))]
    return free if most is None else [place for place in free if place < most]


def _seconds(settings: Settings, run: Mapping[str, Any]) -> float:
    """Return the seconds of a run but for making the data: of the clock on all its workers, or on a GPU on that.

    The run has its random draws and the other networks' trainings in them, so that the random ones have more time than
    the search itself takes.
    """
    workers = settings.machine.workers if device_of(settings).type == "cpu" else 1
    return workers * sum(seconds for stage, seconds in run["stages"].items() if stage != "data")


def _of(architecture: Architecture) -> dict[str, Any]:
    return {"architecture": architecture.to_json(), "id": architecture.id}


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
