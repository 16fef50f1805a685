"""What a run computes on."""

from __future__ import annotations

import torch

from autopanoptic.panoptic.stages.settings import Settings
from autopanoptic.panoptic.training.hardware import Hardware


def device_of(settings: Settings) -> torch.device:
    """Return where networks are evaluated."""
    if settings.machine.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(settings.machine.device)


def hardware(settings: Settings, *, progress: bool) -> Hardware:
    """Return what a training runs on."""
    return Hardware(
        accelerator="gpu" if device_of(settings).type == "cuda" else "cpu",
        precision=settings.machine.precision,
        workers=settings.machine.loaders,
        logger=settings.machine.logger,
        progress=progress,
        checkpoint_every=settings.machine.checkpoint_every,
    )
