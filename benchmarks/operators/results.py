"""The committed results: what the finished trainings say, as one JSON file for a number of passes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from autopanoptic.panoptic.data.scenes.kinds import CATEGORIES
from benchmarks.operators.counts import by_category
from benchmarks.operators.networks import HAND_MADE, NETWORKS
from benchmarks.operators.statistics import DRAWS, Estimate, Measured, at_equal_cost, differences, draws_of, measured
from benchmarks.operators.training import Plan
from benchmarks.strategies.results import surroundings

FOLDER = Path("benchmarks/results/operators")


def summarise(plan: Plan, seeds: Sequence[int]) -> dict[str, Any]:
    """Return what is measured of the networks whose trainings with all these seeds have ended.

    Raises:
        ValueError: If the hand-made network, with which the others are compared, is not among them.
    """
    ended = [name for name in NETWORKS if all(plan.result(name, seed) is not None for seed in seeds)]
    if HAND_MADE not in ended:
        raise ValueError(f"the {HAND_MADE} network has not been trained with the seeds {list(seeds)}: train it first")
    first = {name: [_result(plan, name, seed) for seed in seeds] for name in ended}
    entries = {
        name: {
            "what": NETWORKS[name].what,
            "gflops": results[0]["gflops"],
            "mparams": results[0]["mparams"],
            "pq": {str(read): [result["pq"][str(read)] for result in results] for read in plan.reads},
            "by_category": _by_category(plan, name, seeds),
            "difference": {},
            "at_equal_cost": {},
        }
        for name, results in first.items()
    }
    for read in plan.reads:
        networks = _measured(plan, ended, seeds, read, {name: entry["gflops"] for name, entry in entries.items()})
        for key, found in (("difference", differences(networks)), ("at_equal_cost", at_equal_cost(networks))):
            for name, estimate in found.items():
                entries[name][key][str(read)] = _json(estimate)
    return {
        "scenes_version": first[HAND_MADE][0]["scenes_version"],
        "scenes": asdict(plan.settings.data.require_scenes()),
        "seeds": list(seeds),
        "passes": plan.passes,
        "recipe": plan.settings.retrain.to_json(),
        **({"variant": plan.variant, "changes": dict(plan.changes)} if plan.variant else {}),
        "draws": DRAWS,
        "networks": entries,
        **surroundings(),
    }


def path_of(folder: Path, passes: int, variant: str = "") -> Path:
    """Return the file of trainings of so many passes, by the config's recipe or by another one."""
    return folder / f"{passes}-passes{variant and f'-{variant}'}.json"


def write(found: Mapping[str, Any], folder: Path) -> Path:
    """Write the file of some results.

    Raises:
        ValueError: As `require_own`.
    """
    path = path_of(folder, found["passes"], found.get("variant", ""))
    require_own(path, found.get("changes"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")
    return path


def require_own(path: Path, changes: Mapping[str, Any] | None) -> None:
    """Refuse to replace another recipe's results.

    Raises:
        ValueError: If the recipe's name has been used for another recipe.
    """
    if path.exists() and json.loads(path.read_text()).get("changes") != changes:
        raise ValueError(f"{path} has results of other changes under this name: choose another --variant")


def _result(plan: Plan, name: str, seed: int) -> dict[str, Any]:
    found = plan.result(name, seed)
    assert found is not None  # only networks whose trainings have ended are asked for
    return found


def _by_category(plan: Plan, name: str, seeds: Sequence[int]) -> dict[str, list[float]]:
    """Return the PQ in percent that a network ends with in each category, of each seed."""
    found = [by_category(plan.counts(name, seed, plan.passes).sum(axis=0, dtype=np.float64)) for seed in seeds]
    names = [category.name for category in CATEGORIES]
    return {name: [float(one[place]) for one in found] for place, name in enumerate(names[: len(found[0])])}


def _measured(
    plan: Plan, names: Sequence[str], seeds: Sequence[int], read: int, gflops: Mapping[str, float]
) -> dict[str, Measured]:
    counts = {name: [plan.counts(name, seed, read) for seed in seeds] for name in names}
    draws = draws_of(len(counts[HAND_MADE][0]))
    return {name: measured(gflops[name], found, draws) for name, found in counts.items()}


def _json(estimate: Estimate) -> dict[str, Any]:
    return {**asdict(estimate), "error": estimate.error, "differs": estimate.differs}
