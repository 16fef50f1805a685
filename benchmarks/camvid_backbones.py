"""What a pretrained backbone is worth on CamVid, beside the small one from scratch, for equal CPU time.

Run as ``python -m benchmarks.camvid_backbones --data DIR --folder DIR [--json FILE]``, and again to go on where it was
interrupted. Both arms have the config ``camvid`` (192x256): ``scratch`` searches its small backbone too, ``pretrained``
has the ImageNet weights of EfficientNet-Lite0, with its stem, C2 and batch norms frozen, and searches the rest. An arm
trains its supernet, searches it for quality within a limit on GFLOPs that is a tenth above its hand-made network, and
trains the answer further from its path's weights. How many passes the trainings have is decided by
``--supernet-minutes`` and ``--minutes`` and the CPU seconds that a pass takes here, which are measured before. At the
end each is measured on the 233 test images, and pictures are drawn. ``--json FILE`` alone prints what was kept.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from autopanoptic.nas import Architecture, Supernet
from autopanoptic.panoptic.configs.config import change_settings, load_config
from autopanoptic.panoptic.data.coco.layout import Datasets, find_splits
from autopanoptic.panoptic.data.loading.batches import training_batches
from autopanoptic.panoptic.data.segments import PanopticMap
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.results.overlay import side_by_side
from autopanoptic.panoptic.search.strategies import answer_of, family, hand_made, strategy_of
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.batches import validation_of
from autopanoptic.panoptic.stages.costs import costs
from autopanoptic.panoptic.stages.networks import build, network_config, pretrained
from autopanoptic.panoptic.stages.retrain import retrain
from autopanoptic.panoptic.stages.search import Candidates
from autopanoptic.panoptic.stages.supernet import train_supernet
from autopanoptic.panoptic.trained.evaluate import evaluate
from autopanoptic.panoptic.trained.evaluation import Evaluation
from autopanoptic.panoptic.training.optimizer import make_optimizer
from autopanoptic.panoptic.training.recipe import Recipe

ARMS: dict[str, dict[str, Any]] = {"pretrained": {"network.backbone": "efficientnet-lite0"}, "scratch": {}}
COMMON: dict[str, Any] = {
    "search.strategy": "evolution",
    "search.cost": None,
    "search.trials": 8,
    "search.finalists": 1,
    "search.recalibration_batches": 8,
    "machine.device": "cpu",
    "machine.workers": 1,
    "machine.supernet_processes": 1,
    "machine.trainings": 1,
}
HEADROOM = 1.1
LARGEST = 1 / 2
"""Share of the supernet's minutes that goes to its largest network, which is trained first."""
SHOWN = {"pq": "PQ", "pq_things": "PQ things", "pq_stuff": "PQ stuff", "box_ap": "box AP", "mask_ap": "mask AP",
    "miou": "mIoU"}  # fmt: skip
PICTURES = 12


class Arm:
    """One of the two trainings, in a folder of its own."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        self.name, self.folder, self.options = name, options.folder / name, options
        self.folder.mkdir(parents=True, exist_ok=True)
        self.datasets = find_splits(options.data).open(options.seed)
        own = {"data.path": options.data, "seed": options.seed}
        self.settings = load_config("camvid", {**own, **COMMON, **ARMS[name]})

    def run(self) -> None:
        """Do what is not done yet."""
        plan = self._kept("plan.json", self._plan)
        settings = change_settings(self.settings, plan["changes"])
        supernet = train_supernet(settings, self.datasets, self.folder / "supernet", progress=True)
        found = self._kept("found.json", lambda: self._searched(settings, supernet))
        architecture = Architecture(found["architecture"])
        passes = self._kept("passes.json", lambda: self._passes(settings, supernet, architecture))
        settings = change_settings(settings, {"retrain.passes": passes["passes"]})
        network = retrain(
            settings, architecture, self.datasets, self.folder / "network", self.folder / "supernet", on_pass=self._tell
        )
        self._draw(settings, network)

    def _plan(self) -> dict[str, Any]:
        """Time passes of the supernet, and say how many there are and how dear a candidate may be."""
        network = self._drawn()
        timed = {"hand-made": hand_made(network.space), "largest": family(network.space)[-1]}
        limit = HEADROOM * costs(self.settings, self.datasets)["gflops"](timed["hand-made"])
        seconds = {
            name: seconds_a_pass(network.subnet(one), self.settings, self.settings.supernet, self.datasets)
            for name, one in timed.items()
        }
        minutes, paths = self.options.supernet_minutes, self.settings.random_paths
        first, rest = 60 * LARGEST * minutes, 60 * (1 - LARGEST) * minutes
        changes = {
            "search.max_gflops": limit,
            "largest.passes": max(1, round(first / seconds["largest"])),
            "supernet.passes": max(1, round(rest / seconds["hand-made"] / paths)) * paths,
        }
        return {"seconds_a_pass": seconds, "changes": changes}

    def _passes(self, settings: Settings, supernet: Supernet, architecture: Architecture) -> dict[str, Any]:
        seconds = seconds_a_pass(supernet.subnet(architecture), settings, settings.retrain, self.datasets)
        return {"seconds_a_pass": seconds, "passes": round(60 * self.options.minutes / seconds)}

    def _drawn(self) -> Supernet:
        config = network_config(self.settings, self.datasets.train.categories)
        return Supernet(pretrained(build(config, self.settings.seed), self.settings.backbone()))

    def _searched(self, settings: Settings, supernet: Supernet) -> dict[str, Any]:
        result = Candidates(settings, supernet, self.datasets, self.folder, progress=False).searched()
        asked = settings.search
        answer = answer_of(strategy_of(asked.strategy, asked.trials, supernet.space), result)
        cost = {name: price(answer) for name, price in costs(settings, self.datasets).items()}
        qualities = sorted(trial.metrics["pq"] for trial in result.history.completed)
        return {"architecture": answer.to_json(), **cost, "pq_on_nas_val": qualities}

    def _draw(self, settings: Settings, network: PanopticNetwork) -> None:
        val, done = self.datasets.val, self.folder / "pictures"
        if done.exists():
            return
        chosen = val.subset(range(0, len(val), len(val) // PICTURES))
        found: dict[int, PanopticMap] = {}
        validation_of(settings, chosen, network.config.image_divisor).quality(network, keep=found.__setitem__)
        for index, panoptic in found.items():
            path = done / f"{chosen.image_ids[index]}.png"
            side_by_side(chosen.image(index), chosen.truth(index), panoptic, chosen.categories, path)

    def _tell(self, passes: int) -> None:
        if passes % 50 == 0:
            print(f"{self.name}: {passes} passes of the answer's training", flush=True)

    def _kept(self, name: str, make: Any) -> dict[str, Any]:
        path = self.folder / name
        if not path.exists():
            found = make()
            path.write_text(json.dumps(found, indent=1) + "\n")
        read: dict[str, Any] = json.loads(path.read_text())
        return read


def seconds_a_pass(network: Any, settings: Settings, recipe: Recipe, datasets: Datasets) -> float:
    """Return the median CPU seconds of a training pass of a network, loading included."""
    optimizer = make_optimizer(recipe, network.train())
    divisor, count = network.config.image_divisor, 6
    loader = iter(
        training_batches(
            datasets.train,
            settings.transform(recipe),
            batch_size=recipe.batch_size,
            divisor=divisor,
            seed=0,
            stop=count,
        )
    )
    taken = []
    for _ in range(count):
        start = time.process_time()
        batch = next(loader)
        losses = network.losses(batch.images, batch.sizes, batch.targets, batch.semantic)
        optimizer.zero_grad()
        losses["total"].backward()
        optimizer.step()
        taken.append(time.process_time() - start)
    return median(taken[1:])


def summary(options: argparse.Namespace) -> dict[str, Any]:
    """Measure both networks on the test images, and return everything that the table says."""
    networks = {}
    for name in ARMS:
        (networks[name],) = evaluate(options.folder / name / "network", data=options.data).networks.values()
    arms, read = {}, lambda name, file: json.loads((options.folder / name / file).read_text())
    for name, one in networks.items():
        found = read(name, "found.json")
        arms[name] = {
            "gflops": found["gflops"], "mparams": found["mparams"], "architecture": found["architecture"],
            "pq_on_nas_val_of_candidates": found["pq_on_nas_val"], "changes": read(name, "plan.json")["changes"],
            "retrain_passes": read(name, "passes.json")["passes"],
            "training_cpu_seconds": _planned(read(name, "plan.json"), read(name, "passes.json")),
            "metrics": {key: one.metrics()[key] for key in SHOWN},
            "intervals": {key: asdict(one.estimates[key]) for key in SHOWN},
        }  # fmt: skip
    both = Evaluation("CamVid", "val", 233, find_splits(options.data).open(0).val.categories, networks)
    difference = {key: asdict(one) for key, one in both.differences["scratch"].items() if key in SHOWN}
    return {"seed": options.seed, "arms": arms, "pretrained_minus_scratch": difference}


def _planned(plan: dict[str, Any], answer: dict[str, Any]) -> dict[str, float]:
    """Return the CPU seconds of each training by those of a pass, which others on the machine change less."""
    seconds, passes = plan["seconds_a_pass"], plan["changes"]
    return {
        "largest": passes["largest.passes"] * seconds["largest"],
        "supernet": passes["supernet.passes"] * seconds["hand-made"],
        "answer": answer["passes"] * answer["seconds_a_pass"],
    }


def table(found: dict[str, Any]) -> Table:
    """Return the figures with 95% intervals over the images."""
    shown = Table(title="CamVid, 233 test images, 192x256, in percent; 95% over the images", box=None)
    for heading in ("", *ARMS, "difference"):
        shown.add_column(heading, justify="right")
    for key, heading in SHOWN.items():
        cells = [found["arms"][name]["intervals"][key] for name in ARMS] + [found["pretrained_minus_scratch"][key]]
        shown.add_row(heading, *(f"{one['value']:.1f} [{one['low']:.1f}, {one['high']:.1f}]" for one in cells))
    for heading, key in (("GFLOPs", "gflops"), ("M parameters", "mparams"), ("passes", "retrain_passes")):
        shown.add_row(heading, *(f"{found['arms'][name][key]:.3g}" for name in ARMS))
    shown.add_row("CPU s", *(f"{sum(found['arms'][name]['training_cpu_seconds'].values()):.0f}" for name in ARMS))
    return shown


def main() -> None:
    """Run one arm or both, and print the table when both have ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of CamVid in COCO panoptic format")
    parser.add_argument("--folder", type=Path, help="where the trainings are, and go on")
    parser.add_argument("--arm", choices=list(ARMS), help="this one alone, so that two processes share the machine")
    parser.add_argument("--supernet-minutes", type=float, default=20.0, help="CPU minutes of an arm's supernet")
    parser.add_argument("--minutes", type=float, default=40.0, help="CPU minutes of the training of its answer")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where the figures are kept")
    options = parser.parse_args()
    if options.data is None or options.folder is None:
        if options.json is None:
            parser.error("give --data and --folder, or --json with what was kept")
        Console(width=120).print(table(json.loads(options.json.read_text())))
        return
    torch.set_num_threads(1)
    for name in [options.arm] if options.arm else ARMS:
        Arm(name, options).run()
    if options.arm:
        return
    found = summary(options)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    Console(width=120).print(table(found))


if __name__ == "__main__":
    main()
