"""What a run computes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.training.hardware import Hardware
from autopanoptic.panoptic.training.parallel.launch import launched


def device_of(settings: Settings) -> torch.device:
    """Return where networks are evaluated."""
    if settings.machine.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(settings.machine.device)


def devices_of(settings: Settings) -> int:
    """Return how many GPUs, or processes on CPUs, train together, on all machines.

    Raises:
        ValueError: If torchrun has started others than the settings say.
    """
    found, wanted = launched(), settings.machine.devices
    if found is None:
        return wanted
    if wanted not in (1, found.local_world):
        raise ValueError(
            f"machine.devices is {wanted}, but torchrun has started {found.local_world} processes on this machine; "
            "leave it out, for torchrun says how many"
        )
    return found.world


def devices_here(settings: Settings) -> int:
    """Return how many of them are on this machine."""
    found = launched()
    return settings.machine.devices if found is None else found.local_world


def hardware(settings: Settings, *, progress: bool, sharing: int = 1, splitting: int = 1) -> Hardware:
    """Return what a training runs on.

    Args:
        settings: Of the run.
        progress: Whether to tell the progress.
        sharing: How many processes share the paths of a step on a CPU, where none share its batches.
        splitting: How many share its batches there, where none share its paths.
    """
    on_gpu, devices = device_of(settings).type == "cuda", devices_of(settings)
    alone = not on_gpu and devices == 1
    shares_paths = sharing > 1 and alone
    return Hardware(
        accelerator="gpu" if on_gpu else "cpu",
        devices=max(sharing, splitting) if alone else devices,
        share_paths=shares_paths,
        batch_size=settings.machine.batch_size,
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
