"""How exact and how fast the graphs of an exported network are, at a size of images as it is used.

Run as ``python -m benchmarks.exported [--architecture coco_3.8g] [--size 480x640] [--repeats 3]``. The network is a
published one with drawn weights, on which neither depends much. Its graphs are written, read back, compared with torch
and timed as ``autopanoptic panoptic export`` does it, but in seconds of the processor, on one thread, so that other
work on the machine counts little.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from autopanoptic.nas.supernet.state import seeded
from autopanoptic.panoptic.data.loading.normalization import IMAGENET
from autopanoptic.panoptic.export.checks import Run, expected_of, largest_difference, torch_of
from autopanoptic.panoptic.export.onnx_graphs import OnnxGraph, write_onnx
from autopanoptic.panoptic.export.plans import Inputs, Plan, plans_of
from autopanoptic.panoptic.export.programs import Program, write_program
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.results.saved import new_network
from autopanoptic.panoptic.search.architecture_files import load_shipped, shipped

CLASSES = {"coco_3.8g": (80, 53), "ade_3.8g": (100, 50)}
"""Of things and stuff, by the architecture."""
HEAD = "| graph | torch, s | `.onnx`, s | `.pt2`, s | largest difference |\n|---|---:|---:|---:|---:|"


def published(name: str) -> PanopticNetwork:
    """Return a published network with drawn weights, in eval mode."""
    with seeded(0):
        network = new_network(PanopticConfig.coco(*CLASSES[name], searched=True), load_shipped(name))
    return network.eval()


def seconds(run: Run, inputs: Inputs, repeats: int, clock: Callable[[], float] = time.process_time) -> float:
    """Return the median time of a graph, by the processor; the first run is not counted."""
    found = []
    for _ in range(1 + repeats):
        begun = clock()
        run(inputs)
        found.append(clock() - begun)
    return statistics.median(found[1:])


def rows(plans: list[Plan], folder: Path, repeats: int) -> Iterator[str]:
    """Write, check and time graphs, and return a row of Markdown for each."""
    for plan in plans:
        expected = expected_of(plan)
        paths = folder / f"{plan.name}.onnx", folder / f"{plan.name}.pt2"
        write_onnx(plan, list(expected[0]), paths[0])
        write_program(plan, paths[1])
        runs: list[Run] = [OnnxGraph(paths[0]), Program(paths[1])]
        difference = max(
            largest_difference(plan, expected, run, path.name) for run, path in zip(runs, paths, strict=True)
        )
        times = " | ".join(f"{seconds(run, plan.one, repeats):.2f}" for run in (torch_of(plan), *runs))
        yield f"| `{plan.name}` | {times} | {difference:.0e} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="coco_3.8g", choices=shipped())
    parser.add_argument("--size", default="480x640", help="height and width of the images in pixels")
    parser.add_argument("--repeats", type=int, default=3, help="times that each graph is timed")
    given = parser.parse_args()
    torch.set_num_threads(1)
    height, width = map(int, given.size.split("x"))
    plans = plans_of(published(given.architecture), IMAGENET, (height, width), fixed=True)
    print(f"{given.architecture}, {given.size}, torch {torch.__version__}\n\n{HEAD}", flush=True)
    with TemporaryDirectory() as folder:
        for row in rows(plans, Path(folder), given.repeats):
            print(row, flush=True)


if __name__ == "__main__":
    main()
