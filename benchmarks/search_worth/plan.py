"""What the study does, in the order in which partial rows say most."""

from __future__ import annotations

from collections.abc import Collection

from rich.console import Console

from benchmarks.search_worth.parts import as_many, drawn, equal, own, price, published, ranking, shipped, traces, worth
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.runner import Job
from benchmarks.search_worth.runner import run as run_jobs
from benchmarks.search_worth.study import FEW, MANY, Study

PARTS = (worth.PART, ranking.PART, price.PART, published.PART)


def jobs(study: Study, console: Console, parts: Collection[str] | None = None) -> list[Job]:
    """Return the jobs of some parts, or of all, the most important first."""
    elastic = study.elastic
    found = [
        *worth.jobs(study, elastic, console),
        *equal.jobs(study, elastic, console),
        *own.jobs(study, elastic, console),
        *as_many.jobs(study, elastic, console),
        *shipped.jobs(study, console),
        *drawn.jobs_of_shipped(study, console),
        *ranking.jobs(study, elastic, console),
        *traces.jobs(study, console),
        *price.jobs(study, console),
        *published.jobs(study, console),
        *ranking.jobs(study, study.operators, console),
        *drawn.jobs(study, elastic, FEW, console),
        *drawn.jobs(study, elastic, MANY, console),
    ]
    if study.camvid is not None:
        found += [*worth.jobs(study, study.camvid, console), *ranking.jobs(study, study.camvid, console)]
    return [job for job in found if not parts or job.part in parts]


def run(study: Study, rows: Rows, console: Console, parts: Collection[str] | None, hours: float | None) -> bool:
    """Do what is missing of some parts, or of all; see `runner.run`."""
    return run_jobs(jobs(study, console, parts), rows, console, hours=hours)
