"""The config as it ships, with seeds that had no part in the remedies.

Each seed is a whole run, whose networks are trained further from the supernet's weights. What their architectures are
worth apart from those weights is another question, so each is trained from scratch besides, with the seed of the run.
"""

from __future__ import annotations

from functools import partial

from rich.console import Console

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.configs.config import change_settings
from autopanoptic.panoptic.stages.pipeline import Pipeline
from autopanoptic.panoptic.stages.prepare import prepare
from benchmarks.search_worth.parts.alone import trained_alone
from benchmarks.search_worth.parts.worth import PART, finished, row_name
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.runner import Found, Job
from benchmarks.search_worth.study import Study

RUN, SCRATCH = "run", "from-scratch"
"""The last parts of rows' names."""
FIRST = 8
"""The seeds before it had a part in the remedies."""


def seeds_of(study: Study) -> list[int]:
    """Return the seeds of the runs, as many as the study has."""
    return [FIRST + seed for seed in study.seeds_of(study.shipped.worth_seeds)]


def jobs(study: Study, console: Console) -> list[Job]:
    """Return a run with the trainings from scratch, seed by seed."""
    problem = study.shipped
    return [
        Job(
            PART, f"{problem.title}, seed {seed}", problem.digest,
            (row_name(problem, seed, RUN), row_name(problem, seed, SCRATCH)), partial(_work, study, console, seed),
        )
        for seed in seeds_of(study)
    ]  # fmt: skip


def _work(study: Study, console: Console, seed: int, rows: Rows) -> Found:
    problem, folder = study.shipped, study.folder(study.shipped, seed)
    settings, name = problem.settings(seed), row_name(problem, seed, RUN)
    if name not in rows:
        Pipeline(settings, folder, console).run()
        yield name, finished(folder)
    networks = rows[name]["networks"]
    found = {label: Architecture(one["architecture"]) for label, one in networks.items()}
    different = {one.id: one for one in found.values()}  # the network made by hand may be what was found
    alone = change_settings(settings, {"retrain.passes": problem.alone_passes})
    datasets = prepare(settings, folder, console)
    trained = dict(trained_alone(alone, different, datasets, folder / SCRATCH, console))
    values = {label: {**networks[label], **trained[one.id]} for label, one in found.items()}
    yield row_name(problem, seed, SCRATCH), {"seed": seed, "passes": problem.alone_passes, "networks": values}
