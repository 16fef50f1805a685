"""Images per second of training and evaluation, and the memory that they take."""

from __future__ import annotations

import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from autopanoptic.panoptic.data.loading.batch import LabelledBatch
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.precision import computing
from autopanoptic.panoptic.training.hardware import keep_memory
from benchmarks.throughput.contestants import CONTESTANTS, COUNTS, Contestant
from benchmarks.throughput.inputs import random_batch

CLIP = 10.0


def measure(
    name: str, size: tuple[int, int], batch: int, steps: int, warmup: int, device: torch.device, precision: str
) -> dict[str, Any]:
    """Return the figures of one network, which should have a process of its own.

    Args:
        name: Of `CONTESTANTS`.
        size: Height and width of the images.
        batch: Images in a batch.
        steps: Measured of each kind; the median counts.
        warmup: Steps of each kind before these.
        device: Where to run. On a CPU one thread computes, and seconds are the processor's.
        precision: One of `autopanoptic.panoptic.model.precision.PRECISIONS`.
    """
    if device.type == "cpu":
        torch.set_num_threads(1)
        keep_memory()
    contestant = CONTESTANTS[name](size, device)
    divisor = PanopticConfig.coco(*COUNTS).image_divisor
    images = random_batch(batch, size, COUNTS, divisor)
    with computing(precision, device):
        work = {kind: contestant.gflops(images.to(device), training=kind == "training") for kind in KINDS}
    return {
        kind: {"gflops": work[kind], **_timed(run(contestant, precision), images, steps, warmup, device)}
        for kind, run in KINDS.items()
    }


def _training(contestant: Contestant, precision: str) -> Callable[[LabelledBatch], None]:
    parameters = list(contestant.network.train().parameters())
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)

    def step(batch: LabelledBatch) -> None:
        with computing(precision, batch.images.device):
            loss = contestant.loss(batch)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def _evaluation(contestant: Contestant, precision: str) -> Callable[[LabelledBatch], None]:
    contestant.network.eval()

    def step(batch: LabelledBatch) -> None:
        with torch.no_grad(), computing(precision, batch.images.device):
            contestant.predict(batch)

    return step


KINDS = {"training": _training, "evaluation": _evaluation}


def _timed(
    step: Callable[[LabelledBatch], None], images: LabelledBatch, steps: int, warmup: int, device: torch.device
) -> dict[str, float]:
    """Return images per second, batches being sent to the device each time, and the most memory in MiB."""
    on_gpu = device.type == "cuda"
    if on_gpu:
        images = images.pin_memory()
        torch.cuda.reset_peak_memory_stats(device)
    clock = time.perf_counter if on_gpu else time.process_time
    taken = []
    for _ in range(warmup + steps):
        start = clock()
        step(images.to(device))
        if on_gpu:
            torch.cuda.synchronize(device)
        taken.append(clock() - start)
    seconds = statistics.median(taken[warmup:])
    memory = torch.cuda.max_memory_allocated(device) / 2**20 if on_gpu else _resident()
    return {"images_per_second": len(images) / seconds, "memory": memory}


def _resident() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def device_name(device: torch.device) -> str:
    """Return the card's or the processor's name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    lines = Path("/proc/cpuinfo").read_text().splitlines() if os.path.exists("/proc/cpuinfo") else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{model or platform.processor() or platform.machine()}, one thread"
