"""How fast networks train: images per second, alone and by the work of an image, beside torchvision's Mask R-CNN.

Run as ``python benchmarks/training_speed.py [--size 192] [--batch 4] [--json FILE]``. The hand-made networks of the
library's small and of its space auto-panoptic, and torchvision's Mask R-CNN with a ResNet-50, take the same training
steps on the same generated scenes, one after the other: forward, losses, backward, the norm's clipping and fused AdamW,
from random weights. GFLOPs are those of the forward pass and the losses of one image in training mode, by torch's
counter, a multiply and an add as one; operators that it does not know (RoIAlign as a kernel, NMS) count nothing. Images
per second times GFLOPs is the rate of work, by which networks of different size compare. On a CPU one thread computes,
and seconds are the processor's; on a GPU they are those of the wall. Rounds of all networks alternate.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torchvision
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.detection import maskrcnn_resnet50_fpn

from autopanoptic.nas import Supernet
from autopanoptic.nas.supernet.state import seeded
from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.coco.layout import find_splits
from autopanoptic.panoptic.data.loading.batch import LabelledBatch
from autopanoptic.panoptic.data.loading.batches import training_batches
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.data.scenes.files import write_scenes
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.results.saved import new_network
from autopanoptic.panoptic.search.strategies import hand_made
from autopanoptic.panoptic.training.hardware import keep_memory

Losses = Callable[[LabelledBatch], Tensor]
CLIP = 10.0


def panoptic(config: PanopticConfig, device: torch.device) -> tuple[nn.Module, Losses]:
    """Return a space's hand-made network and its loss of a batch."""
    with torch.device("meta"):
        space = Supernet(PanopticNetwork(config)).space
    with seeded(0):
        network = new_network(config, hand_made(space)).to(device).train()

    def losses(batch: LabelledBatch) -> Tensor:
        generator = torch.Generator(device).manual_seed(0)
        return network.losses(batch.images, batch.sizes, batch.targets, batch.semantic, generator=generator)["total"]

    return network, losses


def mask_rcnn(categories: Categories, size: int, device: torch.device) -> tuple[nn.Module, Losses]:
    """Return torchvision's Mask R-CNN, for images that are resized and normalised already, and its loss of a batch."""
    with seeded(0):
        network = maskrcnn_resnet50_fpn(
            weights=None, weights_backbone=None, num_classes=1 + len(categories.things), min_size=size, max_size=size,
            image_mean=[0.0] * 3, image_std=[1.0] * 3,
        ).to(device).train()  # fmt: skip

    def losses(batch: LabelledBatch) -> Tensor:
        targets = [{**target, "masks": target["masks"].whole().to(torch.uint8)} for target in batch.targets]
        found: dict[str, Tensor] = network(list(batch.images), targets)
        return torch.stack(list(found.values())).sum()

    return network, losses


def gflops(losses: Losses, batch: LabelledBatch) -> float:
    """Return the work of one image's forward pass, a multiply and an add as one."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        losses(batch)
    return counter.get_total_flops() / 2 / len(batch) / 1e9


class Training:
    """A network in training."""

    def __init__(self, network: nn.Module, losses: Losses) -> None:
        self.parameters, self.losses = list(network.parameters()), losses
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1e-4, fused=True)

    def step(self, batch: LabelledBatch) -> None:
        """Take one training step."""
        self.losses(batch).backward()
        nn.utils.clip_grad_norm_(self.parameters, CLIP)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def seconds(training: Training, batches: list[LabelledBatch], device: torch.device) -> float:
    """Return the seconds of a step on each of some batches."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = clock()
    for batch in batches:
        training.step(batch)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (clock() - start) / len(batches)


def load(folder: Path, size: int, batch_size: int, device: torch.device) -> tuple[list[LabelledBatch], Categories]:
    """Return a few batches of scenes on a device."""
    root = write_scenes(folder / "scenes", {"train": 4 * batch_size, "nas_val": 1, "val": 1}, size=size)
    dataset = find_splits(root).open().train
    loader = training_batches(dataset, Transform(None, None), batch_size=batch_size, divisor=64, stop=4)
    return [batch.to(device) for batch in loader], dataset.categories


def measure(
    size: int,
    batch_size: int,
    rounds: int,
    device: torch.device,
    watch: Callable[[str, Training, list[LabelledBatch]], None] | None = None,
) -> dict[str, Any]:
    """Return the figures of all networks on a device.

    Args:
        size: Side of the images in pixels.
        batch_size: Images in a batch.
        rounds: Of four steps of each network.
        device: Where to run.
        watch: Called with each network's name, training and batches after the rounds.
    """
    with tempfile.TemporaryDirectory() as folder:
        batches, categories = load(Path(folder), size, batch_size, device)
    counts = len(categories.things), len(categories.stuff)
    networks = {
        "hand-made, small": panoptic(PanopticConfig.scenes(*counts), device),
        "hand-made, published": panoptic(PanopticConfig.coco(*counts), device),
        "Mask R-CNN": mask_rcnn(categories, size, device),
    }
    work = {name: gflops(losses, batches[0]) for name, (_, losses) in networks.items()}
    trainings = {name: Training(*found) for name, found in networks.items()}
    taken: dict[str, list[float]] = {name: [] for name in trainings}
    for number in range(rounds + 1):
        for name, training in trainings.items():
            found = seconds(training, batches[:1] if number == 0 else batches, device)
            if number:  # the first round warms up
                taken[name].append(found)
    if watch is not None:
        for name, training in trainings.items():
            watch(name, training, batches)
    return {"device": _name(device), "networks": dict(_rows(batch_size, work, taken))}


def _rows(batch_size: int, work: dict[str, float], taken: dict[str, list[float]]) -> Iterator[tuple[str, Any]]:
    rates = {name: batch_size / statistics.median(found) for name, found in taken.items()}
    reference = rates["Mask R-CNN"] * work["Mask R-CNN"]
    for name, rate in rates.items():
        spread = sorted(batch_size / found for found in taken[name])
        yield name, {
            "gflops": work[name], "images_per_second": rate, "slowest": spread[0], "fastest": spread[-1],
            "gflops_per_second": rate * work[name], "ratio": rate * work[name] / reference,
        }  # fmt: skip


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu, one thread"


def show(figures: dict[str, Any], size: int, batch_size: int) -> None:
    """Print the figures of a device."""
    table = Table(title=f"Training on {figures['device']}, {size} x {size} pixels, {batch_size} images in a batch")
    table.add_column("network")
    for column in ("GFLOPs an image", "images/s", "slowest to fastest", "GFLOPs/s", "by Mask R-CNN's"):
        table.add_column(column, justify="right")
    for name, row in figures["networks"].items():
        table.add_row(
            name, f"{row['gflops']:.2f}", f"{row['images_per_second']:.2f}",
            f"{row['slowest']:.2f} to {row['fastest']:.2f}", f"{row['gflops_per_second']:.2f}", f"{row['ratio']:.2f}",
        )  # fmt: skip
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=192, help="side of the images in pixels, a multiple of 64")
    parser.add_argument("--batch", type=int, default=4, help="images in a batch")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of four steps of each network")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    if options.size < 64 or options.size % 64 or options.batch < 2 or options.rounds < 1:
        parser.error("the size must be a multiple of 64, with at least 2 images in a batch and 1 round")
    torch.set_num_threads(1)
    keep_memory()  # as trainings do; for all networks alike
    found = []
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        found.append(measure(options.size, options.batch, options.rounds, torch.device(device)))
        show(found[-1], options.size, options.batch)
    if options.json:
        versions = {"torch": torch.__version__, "torchvision": torchvision.__version__}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({**versions, "size": options.size, "devices": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
