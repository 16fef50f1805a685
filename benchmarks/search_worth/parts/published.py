"""Path priority as in the paper beside the library's other strategies, on the published space.

Its answer holds the best option of each choice by the candidates that had it, and need not be a candidate. Does it beat
the best candidate seen, on val? Each seed has scenes, a supernet in fair cycles, and searches of its own.
"""

from __future__ import annotations

from functools import partial

from rich.console import Console

from benchmarks.search_worth.parts.searches import search, supernet_of
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.runner import Found, Job
from benchmarks.search_worth.study import Study

PART = "published"
PATH_PRIORITY = "path-priority"
STRATEGIES = (PATH_PRIORITY, "random", "evolution", "regularized-evolution", "local-search", "bayesian")


def search_name(strategy: str, seed: int) -> str:
    """Return the name of the row of a search."""
    return f"{PART}/{strategy}/seed-{seed}"


def jobs(study: Study, console: Console) -> list[Job]:
    """Return the searches, seed by seed."""
    return [
        Job(PART, f"search by {strategy}, seed {seed}", study.operators.digest, (search_name(strategy, seed),),
            partial(_searched, study, strategy, seed, console))
        for seed in study.seeds_of(study.published_seeds)
        for strategy in STRATEGIES
    ]  # fmt: skip


def _searched(study: Study, strategy: str, seed: int, console: Console, rows: Rows) -> Found:
    settings, supernet, datasets = supernet_of(study, study.operators, seed, console)
    folder = study.runs / PART / f"{strategy}-{seed}"
    values = search(settings, supernet, datasets, folder, console, {"search.strategy": strategy})
    yield search_name(strategy, seed), {"strategy": strategy, **values}
