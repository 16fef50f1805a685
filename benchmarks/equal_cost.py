"""At one cost: how far apart are networks once they are trained, and does a path's quality say which are the better?

Random widths and depths with plain operators, and random networks of the whole space, all of about the cost of a
finished run's hand-made network, are measured as paths of the run's supernet on nas_val, then trained by the run's
recipe like the networks that it compares, and measured on val. So it shows what a perfect search could find there, and
how much of that the weights of the supernet tell, and with ``--short 20 --short 60`` how much trainings of so many
passes do, by which finalists could be chosen. Each finished training is kept and goes on from there. A run whose
supernet alone is trained has no front yet: the cost is then that of the space's network made by hand.

Run as ``python -m benchmarks.equal_cost --run runs/NAME --to FOLDER [--sizes 8] [--any 3] [--short N] [--json FILE]``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from scipy.stats import kendalltau

from autopanoptic.nas import Architecture, SearchSpace
from autopanoptic.nas.evaluation.evaluator import Unheard
from autopanoptic.panoptic.configs.config import change_settings
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.results.fronts import FRONT, HAND_MADE, Fronts
from autopanoptic.panoptic.run.folder import load_run
from autopanoptic.panoptic.search.evaluator import PanopticEvaluator
from autopanoptic.panoptic.search.scaling import is_size, plain
from autopanoptic.panoptic.search.strategies import hand_made
from autopanoptic.panoptic.stages.batches import recalibration_batches, validation_of
from autopanoptic.panoptic.stages.costs import costs
from autopanoptic.panoptic.stages.networks import network_config
from autopanoptic.panoptic.stages.prepare import SUPERNET_FOLDER, prepare
from autopanoptic.panoptic.stages.retrain import retrain
from autopanoptic.panoptic.stages.supernet import train_supernet

METRICS = ("pq", "pq_things", "pq_stuff")
RANGE = 0.88, 1.005
"""Share of the hand-made network's cost that the others have."""


@dataclass(frozen=True)
class Row:
    """A network, in percent: its path on nas_val; there after short trainings, by their passes; trained, on both."""

    name: str
    gflops: float
    path: dict[str, float]
    short: dict[str, dict[str, float]]
    nas_val: dict[str, float]
    val: dict[str, float]


def drawn(space: SearchSpace, rng: np.random.Generator, *, sizes_alone: bool) -> Architecture:
    """Draw a network, with plain operators or any."""
    if not sizes_alone:
        return space.sample(rng)
    options = {
        one.label: one.options[rng.integers(len(one.options))] if is_size(one.label) else plain(one)
        for one in space.choices
    }
    return space.canonical(options)


def networks(
    space: SearchSpace, by_hand: Architecture, cost: Callable[[Architecture], float], sizes: int, any_: int, seed: int
) -> dict[str, Architecture]:
    """Return the hand-made network and random ones of about its cost, by their names."""
    rng, found = np.random.default_rng(seed), {"hand-made": by_hand}
    low, high = (share * cost(by_hand) for share in RANGE)
    for name, count in (("sizes", sizes), ("any", any_)):
        kept: list[Architecture] = []
        while len(kept) < count:
            one = drawn(space, rng, sizes_alone=name == "sizes")
            if low <= cost(one) <= high and one not in found.values() and one not in kept:
                kept.append(one)
        found |= {f"{name}-{place}": one for place, one in enumerate(kept, start=1)}
    return found


def rows(folder: Path, to: Path, sizes: int, any_: int, short: Sequence[int] = ()) -> list[Row]:
    """Measure and train the networks, printing each.

    Args:
        folder: Of the run.
        to: Of the trainings.
        sizes: How many random networks of plain operators.
        any_: How many of any operators.
        short: Passes of the short trainings.
    """
    settings = load_run(folder)
    datasets = prepare(settings, folder, Console(stderr=True))
    supernet = train_supernet(settings, datasets, folder / SUPERNET_FOLDER, progress=False)
    divisor = network_config(settings, datasets.train.categories).image_divisor
    nas_val, val = (validation_of(settings, split, divisor) for split in (datasets.nas_val, datasets.val))
    evaluator = PanopticEvaluator(supernet, nas_val, recalibration_batches(settings, datasets.train, divisor))
    gflops = costs(settings, datasets)["gflops"]
    known = (folder / FRONT).exists()
    by_hand = Fronts.load(folder).chosen(HAND_MADE).architecture if known else hand_made(supernet.space)

    def trained(name: str, one: Architecture, passes: int) -> PanopticNetwork:
        changed = change_settings(settings, {"retrain.passes": passes})
        return retrain(changed, one, datasets, to / f"{name}-{passes}", folder / SUPERNET_FOLDER)

    found = []
    for name, one in networks(supernet.space, by_hand, gflops, sizes, any_, settings.seed).items():
        path = _shown(evaluator.evaluate(one, Unheard()))
        shorter = {str(passes): _shown(nas_val(trained(name, one, passes))) for passes in short}
        whole = trained(name, one, settings.retrain.passes)
        found.append(Row(name, round(gflops(one), 5), path, shorter, _shown(nas_val(whole)), _shown(val(whole))))
        _print(found[-1])
    return found


def _print(row: Row) -> None:
    print(f"{row.name:10} {row.gflops:.3f} GFLOPs, path {row.path['pq']:.1f}, trained {row.val['pq']:.1f}", flush=True)


def _shown(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: round(metrics[name], 3) for name in METRICS}


def summary(found: list[Row]) -> dict[str, Any]:
    """Return what the networks say together: Kendall's tau with the trained networks' PQ on val, and their spread."""
    trained = [row.val["pq"] for row in found]
    others = trained[1:]

    def tau(values: list[float]) -> float:
        return float(kendalltau(values, trained).statistic)

    return {
        "tau_path": tau([row.path["pq"] for row in found]),
        "tau_short": {passes: tau([row.short[passes]["pq"] for row in found]) for passes in found[0].short},
        "tau_nas_val": tau([row.nas_val["pq"] for row in found]),
        "hand_made": trained[0],
        "others": {"mean": float(np.mean(others)), "deviation": float(np.std(others, ddof=1)), "best": max(others)},
        "rows": [vars(row) for row in found],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished run with a cost")
    parser.add_argument("--to", type=Path, required=True, help="where the trainings go, and go on")
    parser.add_argument("--sizes", type=int, default=8)
    parser.add_argument("--any", type=int, default=3)
    parser.add_argument("--short", type=int, action="append", default=[], help="passes of a short training, first")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    figures = summary(rows(given.run, given.to, given.sizes, given.any, given.short))
    rest = figures["others"]
    print(
        f"hand-made {figures['hand_made']:.1f}; others {rest['mean']:.1f}, deviation {rest['deviation']:.1f}, ", end=""
    )
    print(f"best {rest['best']:.1f}")
    short = "".join(f", after {passes} passes {tau:.2f}" for passes, tau in figures["tau_short"].items())
    print(
        f"tau with PQ on val once trained: path {figures['tau_path']:.2f}{short}, nas_val {figures['tau_nas_val']:.2f}"
    )
    if given.json is not None:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
