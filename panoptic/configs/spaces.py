"""What a config may leave out because it goes with what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autopanoptic.panoptic.model.config_checks import SEARCHED_BACKBONE
from autopanoptic.panoptic.pretraining.recipe import PretrainingRecipe
from autopanoptic.panoptic.settings.search import OF_ONE_OBJECTIVE, SearchSettings

OWN = ("passes", "warmup", "schedule", "milestones", "validate_every", "keep", "distillation")
"""Keys of the supernet's recipe that the training of one path before it does not take over: what goes with its length,
and what one path alone cannot do."""

FEW_TRIALS = 100
"""Up to so many trials Bayesian optimization finds the front sooner than NSGA-II: on scenes with 40 trials, and on
NAS-Bench-201; other data sets and spaces were not tried."""


def with_strategy(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config with the strategy and the cost that go with its space and with each other, where it gives none.

    Widths, depths and components are worth what they cost, so that spaces with them are searched for quality and
    GFLOPs: by Bayesian optimization where there are few trials, with which NSGA-II has hardly begun, else by NSGA-II. A
    latency, which has to be measured, is left to NSGA-II. The space of operators alone is searched by path-priority for
    quality alone, as in the paper. A strategy of one objective gets no cost, and a cost of null one of one objective.

    Args:
        values: Nested; what is wrong in them stays as it is.
    """
    search = values.get("search", {})
    if not isinstance(search, Mapping):
        return dict(values)
    strategy, elastic = search.get("strategy"), search.get("space") in ("elastic", "published")
    alone = strategy in OF_ONE_OBJECTIVE or (not elastic and strategy != "nsga2")
    filled = {"cost": None if alone else "gflops", **search}
    return {
        **values,
        "search": {"strategy": _fitting(filled["cost"], filled.get("trials", SearchSettings.trials)), **filled},
    }


def _fitting(cost: Any, trials: Any) -> str:
    if cost is None:
        return "path-priority"
    few = isinstance(trials, int) and trials <= FEW_TRIALS
    return "bayesian" if few and cost == "gflops" else "nsga2"


FINE_TUNED = 0.1
"""Share of the learning rate that a pretrained backbone learns with, where the optimizer's steps are of Adam's size."""


def with_fine_tuning(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config whose recipes by AdamW train a fixed backbone more slowly, where they say nothing of it.

    Args:
        values: Nested; what is wrong in them stays as it is.
    """
    sections = [values.get(name) for name in ("network", "retrained_network")]
    backbones = [one.get("backbone", SEARCHED_BACKBONE) for one in sections if isinstance(one, Mapping)]
    filled = dict(values)
    if all(backbone == SEARCHED_BACKBONE for backbone in backbones):
        return filled
    for name in ("supernet", "retrain"):
        recipe = values.get(name)
        if isinstance(recipe, Mapping) and recipe.get("optimizer", "adamw") == "adamw":
            filled[name] = {"backbone_factor": FINE_TUNED, **recipe}
    return filled


def with_recipe(first: Mapping[str, Any], supernet: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recipe of a first path with the supernet's values for all that it leaves out but `OWN`."""
    return {**{key: value for key, value in supernet.items() if key not in OWN}, **first}


def with_pretraining(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config whose recipes of the pretraining hold what they leave out, and that has what `init` asks for.

    On images of a folder that is the schedule of DetNAS and the paper, on crops of the run's own data the small one.
    """
    section = values.get("pretraining", {})
    if not isinstance(section, Mapping):
        return dict(values)
    given = section.get("images") is not None
    wanted: dict[str, Any] = {"found": {}} if values.get("init") == "pretrained" else {}
    filled = {**wanted, **section}
    for name, ours in (("supernet", PretrainingRecipe.imagenet_supernet), ("found", PretrainingRecipe.imagenet)):
        if isinstance(recipe := filled.get(name), Mapping):
            filled[name] = {**(ours() if given else PretrainingRecipe.small()).to_json(), **recipe}
    return {**values, "pretraining": filled} if filled else dict(values)
