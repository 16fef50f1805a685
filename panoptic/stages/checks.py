"""What is refused before a run has a folder, because settings and machine alone show that it cannot succeed."""

from __future__ import annotations

from pathlib import Path

import torch

from autopanoptic.panoptic.data.coco.layout import find_splits
from autopanoptic.panoptic.stages.machine import device_of
from autopanoptic.panoptic.stages.settings import Settings
from autopanoptic.panoptic.training.recipe import Recipe


def check_settings(settings: Settings) -> None:
    """Refuse settings with which no run can succeed here.

    Raises:
        FileNotFoundError: If the data or the file of starting weights is missing.
        ValueError: If no data are given or their layout is ambiguous, there are no such GPUs, or they cannot share a
            batch evenly.
    """
    if settings.data.path is None:
        settings.data.require_scenes()
    else:
        find_splits(settings.data.path)
    if settings.machine.device == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"machine.device is cuda, but torch {torch.__version__} can use no GPU of this machine; take auto or cpu"
        )
    _require_gpus(settings)
    if settings.init not in ("scratch", "supernet") and not Path(settings.init).is_file():
        raise FileNotFoundError(f"init: {settings.init} is neither scratch, supernet nor a file of weights")


def _require_gpus(settings: Settings) -> None:
    """Refuse to train on several GPUs where there are fewer, or where a batch has no equal part for each."""
    wanted = settings.machine.gpus
    if wanted == 1:
        return
    if device_of(settings).type == "cpu":
        raise ValueError(
            f"machine.gpus is {wanted}, but the run computes on the CPU; set it to 1. Cores are shared by "
            "machine.supernet_processes and machine.trainings"
        )
    found = torch.cuda.device_count()
    if found < wanted:
        raise ValueError(f"machine.gpus is {wanted}, but torch {torch.__version__} can use {found} of this machine")
    for name in ("warmup", "largest", "supernet", "retrain"):
        recipe: Recipe | None = getattr(settings, name)
        if recipe is not None and recipe.batch_size % wanted:
            raise ValueError(
                f"{name}.batch_size is {recipe.batch_size}, which the {wanted} GPUs of machine.gpus cannot share "
                f"evenly; take a multiple of {wanted}"
            )
