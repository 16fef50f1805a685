"""What candidates have after each chunk of nas_val, so that rules that give candidates up early can be replayed.

They are random ones within the middle budget, of a supernet that no other search of the part price goes over.
"""

from __future__ import annotations

import time
from functools import partial
from statistics import median
from typing import Any

from rich.console import Console

from autopanoptic.nas import Architecture, RandomSearch, Search, Trial
from autopanoptic.nas.evaluation.evaluator import Metrics, Report
from autopanoptic.panoptic.results.fronts import TOLERANCE
from autopanoptic.panoptic.search.evaluator import PanopticEvaluator
from autopanoptic.panoptic.stages.batches import recalibration_batches, validation_of
from autopanoptic.panoptic.stages.costs import costs
from autopanoptic.panoptic.stages.networks import network_of
from benchmarks.search_worth.parts.budgets import budgets
from benchmarks.search_worth.parts.price import PART
from benchmarks.search_worth.parts.searches import supernet_of
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.runner import Found, Job
from benchmarks.search_worth.study import MIDDLE, Study

TRACES = f"{PART}/traces"
BEFORE, CHUNK = "before", "chunk"


class Timed:
    """A report that notes when each comes, and passes one metric on.

    Args:
        report: Hears them.
        metric: Which is passed on.
    """

    def __init__(self, report: Report, metric: str) -> None:
        self.report, self.metric = report, metric
        self.context = report.context
        self.times = [time.perf_counter()]

    def __call__(self, step: int, metrics: Metrics) -> None:
        """Publish the metric."""
        self.times.append(time.perf_counter())
        self.report(step, {self.metric: metrics[self.metric]})

    @property
    def seconds(self) -> dict[str, float]:
        """Of a chunk, and what came before the first.

        Raises:
            ValueError: If there were not several chunks.
        """
        if len(self.times) < 3:
            raise ValueError(
                f"nas_val has {len(self.times) - 1} chunks, and a rule needs several; take a smaller "
                "machine.evaluation_batch"
            )
        start, first, *_, last = self.times
        chunk = (last - first) / (len(self.times) - 2)
        return {BEFORE: max(first - start - chunk, 0.0), CHUNK: chunk}


class Watched:
    """Measures paths and tells how long it takes; for a search.

    Args:
        evaluator: Of the paths, which reports after each chunk.
        objective: Its metric that is ranked by.
    """

    def __init__(self, evaluator: PanopticEvaluator, objective: str) -> None:
        self.evaluator, self.objective = evaluator, objective

    def evaluate(self, architecture: Architecture, report: Report) -> Metrics:
        """Return the objective, the seconds of a chunk, and those before the first.

        Raises:
            ValueError: If there are not several chunks.
        """
        timed = Timed(report, self.objective)
        found = self.evaluator.evaluate(architecture, timed)[self.objective]
        return {self.objective: found, **timed.seconds}


def jobs(study: Study, console: Console) -> list[Job]:
    """Return the only job."""
    work = partial(_traced, study, console)
    return [
        Job(
            PART,
            f"chunks of {study.traced} candidates, seed {study.traced_seed}",
            study.elastic.digest,
            (TRACES,),
            work,
        )
    ]


def _traced(study: Study, console: Console, rows: Rows) -> Found:
    settings, supernet, datasets = supernet_of(study, study.elastic, study.traced_seed, console)
    divisor = network_of(supernet).config.image_divisor
    evaluator = PanopticEvaluator(
        supernet,
        validation_of(settings, datasets.nas_val, divisor, reports=True),
        recalibration_batches(settings, datasets.train, divisor),
    )
    objective, budget = settings.search.objective, budgets(settings, datasets, supernet.space)[MIDDLE]
    gflops = costs(settings, datasets)["gflops"]
    space = supernet.space.where(lambda one: gflops(one) <= budget * (1 + TOLERANCE), "the middle budget")
    folder = study.runs / PART
    folder.mkdir(parents=True, exist_ok=True)
    search = Search(
        space, RandomSearch(), Watched(evaluator, objective), objectives=objective, costs={"gflops": gflops},
        journal=folder / "traces.jsonl", seed=study.traced_seed,
    )  # fmt: skip
    with search:
        console.print(f"measuring {study.traced} candidates, one after another")
        trials = search.run(trials=study.traced).history.completed
    yield TRACES, {"seed": study.traced_seed, "budget": budget, **row_of(trials, objective)}


def row_of(trials: list[Trial], objective: str) -> dict[str, Any]:
    """Return what each candidate costs and has after each chunk, and the median seconds of one and before the first.

    The median, because the first candidate waits for the images to be decoded.

    Args:
        trials: Completed, each with a report after every chunk.
        objective: Which metric.
    """
    return {
        "gflops": [round(trial.metrics["gflops"], 6) for trial in trials],
        "pq": [[round(metrics[objective], 4) for _, metrics in trial.reports] for trial in trials],
        **{name: median(trial.metrics[name] for trial in trials) for name in (BEFORE, CHUNK)},
    }
