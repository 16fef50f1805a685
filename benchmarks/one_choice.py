"""What does each size do to a path, one changed at a time? It finds sizes that a supernet has not learned.

The paths of the largest network of a finished run's supernet and of its hand-made network are measured on nas_val as
they are, and with each width and depth in turn at every option. Trained alone, networks that differ in one size are
much alike; a path that loses many points by one option shows weights that do not fit together there, not a bad
architecture, and a search would be misled.

Run as ``python -m benchmarks.one_choice --run runs/NAME [--images 120] [--json FILE]``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from autopanoptic.nas import Architecture, SearchSpace
from autopanoptic.nas.evaluation.evaluator import Unheard
from autopanoptic.nas.space.architecture import Option
from autopanoptic.panoptic.results.fronts import HAND_MADE, Fronts
from autopanoptic.panoptic.run.folder import load_run
from autopanoptic.panoptic.search.evaluator import PanopticEvaluator
from autopanoptic.panoptic.search.scaling import is_size, plain
from autopanoptic.panoptic.stages.batches import recalibration_batches, validation_of
from autopanoptic.panoptic.stages.networks import network_config
from autopanoptic.panoptic.stages.prepare import SUPERNET_FOLDER, prepare
from autopanoptic.panoptic.stages.supernet import train_supernet

METRICS = ("pq", "pq_things", "pq_stuff")
LARGEST = "largest"


@dataclass(frozen=True)
class Row:
    """A path: a network with one size at an option; PQ, PQ of things and of stuff on nas_val, in percent.

    The size is empty for the network as it is.
    """

    network: str
    size: str
    option: Option
    values: dict[str, float]


def filled(space: SearchSpace, options: Mapping[str, Option]) -> dict[str, Option]:
    """Return options with those of all choices that are left out: the largest size, the plain operator."""
    rest = {one.label: one.options[-1] if is_size(one.label) else plain(one) for one in space.choices}
    return {**rest, **options}


def paths(space: SearchSpace, networks: Mapping[str, Architecture]) -> dict[tuple[str, str, Option], Architecture]:
    """Return the networks, and each with one size changed, by network, size and option."""
    found: dict[tuple[str, str, Option], Architecture] = {}
    for name, one in networks.items():
        found[name, "", ""] = one
        for choice in space.choices:
            options = choice.options if is_size(choice.label) and choice.label in one else ()
            for option in options:
                if option != one[choice.label]:
                    found[name, choice.label, option] = space.canonical(filled(space, {**one, choice.label: option}))
    return found


def measure(folder: Path, images: int, tell: Callable[[Row], None]) -> list[Row]:
    """Measure all paths of a run's supernet."""
    settings = load_run(folder)
    datasets = prepare(settings, folder, Console(stderr=True))
    supernet = train_supernet(settings, datasets, folder / SUPERNET_FOLDER, progress=False)
    divisor = network_config(settings, datasets.train.categories).image_divisor
    part = datasets.nas_val.subset(list(range(min(images, len(datasets.nas_val)))))
    batches = recalibration_batches(settings, datasets.train, divisor)
    evaluator = PanopticEvaluator(supernet, validation_of(settings, part, divisor), batches)
    largest = supernet.space.canonical(filled(supernet.space, {}))
    by_hand = Fronts.load(folder).chosen(HAND_MADE).architecture
    found = []
    for (name, size, option), one in paths(supernet.space, {LARGEST: largest, HAND_MADE: by_hand}).items():
        metrics = evaluator.evaluate(one, Unheard())
        found.append(Row(name, size, option, {metric: round(metrics[metric], 2) for metric in METRICS}))
        tell(found[-1])
    return found


def table(found: list[Row]) -> Table:
    """Return a row for each path, with what it gains over its network as it is."""
    whole = {row.network: row.values for row in found if not row.size}
    shown = Table(title="PQ of paths on nas_val, with one size changed")
    for name in ("network", "size", "option", *METRICS, "gain"):
        shown.add_column(name, justify="left" if name in ("network", "size") else "right")
    for row in found:
        gain = row.values["pq"] - whole[row.network]["pq"]
        values = [f"{row.values[metric]:.1f}" for metric in METRICS]
        shown.add_row(row.network, row.size, str(row.option), *values, f"{gain:+.1f}" if row.size else "")
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished run with a cost")
    parser.add_argument("--images", type=int, default=120, help="of nas_val")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = measure(given.run, given.images, lambda row: print(".", end="", flush=True))
    print()
    Console().print(table(found))
    if given.json is not None:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps([vars(row) for row in found], indent=1) + "\n")


if __name__ == "__main__":
    main()
