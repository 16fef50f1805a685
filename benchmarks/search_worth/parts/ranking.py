"""Does a path's quality with shared weights rank networks as their own trainings do, and by which recipe best?

Architectures are trained alone from scratch, with several seeds; supernets are trained by several recipes for equally
many passes, and the same architectures measured as their paths, with and without recalibrated batch norms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console

from autopanoptic.nas import Architecture, FairPaths, PathSampler, SearchSpace, Supernet, UniformPaths
from autopanoptic.nas.evaluation.evaluator import Unheard
from autopanoptic.panoptic.configs.config import change_settings
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.search.evaluator import PanopticEvaluator
from autopanoptic.panoptic.search.strategies import hand_made
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.batches import recalibration_batches, validation_of
from autopanoptic.panoptic.stages.costs import costs, within_family
from autopanoptic.panoptic.stages.machine import device_of
from autopanoptic.panoptic.stages.networks import network_of
from autopanoptic.panoptic.stages.prepare import prepare
from autopanoptic.panoptic.stages.search import searched_space
from autopanoptic.panoptic.stages.supernet import train_supernet
from benchmarks.equal_cost import networks
from benchmarks.ranking import spread
from benchmarks.search_worth.parts.alone import trained_alone
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.runner import Found, Job
from benchmarks.search_worth.study import Problem, Study

PART = "ranking"
SPREAD = "spread"
LONGER = 4
"""Times the passes of a supernet, of which the rows' recipe tells."""
EXPECTED_OF_LONGER = (
    "Expected before the first of these rows, when the trainings alone of seed 0 and the supernet of uniform paths "
    "were there: paths of 24 PQ on average, where their networks have 67 alone, come to about 40, and tau over the "
    "cost range from 0.43 to 0.5 or 0.6; 0.8 remains out of reach, because the trainings alone are of a seed or two, "
    "which deviate by 3 PQ."
)
NORMS = {"recalibrated": True, "shared-norms": False}
"""Whether the batch norms of a path see training images of its own, or keep the statistics of all paths."""


class Recipe(NamedTuple):
    """A way to train a supernet.

    Attributes:
        title: For readers.
        changes: Of the settings.
        paths: Which are trained instead of those that the settings ask for; None for theirs.
    """

    title: str
    changes: Mapping[str, Any]
    paths: Callable[[SearchSpace], PathSampler] | None = None


def recipe_of(name: str, settings: Settings) -> Recipe:
    """Return a recipe by its name, for the space of some settings.

    Paths of operators alone are trained one for each update, as Auto-Panoptic's are.
    """
    elastic, seed = settings.search.space == "elastic", settings.seed
    return {
        "uniform": Recipe(
            "uniform paths", {"sandwich": False} if elastic else {}, None if elastic else partial(_uniform, seed)
        ),
        "fair": Recipe("fair cycles", {"sandwich": False} if elastic else {}, partial(_fair, seed)),
        "sandwich": Recipe("sandwich", {"sandwich": True}),
        "distillation": Recipe(
            "sandwich, in-place distillation", {"sandwich": True, "supernet.distillation": 1.0}
        ),
        "longer": Recipe(f"uniform paths, {LONGER} times as long", {"sandwich": False, **_longer(settings)}),
    }[name]  # fmt: skip


def _longer(settings: Settings) -> dict[str, int]:
    recipes = {"largest": settings.largest, "supernet": settings.supernet}
    return {f"{name}.passes": LONGER * one.passes for name, one in recipes.items() if one is not None}


def _uniform(seed: int, space: SearchSpace) -> PathSampler:
    return UniformPaths(space, seed)


def _fair(seed: int, space: SearchSpace) -> PathSampler:
    return FairPaths(space, seed)


def architectures(problem: Problem, datasets: Datasets) -> dict[str, Architecture]:
    """Return what is ranked: architectures spread over the cost range, and others of nearly equal cost."""
    settings = problem.settings()
    whole, gflops = searched_space(settings, datasets), costs(settings, datasets)["gflops"]
    space = within_family(settings, datasets, whole)
    chosen = spread(space, gflops, problem.spread, settings.seed)
    found = {f"{SPREAD}-{place:02}": one for place, one in enumerate(chosen)}
    if problem.sizes:
        found |= networks(space, hand_made(whole), gflops, problem.sizes, problem.any_, settings.seed)
    return found


def names_of(problem: Problem) -> list[str]:
    """Return the names of the architectures that are ranked."""
    equal = ["hand-made"] if problem.sizes else []
    equal += [f"sizes-{place}" for place in range(1, problem.sizes + 1)]
    equal += [f"any-{place}" for place in range(1, problem.any_ + 1)]
    return [*(f"{SPREAD}-{place:02}" for place in range(problem.spread)), *equal]


def alone_name(problem: Problem, seed: int, name: str) -> str:
    """Return the name of the row of a training alone."""
    return f"{PART}/{problem.name}/alone-{seed}/{name}"


def paths_name(problem: Problem, recipe: str, norms: str) -> str:
    """Return the name of the row of a supernet's paths."""
    return f"{PART}/{problem.name}/paths/{recipe}-{norms}"


def jobs(study: Study, problem: Problem, console: Console) -> list[Job]:
    """Return the first trainings alone, the supernets, and the other trainings."""
    job = partial(Job, PART, settings=problem.digest)
    alone = [
        job(
            title=f"{problem.title}, trained alone, seed {seed}",
            names=tuple(alone_name(problem, seed, name) for name in names_of(problem)),
            work=partial(_alone, study, problem, seed, console),
        )
        for seed in range(problem.alone_seeds)
    ]
    supernets = [
        job(
            title=f"{problem.title}, supernet by {recipe}",
            names=tuple(paths_name(problem, recipe, norms) for norms in NORMS),
            work=partial(_paths, study, problem, recipe, console),
        )
        for recipe in (*problem.recipes, *problem.remedies)
    ]
    return [*alone[:1], *supernets, *alone[1:]]


def _folder(study: Study, problem: Problem) -> Path:
    return study.runs / PART / problem.name


def _alone(study: Study, problem: Problem, seed: int, console: Console, rows: Rows) -> Found:
    settings, folder = problem.settings(), _folder(study, problem)
    datasets = prepare(settings, folder, console)  # the same for all seeds of the trainings
    gflops = costs(settings, datasets)["gflops"]
    ranked = architectures(problem, datasets)
    missing = {name: one for name, one in ranked.items() if alone_name(problem, seed, name) not in rows}
    changed = change_settings(settings, {"seed": seed, "retrain.passes": problem.alone_passes})
    for name, metrics in trained_alone(changed, missing, datasets, folder / f"alone-{seed}", console):
        one = ranked[name]
        values = {"id": one.id, "architecture": one.to_json(), "gflops": gflops(one), **metrics}
        yield alone_name(problem, seed, name), {**values, "passes": problem.alone_passes}


def _paths(study: Study, problem: Problem, name: str, console: Console, rows: Rows) -> Found:
    settings, folder = problem.settings(), _folder(study, problem)
    recipe = recipe_of(name, settings)
    settings = change_settings(settings, recipe.changes)
    datasets = prepare(settings, folder, console)
    supernet = train_supernet(settings, datasets, folder / name, progress=console.is_terminal, paths=recipe.paths)
    ranked = architectures(problem, datasets)
    for norms, recalibrated in NORMS.items():
        if paths_name(problem, name, norms) in rows:
            continue
        found = _measured(settings, datasets, supernet, ranked, recalibrated=recalibrated)
        yield paths_name(problem, name, norms), {"recipe": recipe.title, "pq": found}


def _measured(
    settings: Settings, datasets: Datasets, supernet: Supernet, ranked: Mapping[str, Architecture], *,
    recalibrated: bool,
) -> dict[str, float]:  # fmt: skip
    """Return the objective of each path on nas_val, in percent."""
    divisor = network_of(supernet).config.image_divisor
    batches = recalibration_batches(settings, datasets.train, divisor) if recalibrated else None
    network_of(supernet).to(device_of(settings))
    evaluator = PanopticEvaluator(supernet, validation_of(settings, datasets.nas_val, divisor), batches)
    with torch.no_grad():
        return {name: evaluator.evaluate(one, Unheard())[settings.search.objective] for name, one in ranked.items()}
