"""What a search costs, and what makes it cheaper: strategies at equal evaluations, racing, fronts, and the cost table.

All search the supernet of the first seed's run, and are measured on the same images.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np
import torch
from rich.console import Console

from autopanoptic.nas import FlopCount, Supernet
from autopanoptic.panoptic.data.scenes.draw import REFERENCE_SIZE
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.parts.registry import flop_formulas
from autopanoptic.panoptic.search.costs import costs_of
from autopanoptic.panoptic.stages.networks import network_of
from benchmarks.search_worth.parts.budgets import budgets
from benchmarks.search_worth.parts.searches import search, supernet_of
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.runner import Found, Job
from benchmarks.search_worth.study import MIDDLE, Study

PART = "price"
STRATEGIES = ("random", "evolution", "regularized-evolution", "local-search", "bayesian", "path-priority")
"""For one answer within the middle budget; nsga2 is for a front, of which the answer within it is taken."""
FRONT, RACED = "nsga2", "nsga2-racing"
TABLE = f"{PART}/cost-table"
COUNTED, LOOKED_UP = 20, 200
"""Architectures whose GFLOPs are counted one by one, and taken from the table, first and after those."""


def search_name(kind: str, seed: int) -> str:
    """Return the name of the row of a search."""
    return f"{PART}/{kind}/seed-{seed}"


def jobs(study: Study, console: Console) -> list[Job]:
    """Return the fronts with and without racing, the strategies seed by seed, and the cost table."""
    kinds = [(kind, seed) for seed in range(study.racing_seeds) for kind in (FRONT, RACED)]
    kinds += [(kind, seed) for seed in range(study.strategy_seeds) for kind in STRATEGIES]
    digest = study.elastic.digest
    table = Job(PART, "the cost table", digest, (TABLE,), partial(_table, study, console))
    return [
        Job(PART, f"search by {kind}, seed {seed}", digest, (search_name(kind, seed),),
            partial(_searched, study, kind, seed, console))
        for kind, seed in kinds
    ] + [table]  # fmt: skip


def changes_of(kind: str, seed: int, budget: float) -> dict[str, Any]:
    """Return what a search changes of the settings of the supernet's run."""
    if kind in (FRONT, RACED):
        return {"seed": seed, "search.racing": kind == RACED}
    alone = {"search.cost": None, "search.max_gflops": budget, "search.racing": False}
    return {"seed": seed, "search.strategy": kind, **alone}


def _searched(study: Study, kind: str, seed: int, console: Console, rows: Rows) -> Found:
    problem = study.elastic
    settings, supernet, datasets = supernet_of(study, problem, 0, console)
    middle = budgets(settings, datasets, supernet.space)[MIDDLE]
    values = search(
        settings, supernet, datasets, study.runs / PART / f"{kind}-{seed}", console, changes_of(kind, seed, middle),
        budget=middle if kind in (FRONT, RACED) else None,
    )  # fmt: skip
    yield search_name(kind, seed), {"strategy": kind, "budget": middle, **values}


def _table(study: Study, console: Console, rows: Rows) -> Found:
    """Time counting architectures' GFLOPs one by one, and taking them from the table, its making included."""
    _, supernet, _ = supernet_of(study, study.elastic, 0, console)
    config = network_of(supernet).config
    rng = np.random.default_rng(0)
    drawn = [supernet.space.sample(rng) for _ in range(2 * LOOKED_UP)]
    with torch.device("meta"):
        counted = FlopCount(
            Supernet(PanopticNetwork(config)), torch.zeros(1, 3, REFERENCE_SIZE, REFERENCE_SIZE), unit=1e9,
            formulas=flop_formulas(config),
        )  # fmt: skip
    start = time.perf_counter()
    truth = [counted(one) for one in drawn[:COUNTED]]
    counting = (time.perf_counter() - start) / COUNTED
    costs_of.cache_clear()  # the supernet's search space has had one
    start = time.perf_counter()
    table = costs_of(config, REFERENCE_SIZE, REFERENCE_SIZE)["gflops"]
    first = table(drawn[0])
    making = time.perf_counter() - start
    start = time.perf_counter()
    found = [first, *map(table, drawn[1:LOOKED_UP])]
    early = (time.perf_counter() - start) / (LOOKED_UP - 1)  # with the passes that nothing has needed before
    start = time.perf_counter()
    for one in drawn[LOOKED_UP:]:
        table(one)
    looking_up = (time.perf_counter() - start) / LOOKED_UP
    error = max(abs(a / b - 1) for a, b in zip(found[:COUNTED], truth, strict=True))
    seconds = {"counting": counting, "making": making, "early": early, "looking_up": looking_up}
    yield TABLE, {**seconds, "looked_up": LOOKED_UP, "largest_error": error}
