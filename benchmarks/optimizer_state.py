"""What the optimizer's state takes of a training process's memory, and what sharing it among processes saves.

Run as ``python -m benchmarks.optimizer_state [--json FILE]``; a minute on two cores. Two processes (gloo, on the CPU)
train one step of the supernet of the config ``scenes``, its largest path on a whole batch, with torch's AdamW and with
its ``ZeroRedundancyOptimizer``, each in processes of their own. Of the config ``coco`` only sizes are worked out.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.optim import AdamW, Optimizer

from autopanoptic.nas import Supernet
from autopanoptic.panoptic.data.coco.layout import find_splits
from autopanoptic.panoptic.data.loading.batches import training_batches
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.data.scenes.files import write_scenes
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.search.strategies import family
from benchmarks.machine import machine

BATCH = 4
"""Images of a step of the supernet of ``scenes``, whole on each process, as the config trains it."""
PROCESSES = 2
RATE = 1.5e-3


def peak() -> float:
    """Return the most memory that this process has had, in MB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def of_tensors(tensors: Any) -> float:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors if isinstance(tensor, torch.Tensor)) / 2**20


def state_of(optimizer: Optimizer) -> float:
    """Return what the optimizer's state takes in this process, in MB."""
    own = optimizer.optim if isinstance(optimizer, ZeroRedundancyOptimizer) else optimizer
    return of_tensors(value for state in own.state.values() for value in state.values())


def train(folder: Path, rank: int, zero: bool, connection: Connection) -> None:
    """Train a step in one of the processes, and send what it took."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    dist.init_process_group("gloo", f"file://{folder / 'meeting'}", rank=rank, world_size=PROCESSES)
    dataset = find_splits(folder / "scenes").open().train
    categories = dataset.categories
    network = PanopticNetwork(PanopticConfig.scenes(len(categories.things), len(categories.stuff)))
    supernet = Supernet(network)
    supernet.activate(family(supernet.space)[-1])
    optimizer: Optimizer = (
        ZeroRedundancyOptimizer(network.parameters(), AdamW, lr=RATE) if zero else AdamW(network.parameters(), lr=RATE)
    )
    loader = training_batches(dataset, Transform(short_side=None), batch_size=BATCH, divisor=32, stop=2)
    for index, batch in enumerate(loader):
        losses = network.losses(
            batch.images, batch.sizes, batch.targets, batch.semantic, generator=torch.Generator().manual_seed(index)
        )
        losses["total"].backward()
        for weight in network.parameters():
            # What is off this path has a state, too, once a path has used it.
            weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
            dist.all_reduce(weight.grad)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    connection.send({"peak": peak(), "state": state_of(optimizer), "weights": of_tensors(network.parameters())})
    dist.destroy_process_group()


def measured(folder: Path, zero: bool) -> list[dict[str, float]]:
    """Return what each process took, in MB."""
    (folder / "meeting").unlink(missing_ok=True)
    context = multiprocessing.get_context("fork")
    ours, processes = [], []
    for rank in range(PROCESSES):
        receiver, sender = context.Pipe(duplex=False)
        processes.append(context.Process(target=train, args=(folder, rank, zero, sender)))
        processes[-1].start()
        sender.close()
        ours.append(receiver)
    found = [receiver.recv() for receiver in ours]
    for process in processes:
        process.join()
    return found


def sizes_of_coco() -> dict[str, float]:
    """Return what the supernet of ``coco`` takes, in MB: weights, and states of one number a weight and of two."""
    with torch.device("meta"):
        network: nn.Module = PanopticNetwork(PanopticConfig.coco())
    weights = of_tensors(network.parameters())
    return {"weights": weights, "sgd": weights, "adamw": 2 * weights}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    imports = peak()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        process = multiprocessing.get_context("fork").Process(target=_write, args=(folder / "scenes",))
        process.start()
        process.join()
        scenes = {kind: measured(folder, kind == "zero") for kind in ("adamw", "zero")}
    found = {"machine": machine(), "imports": imports, "scenes": scenes, "coco": sizes_of_coco()}
    print(json.dumps(found, indent=1))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


def _write(folder: Path) -> None:
    write_scenes(folder, {"train": 2 * BATCH, "nas_val": 1, "val": 1}, size=96, seed=0)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
