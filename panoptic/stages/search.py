"""The third stage: the search among the paths of the supernet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from autopanoptic.nas import (
    Architecture,
    FairPaths,
    InlineExecutor,
    Objective,
    ProcessExecutor,
    RandomSearch,
    Result,
    Search,
    Supernet,
)
from autopanoptic.nas.costs.table import CostTable
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.search.costs import costs_of
from autopanoptic.panoptic.search.evaluator import PanopticEvaluator
from autopanoptic.panoptic.search.strategies import strategy_of
from autopanoptic.panoptic.stages.batches import recalibration_batches, validation_of
from autopanoptic.panoptic.stages.machine import device_of
from autopanoptic.panoptic.stages.networks import network_config, network_of
from autopanoptic.panoptic.stages.settings import Settings
from autopanoptic.panoptic.stages.starts import check_start


def check_feasible(settings: Settings, datasets: Datasets) -> None:
    """Refuse, before anything is trained, a search that could not even begin.

    Raises:
        ValueError: If the strategy cannot search with these settings, no candidate keeps the limit on FLOPs, the
            supernet's training ends within a cycle, the objective is that of a kind of category that the data lacks,
            or the compared networks cannot start as the settings say.
    """
    categories = datasets.train.categories
    for kind, found in (("things", categories.things), ("stuff", categories.stuff)):
        if settings.search.objective.endswith(kind) and not found:
            raise ValueError(
                f"objective={settings.search.objective!r}, but {datasets.train.source} has no category of {kind}"
            )
    check_start(settings, categories)
    config = network_config(settings, categories)
    with torch.device("meta"):
        whole = Supernet(PanopticNetwork(config)).space
    space = CostTable(costs(settings, datasets), _constraints(settings)).constrained(whole)
    strategy_of(settings.search.strategy, settings.search.trials, space).check(
        space, [Objective(settings.search.objective)]
    )
    space.sample(np.random.default_rng(settings.seed))
    settings.supernet.check_cycle(FairPaths(whole).cycle)


def search(
    settings: Settings,
    supernet: Supernet,
    datasets: Datasets,
    journal: Path,
    *,
    baseline: int | None = None,
    progress: bool,
) -> Result:
    """Search for the best path of the supernet on nas_val.

    Args:
        settings: Of the run.
        supernet: Trained.
        datasets: Of the run.
        journal: Where the search goes on from, if it exists.
        baseline: How many candidates to draw at random instead of searching, with a seed of its own.
        progress: Whether to show a bar.
    """
    device = device_of(settings)
    network = network_of(supernet).to(device)
    divisor = network.config.image_divisor
    validation = validation_of(settings, datasets.nas_val, divisor)
    several = settings.machine.workers > 1 and device.type == "cpu"
    search = Search(
        supernet.space,
        strategy_of(settings.search.strategy, settings.search.trials, supernet.space)
        if baseline is None
        else RandomSearch(),
        PanopticEvaluator(supernet, validation, recalibration_batches(settings, datasets.train, divisor)),
        objectives=settings.search.objective,
        costs=costs(settings, datasets),
        constraints=_constraints(settings),
        executor=ProcessExecutor(settings.machine.workers, max(1, settings.machine.threads // settings.machine.workers))
        if several
        else InlineExecutor(),
        ordered=True,
        journal=journal,
        seed=settings.seed + (baseline is not None),
    )
    if search.result().ended is not None and len(search.history) >= (baseline or 0):
        return search.result()
    result = search.run(trials=baseline or settings.search.trials, progress=progress)
    network.to("cpu")
    return result


def costs(settings: Settings, datasets: Datasets) -> dict[str, Callable[[Architecture], float]]:
    """Return `costs_of` of the networks that are retrained, for an image of the size of nas_val's first."""
    config = network_config(settings, datasets.train.categories, searched=True)
    divisor = config.image_divisor
    height, width = settings.transform().size(*datasets.nas_val.sizes[0].tolist())
    return costs_of(config, -(-height // divisor) * divisor, -(-width // divisor) * divisor)


def _constraints(settings: Settings) -> dict[str, tuple[float | None, float | None]]:
    return {} if settings.search.max_gflops is None else {"gflops": (None, settings.search.max_gflops)}
