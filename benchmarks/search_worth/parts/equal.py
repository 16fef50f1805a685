"""What networks made by hand have at the very cost of a searched one, which may cost less than its budget.

At a budget the network made by hand costs all of it, for the budget is its cost, and the searched one what it needs. So
they differ in two things. Here the two networks of the hand-made family whose costs lie around the searched one's are
trained as it was, and the family's PQ at its cost is read on the line through both, over the logarithm of GFLOPs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from rich.console import Console

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.results.fronts import SEARCHED
from autopanoptic.panoptic.run.prepare import prepared
from autopanoptic.panoptic.search.strategies import family
from autopanoptic.panoptic.stages.batches import validation_of
from autopanoptic.panoptic.stages.costs import costs
from autopanoptic.panoptic.stages.machine import device_of
from autopanoptic.panoptic.stages.prepare import SUPERNET_FOLDER
from autopanoptic.panoptic.stages.search import searched_space
from autopanoptic.panoptic.stages.side_by_side import retrain_all
from benchmarks.search_worth.parts.worth import at_budget, jobs_at_small, row_name
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.runner import Found, Job
from benchmarks.search_worth.study import SMALL, Problem, Study

EQUAL = "small-equal-cost"
"""The last part of a row's name."""


def jobs(study: Study, problem: Problem, console: Console) -> list[Job]:
    """Return the trainings of the family around the searched network of the small budget, seed by seed."""
    work = partial(_equal, study, problem, console)
    return jobs_at_small(study, problem, EQUAL, "the family at the searched network's cost", work)


def around(
    members: Sequence[Architecture], cost: Callable[[Architecture], float], wanted: float
) -> tuple[Architecture, Architecture]:
    """Return the dearest of some networks that costs no more than is wanted, and the cheapest that costs no less.

    Where all cost more, or all less, both are the nearest.
    """
    ordered = sorted(members, key=cost)
    below = [one for one in ordered if cost(one) <= wanted]
    above = [one for one in ordered if cost(one) >= wanted]
    return (below or above)[-1 if below else 0], (above or below)[0 if above else -1]


def on_line(low: tuple[float, float], high: tuple[float, float], cost: float) -> float:
    """Return the value at a cost, linear in its logarithm between two networks' costs and values."""
    if low[0] == high[0]:
        return low[1]
    share = math.log(cost / low[0]) / math.log(high[0] / low[0])
    return low[1] + share * (high[1] - low[1])


def _equal(study: Study, problem: Problem, console: Console, seed: int, rows: Rows) -> Found:
    small = rows[row_name(problem, seed, SMALL)]["networks"][SEARCHED]
    run = at_budget(study, problem, seed, console)
    datasets = prepared(run)
    gflops = costs(run.settings, datasets)["gflops"]
    pair = around(family(searched_space(run.settings, datasets)), gflops, small["gflops"])
    chosen = {f"family-{one.id}": one for one in pair}
    trained = retrain_all(
        run.settings, chosen, datasets, run.folder / "equal", run.folder / SUPERNET_FOLDER, console, doing="family"
    )
    found: dict[Architecture, dict[str, Any]] = {}
    for name, network in trained.items():
        validation = validation_of(run.settings, datasets.val, network.config.image_divisor)
        quality = validation.quality(network.to(device_of(run.settings)))
        found[chosen[name]] = {"id": chosen[name].id, "gflops": gflops(chosen[name]), "pq": 100 * quality.all.pq}
    low, high = (found[one] for one in pair)
    by_hand = on_line((low["gflops"], low["pq"]), (high["gflops"], high["pq"]), small["gflops"])
    yield (
        row_name(problem, seed, EQUAL),
        {
            "seed": seed, "gflops": small["gflops"], "searched": small["pq"], "family": list(found.values()),
            "hand-made": by_hand, "difference": small["pq"] - by_hand,
        },
    )  # fmt: skip
