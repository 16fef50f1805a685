"""A training step of the hand-made network of scenes, part by part, with our and with torchvision's RoIAlign.

Run as ``python benchmarks/panoptic_step.py [--steps N] [--json FILE]``. Milliseconds of processor time on one thread,
medians over steps of 8 scenes of 96 x 96 pixels; the two take turns, so that a busy machine hinders both alike.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torchvision.ops import roi_align as torchvision_roi_align

from autopanoptic.nas import Supernet
from autopanoptic.nas.supernet.state import seeded
from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.coco.layout import find_splits
from autopanoptic.panoptic.data.loading.batch import LabelledBatch
from autopanoptic.panoptic.data.loading.batches import training_batches
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.data.scenes.files import write_scenes
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.heads import pooling
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.search.strategies import hand_made
from autopanoptic.panoptic.training.optimizer import make_optimizer
from autopanoptic.panoptic.training.recipe import Recipe

PARTS = ("backbone", "neck", "segmentation", "rpn", "roi_heads.box_roi_pool", "roi_heads.box_head",
         "roi_heads.mask_roi_pool", "roi_heads.mask_head", "roi_heads.mask_predictor")  # fmt: skip
WARM_UP = 3
OPERATOR = "pyramid_roi_align"
"""What the pooling of RoIs calls."""


def network_of_scenes(categories: Categories) -> PanopticNetwork:
    """Return the hand-made network, its weights drawn from a seed."""
    with seeded(0):
        config = PanopticConfig.scenes(len(categories.things), len(categories.stuff))
        supernet = Supernet(PanopticNetwork(config))
        return supernet.subnet(hand_made(supernet.space)).train()  # type: ignore[return-value]


def watch(network: nn.Module, seconds: dict[str, float]) -> None:
    """Add the processor time of every part's forward pass to the seconds."""

    def begin(name: str, *_: Any) -> None:
        seconds[name] -= time.thread_time()

    def end(name: str, *_: Any) -> None:
        seconds[name] += time.thread_time()

    for name in PARTS:
        network.get_submodule(name).register_forward_pre_hook(partial(begin, name))
        network.get_submodule(name).register_forward_hook(partial(end, name))


def step(network: PanopticNetwork, optimizer: torch.optim.Optimizer, batch: LabelledBatch, index: int,
         seconds: dict[str, float]) -> dict[str, float]:  # fmt: skip
    """Return the milliseconds of a step's parts."""
    seconds.clear()
    generator = torch.Generator().manual_seed(index)
    times = [time.thread_time()]
    losses = network.losses(batch.images, batch.sizes, batch.targets, batch.semantic, generator=generator)
    times.append(time.thread_time())
    optimizer.zero_grad()
    losses["total"].backward()
    times.append(time.thread_time())
    nn.utils.clip_grad_norm_(network.parameters(), 10.0)
    optimizer.step()
    times.append(time.thread_time())
    found = {name.removeprefix("roi_heads."): seconds[name] for name in PARTS}
    forward, backward, update = np.diff(times)
    found |= {"targets and losses": forward - sum(found.values()), "backward": backward, "optimizer": update}
    return {name: 1000 * value for name, value in {**found, "step": times[-1] - times[0]}.items()}


def measure(steps: int) -> dict[str, dict[str, float]]:
    """Return the median milliseconds of every part, with our RoIAlign and with torchvision's."""
    with TemporaryDirectory() as folder:
        root = write_scenes(Path(folder) / "scenes", {"train": 32, "nas_val": 1, "val": 1}, size=96, seed=0)
        train = find_splits(root).open().train
        loader = training_batches(train, Transform(short_side=None), batch_size=8, divisor=32, stop=steps + WARM_UP)
        batches = list(loader)
    network = network_of_scenes(train.categories)
    optimizer, seconds = make_optimizer(Recipe(passes=1), network), defaultdict[str, float](float)
    watch(network, seconds)
    kinds: dict[str, Callable[..., Any]] = {"ours": getattr(pooling, OPERATOR), "torchvision": level_by_level}
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    for index, batch in enumerate(batches):
        for kind, operator in kinds.items():
            setattr(pooling, OPERATOR, operator)
            found[kind].append(step(network, optimizer, batch, index, seconds))
    setattr(pooling, OPERATOR, kinds["ours"])
    return {kind: _medians(rows[WARM_UP:]) for kind, rows in found.items()}


def level_by_level(
    maps: Sequence[Tensor], rois: Tensor, levels: Tensor, side: int, scales: Sequence[float], samples: int,
    aligned: bool,
) -> Tensor:  # fmt: skip
    """Pool the boxes of each map by torchvision's operator, and put them in their order, as torchvision does."""
    chosen = [torch.where(levels == index)[0] for index in range(len(maps))]
    pooled = [
        torchvision_roi_align(x, rois[own], side, scale, samples, aligned)
        for x, own, scale in zip(maps, chosen, scales, strict=True)
    ]
    return torch.cat(pooled)[torch.cat(chosen).argsort()]


def _medians(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.median([row[name] for row in rows])) for name in rows[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40, help="steps that are measured, of each kind")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    figures = measure(options.steps)
    table = Table(title="milliseconds of a step of 8 scenes, one thread")
    for column in ("part", "ours", "torchvision", "ratio"):
        table.add_column(column, justify="left" if column == "part" else "right")
    for name, ours in figures["ours"].items():
        theirs = figures["torchvision"][name]
        table.add_row(name, f"{ours:.1f}", f"{theirs:.1f}", f"{theirs / ours:.2f}")
    Console().print(table)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
