"""Random networks trained from scratch, as many as the time of a run allows: what that time brings without a search.

They cost more than half of a budget and no more than it, and of the best of them on nas_val it is told what it has on
val. The time is that of the whole run, on the same processor.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from rich.console import Console

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.configs.config import change_settings
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.costs import costs
from autopanoptic.panoptic.stages.machine import device_of
from autopanoptic.panoptic.stages.prepare import prepare
from autopanoptic.panoptic.stages.search import searched_space
from benchmarks.search_worth.parts.alone import MEASURING, trained_alone
from benchmarks.search_worth.parts.budgets import budgets, drawn_within
from benchmarks.search_worth.parts.shipped import seeds_of
from benchmarks.search_worth.parts.worth import job_of, require_run, row_name
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.runner import Found, Job
from benchmarks.search_worth.study import FEW, MANY, Problem, Study
from benchmarks.strategies.results import surroundings

TOOK = "took"
"""What a network took to be trained and measured: processor seconds, or on a GPU those of the clock."""
EXPECTED = (
    "Expected before the first of these rows, when the config as it ships had shown 69.1 PQ after 800 passes from "
    "scratch: the best of a few has some 14 PQ more than the searched network, the best of many less than half of its "
    "PQ. Either is many times what seeds change."
)
EXPECTED_OF_SHIPPED = (
    "Expected before the first of these rows, when those of seed 0 above were there: in the time of a run, some 980 "
    "seconds of a core, six random networks are trained, of which the best has 70 PQ, so that the searched network as "
    "the run leaves it has 15 less, in each of the seeds. That is the test, exact as the others. The architecture that "
    "was searched, trained from scratch as they are, which takes the time of one more training, has 1 to 2 PQ less "
    "than the best of six: one architecture's 69 beside the best of a few that are as good on average."
)


def jobs(study: Study, problem: Problem, form: str, console: Console) -> list[Job]:
    """Return those within the budgets of a problem, many shortly or few longer, seed by seed."""
    return [
        job_of(problem, seed, f"{form}-{budget}/end", partial(_drawn, study, problem, seed, budget, form, console))
        for seed in study.seeds_of(min(problem.worth_seeds, study.drawn_seeds))
        for budget in problem.budgets
    ]


def jobs_of_shipped(study: Study, console: Console) -> list[Job]:
    """Return few within the budget of each run of the config as it ships, which are trained longer."""
    problem = study.shipped
    return [
        job_of(problem, seed, f"{FEW}/end", partial(_drawn, study, problem, seed, None, FEW, console))
        for seed in seeds_of(study)
    ]


def _drawn(
    study: Study, problem: Problem, seed: int, budget: str | None, form: str, console: Console, rows: Rows
) -> Found:
    """Train random networks until the time of the run is spent, and take the best on nas_val."""
    start = row_name(problem, seed, form if budget is None else f"{form}-{budget}")
    passes = {MANY: problem.settings(seed).retrain.passes, FEW: study.few_passes}[form]
    settings = change_settings(problem.settings(seed), {"retrain.passes": passes})
    run = require_run(rows, problem, seed)
    require_processor(run, rows.path(row_name(problem, seed, "run")))
    time, whole = seconds_of(settings, run), study.folder(problem, seed)
    datasets = prepare(settings, whole, console)
    space, gflops = searched_space(settings, datasets), costs(settings, datasets)["gflops"]
    most = float(run["budget"]) if budget is None else budgets(settings, datasets, space)[budget]
    known = known_under(rows, start, problem.digest)
    while wave := following(known, time, settings.machine.workers, study.most_drawn):
        chosen = drawn_within(space, gflops, most, max(wave) + 1, seed)
        named = {f"{place:03}": chosen[place] for place in wave}
        folder = whole.parent / f"seed-{seed}-{start.rpartition('/')[2]}"
        for name, metrics in trained_alone(settings, named, datasets, folder, console):
            own = "cpu_seconds" if device_of(settings).type == "cpu" else "seconds"
            took = metrics[own] + metrics[f"{MEASURING}{own}"]
            known[name] = {**_of(named[name]), "gflops": gflops(named[name]), **metrics, TOOK: took, "passes": passes}
            yield f"{start}/{name}", known[name]
    yield f"{start}/end", {"budget": most, "passes": passes, "time": time, **best_of(known)}


def best_of(known: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return which of some networks is the best on nas_val, what it has on val, and what all took together."""
    best = max(known, key=lambda name: float(known[name]["nas_val"]))
    spent = sum(float(one[TOOK]) for one in known.values())
    return {
        "networks": len(known), "best": best, "pq": known[best]["val"], "gflops": known[best]["gflops"], "spent": spent,
    }  # fmt: skip


def following(known: Mapping[str, Mapping[str, Any]], time: float, workers: int, most: int | None) -> list[int]:
    """Return which networks are trained next, by their places: so many at a time, while there is time for them.

    The first ones are trained whatever they take; what each of the others takes is the mean so far.
    """
    done = len(known)
    free = [place for place in range(done + workers) if f"{place:03}" not in known][:workers]
    if known:
        spent = sum(float(one[TOOK]) for one in known.values())
        free = free[: max(0, int((time - spent) / (spent / done)))]
    return free if most is None else [place for place in free if place < most]


def seconds_of(settings: Settings, run: Mapping[str, Any]) -> float:
    """Return the seconds of a run but for making the data: of the clock on all its workers, or on a GPU on that.

    The run has its random draws, its measurements and the other networks' trainings in them, and what its workers
    waited for each other, so that the random ones have more time than the search itself takes.
    """
    workers = settings.machine.workers if device_of(settings).type == "cpu" else 1
    return workers * sum(seconds for stage, seconds in run["stages"].items() if stage != "data")


def require_processor(run: Mapping[str, Any], path: object) -> None:
    """Refuse to spend the time that a run took on another processor.

    Raises:
        ValueError: If the run's row says another one than this machine's, or none.
    """
    known, own = run.get("machine", {}).get("cpu"), surroundings()["machine"]["cpu"]
    if known != own:
        raise ValueError(
            f"{path}: the run was on {known or 'a processor that is not known'}, and this is {own}, which takes "
            "another time; run this where the run was, or delete its row to have the run made anew"
        )


def known_under(rows: Rows, start: str, settings: str) -> dict[str, dict[str, Any]]:
    """Return the networks that have a row already.

    Raises:
        ValueError: If one is of other settings than the study's.
    """
    if not (rows.folder / start).exists():
        return {}
    known = dict(rows.under(start))
    for name in known:
        rows.require(f"{start}/{name}", settings)
    return known


def _of(architecture: Architecture) -> dict[str, Any]:
    return {"architecture": architecture.to_json(), "id": architecture.id}
