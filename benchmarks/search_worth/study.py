"""What the study consists of: its problems, how many seeds and networks, and where its runs are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from autopanoptic.panoptic.configs.config import load_config, values_of
from autopanoptic.panoptic.settings.settings import Settings

RUNS = Path("runs/search_worth")
ALONE_PASSES = 800
"""Of a network that is trained alone, as in the trainings of `benchmarks.operators`, by the recipe `retrain`."""
CAMVID_PASSES = 300
"""Likewise on CamVid, whose images are five times as large: as many as the networks of `docs/comparison.md` have."""


@dataclass(frozen=True)
class Problem:
    """Data, a space, and how much of the study is done there.

    Attributes:
        name: Of the problem, in the names of rows.
        title: For readers.
        config: Which ships.
        changes: Of it.
        recipes: Of supernets that are ranked by, of `ranking.recipe_of`.
        remedies: Recipes that were thought of when the first of the others had missed the bars.
        spread: Architectures spread over the cost range, at least 2.
        sizes: At nearly equal cost, with plain operators in other widths and depths; 0 for none at equal cost.
        any_: At nearly equal cost, of any operators.
        alone_seeds: Seeds of the trainings of each alone.
        alone_passes: Of such a training.
        budgets: Names of the budgets at which the search is compared; empty for none.
        worth_seeds: Most seeds of the comparison.
    """

    name: str
    title: str
    config: str = "scenes"
    changes: Mapping[str, Any] = field(default_factory=dict)
    recipes: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()
    spread: int = 0
    sizes: int = 0
    any_: int = 0
    alone_seeds: int = 2
    alone_passes: int = ALONE_PASSES
    budgets: tuple[str, ...] = ()
    worth_seeds: int = 0
    quick: bool = False

    def settings(self, seed: int = 0) -> Settings:
        """Return the settings of a seed, which decides the scenes, too."""
        return load_config(self.config, {**self.changes, "seed": seed}, quick=self.quick)

    @cached_property
    def digest(self) -> str:
        """Name what all seeds and machines share of the settings: rows of another one are not of this problem."""
        values = {key: value for key, value in values_of(self.settings()).items() if key not in ("seed", "machine")}
        values["data"] = {key: value for key, value in values["data"].items() if key != "path"}
        if values["search"]["max_share"] is None:  # rows that are older than this key have no limit either
            values["search"] = {key: value for key, value in values["search"].items() if key != "max_share"}
        counts = [self.spread, self.sizes, self.any_, self.alone_passes]
        return hashlib.sha256(json.dumps([values, counts], sort_keys=True).encode()).hexdigest()[:12]


MIDDLE, SMALL = "middle", "small"
FEW = "few"
MANY = "many"
WHOLE_RANGE: dict[str, Any] = {"search.max_share": None}
"""The search goes over the whole range of costs, for several budgets."""
FORMER = {
    **WHOLE_RANGE,
    "search.strategy": "nsga2",
    "search.screened": 6,
    "search.screening_passes": 60,
    "search.finalists": 2,
}
"""How the main job searched, and chose its answer, when the study began."""
ELASTIC = Problem(
    "scenes", "scenes, widths, depths and operators", changes=FORMER,
    recipes=("uniform", "fair", "sandwich", "distillation"), remedies=("longer",), spread=16, sizes=5, any_=2,
    budgets=(MIDDLE, SMALL), worth_seeds=8,
)  # fmt: skip
OPERATORS = Problem(
    "operators", "scenes, Auto-Panoptic's operators", changes={**WHOLE_RANGE, "search.space": "auto-panoptic"},
    recipes=("uniform", "fair"), spread=12,
)  # fmt: skip
SHIPPED = Problem("shipped", "the config as it ships", worth_seeds=8)


def camvid(path: Path) -> Problem:
    """Return the problem of CamVid's road scenes, whose folder is given."""
    return Problem(
        "camvid", "CamVid at 192x256", "camvid", {**WHOLE_RANGE, "data.path": str(path)},
        ("uniform", "sandwich"), spread=12, alone_seeds=1, alone_passes=CAMVID_PASSES, budgets=(MIDDLE,), worth_seeds=2,
    )  # fmt: skip


@dataclass(frozen=True)
class Study:
    """All of it, or its smoke form.

    Attributes:
        runs: Where data, supernets and trainings are kept.
        seeds: Of the comparisons; what a problem has less of is done less.
        elastic: The space of the main job.
        operators: The published space.
        shipped: The main job as its config is now.
        camvid: Real images; None where their folder is not given.
        strategy_seeds: Searches by each strategy.
        racing_seeds: Searches with racing and without.
        published_seeds: Supernets of the published space.
        drawn_seeds: Of the comparisons of `elastic` that have random networks trained alone; `shipped` has all of its.
        few_passes: Of random networks that are trained longer than the searched one is further.
        traced: Candidates of which each chunk is kept, for replays of racing.
        traced_seed: Of their supernet; on that of seed 0 rules were compared before.
        most_drawn: Random networks for one comparison at most; None for all that there is time for.
    """

    runs: Path = RUNS
    seeds: tuple[int, ...] = tuple(range(16))
    elastic: Problem = ELASTIC
    operators: Problem = OPERATORS
    shipped: Problem = SHIPPED
    camvid: Problem | None = None
    strategy_seeds: int = 5
    racing_seeds: int = 10
    published_seeds: int = 5
    drawn_seeds: int = 1
    few_passes: int = ALONE_PASSES
    traced: int = 160
    traced_seed: int = 1
    most_drawn: int | None = None

    @property
    def problems(self) -> list[Problem]:
        """All problems there are."""
        return [self.elastic, self.operators, *([] if self.camvid is None else [self.camvid])]

    def seeds_of(self, count: int) -> list[int]:
        """Return those of the seeds that a part with so many takes."""
        return [seed for seed in self.seeds if seed < count]

    def folder(self, problem: Problem, seed: int) -> Path:
        """Return the folder of a seed's run, which holds its data and its supernet."""
        return self.runs / problem.name / f"seed-{seed}"


def smoke(runs: Path) -> Study:
    """Return every part in minutes, of tiny scenes and networks that hardly learn."""
    quick: dict[str, Any] = {"alone_passes": 4, "alone_seeds": 2, "quick": True}
    short = {
        "largest.passes": 2, "supernet.passes": 12, "retrain.passes": 4, "search.recalibration_batches": 2,
        # In this process alone: others take longer to begin than all that they would do.
        "machine.workers": 1, "machine.trainings": 1,
    }  # fmt: skip
    looked_at = {
        **FORMER, "search.screening_passes": 2, "search.screened": 3,
        "machine.evaluation_batch": 1,  # racing needs several batches, and there are 8 images
    }  # fmt: skip
    return Study(
        runs,
        (0, 8),
        Problem(
            "scenes", ELASTIC.title, changes={**looked_at, **short}, recipes=("uniform", "distillation"),
            remedies=ELASTIC.remedies, spread=3, sizes=1, any_=1, budgets=ELASTIC.budgets, worth_seeds=1, **quick,
        ),
        Problem(
            "operators", OPERATORS.title, changes={**OPERATORS.changes, **short}, recipes=("fair",), spread=3, **quick,
        ),
        Problem(
            "shipped", SHIPPED.title, changes={**short, "machine.evaluation_batch": 1}, worth_seeds=1, **quick,
        ),
        strategy_seeds=1, racing_seeds=1, published_seeds=1, few_passes=6, traced=6, traced_seed=0, most_drawn=2,
    )  # fmt: skip
