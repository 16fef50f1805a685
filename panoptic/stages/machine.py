"""What a run computes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from autopanoptic.panoptic.stages.settings import Settings
from autopanoptic.panoptic.training.hardware import Hardware


def device_of(settings: Settings) -> torch.device:
    """Return where networks are evaluated."""
    if settings.machine.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(settings.machine.device)


def hardware(settings: Settings, *, progress: bool, sharing: int = 1) -> Hardware:
    """Return what a training runs on.

    Args:
        settings: Of the run.
        progress: Whether to tell the progress.
        sharing: How many processes share the paths of a step on a CPU.
    """
    on_gpu = device_of(settings).type == "cuda"
    return Hardware(
        accelerator="gpu" if on_gpu else "cpu",
        devices=settings.machine.gpus if on_gpu else sharing,
        share_paths=sharing > 1 and not on_gpu,
        precision=settings.machine.precision,
        workers=settings.machine.loaders,
        logger=settings.machine.logger,
        progress=progress,
        checkpoint_every=settings.machine.checkpoint_every,
    )


@contextmanager
def threads_of_torch(count: int) -> Iterator[None]:
    """Let torch compute with so many threads: sums over several differ in their last bits from sums over one."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
