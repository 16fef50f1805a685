"""The config as it ships, with seeds that had no part in the remedies.

Each seed is a whole run, whose networks are trained further from the supernet's weights, the searched one with several
finalists. What their architectures are worth apart from those weights and trainings is another question, so each is
trained once from scratch besides, with the seed of the run.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from rich.console import Console

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.configs.config import change_settings, differences
from autopanoptic.panoptic.results.fronts import HAND_MADE, RANDOM, SEARCHED
from autopanoptic.panoptic.run.folder import load_run
from autopanoptic.panoptic.stages.pipeline import Pipeline
from autopanoptic.panoptic.stages.prepare import prepare
from benchmarks.search_worth.parts.alone import trained_alone
from benchmarks.search_worth.parts.worth import PART, finished, row_name
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.runner import Found, Job
from benchmarks.search_worth.study import Study

RUN, SCRATCH = "run", "from-scratch"
"""The last part of the name of a run's row, and the folder of those of the trainings from scratch."""
COMPARED = (SEARCHED, HAND_MADE, RANDOM)
FIRST_SEED = 8
"""The seeds before it had a part in the remedies."""


def seeds_of(study: Study) -> list[int]:
    """Return those of the study's seeds that had no part in the remedies, as many as the problem has at most."""
    return [seed for seed in study.seeds if FIRST_SEED <= seed < FIRST_SEED + study.shipped.worth_seeds]


def run_name(study: Study, seed: int) -> str:
    """Return the name of the row of a run."""
    return row_name(study.shipped, seed, RUN)


def scratch_name(study: Study, seed: int, label: str) -> str:
    """Return the name of the row of one of its networks, trained from scratch."""
    return row_name(study.shipped, seed, f"{SCRATCH}/{label}")


def jobs(study: Study, console: Console) -> list[Job]:
    """Return a run with the trainings from scratch, seed by seed."""
    problem = study.shipped
    return [
        Job(
            PART, f"{problem.title}, seed {seed}", problem.digest,
            (run_name(study, seed), *(scratch_name(study, seed, label) for label in COMPARED)),
            partial(_work, study, console, seed),
        )
        for seed in seeds_of(study)
    ]  # fmt: skip


def adopt(study: Study, folder: Path, rows: Rows) -> str:
    """Take in a finished run of the main job as the row of its seed, and return the row's name.

    Raises:
        FileNotFoundError: If there is no run, or it has not ended.
        ValueError: If its settings are not the study's, naming what differs, its seed is none of the study's, or has a
            run already.
    """
    settings, problem = load_run(folder), study.shipped
    changed = differences(settings, problem.settings(settings.seed))
    if changed:
        raise ValueError(f"{folder} is no run of the study: it differs in {'; '.join(changed)}")
    if settings.seed not in seeds_of(study):
        raise ValueError(
            f"{folder} has the seed {settings.seed}; the study takes {', '.join(map(str, seeds_of(study)))}, because "
            "those before had a part in the remedies"
        )
    name, own = run_name(study, settings.seed), study.folder(problem, settings.seed)
    if name in rows or own.exists():
        raise ValueError(f"seed {settings.seed} has a run already: {rows.path(name) if name in rows else own}")
    values = finished(folder)
    own.parent.mkdir(parents=True, exist_ok=True)
    own.symlink_to(folder.absolute())
    rows.put(name, {"settings": problem.digest, **values, "adopted": True})
    return name


def _work(study: Study, console: Console, seed: int, rows: Rows) -> Found:
    problem, folder = study.shipped, study.folder(study.shipped, seed)
    settings, name = problem.settings(seed), run_name(study, seed)
    if name not in rows:
        Pipeline(settings, folder, console).run()
        yield name, finished(folder)
    networks = rows[name]["networks"]
    # By id, since the network made by hand may be what was found.
    labels: dict[str, list[str]] = {}
    for label in COMPARED:
        if scratch_name(study, seed, label) not in rows:
            labels.setdefault(Architecture(networks[label]["architecture"]).id, []).append(label)
    chosen = {key: Architecture(networks[found[0]]["architecture"]) for key, found in labels.items()}
    alone = change_settings(settings, {"retrain.passes": problem.alone_passes})
    for key, metrics in trained_alone(alone, chosen, prepare(settings, folder, console), folder / SCRATCH, console):
        for label in labels[key]:
            of = {value: networks[label][value] for value in ("architecture", "gflops")}
            yield scratch_name(study, seed, label), {"seed": seed, "passes": problem.alone_passes, **of, **metrics}
