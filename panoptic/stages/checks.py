"""What is refused before a run has a folder, because settings and machine alone show that it cannot succeed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from autopanoptic.panoptic.data.coco.layout import find_splits
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.parts.check import check_parts
from autopanoptic.panoptic.search.inflate import require_source
from autopanoptic.panoptic.stages.machine import device_of
from autopanoptic.panoptic.stages.settings import STARTS, Settings
from autopanoptic.panoptic.training.recipe import Recipe


def check_settings(settings: Settings) -> None:
    """Refuse settings with which no run can succeed here.

    Raises:
        FileNotFoundError: If the data, the images to pretrain on or the file of starting weights is missing.
        ValueError: If no data are given or their layout is ambiguous, a part of the network does not fit, there are no
            such GPUs or they cannot share a batch evenly, or the elastic supernet's training ends inside of a step of
            several paths.
    """
    if settings.search.space == "elastic":
        check_cycle(settings, settings.random_paths + 2 * settings.sandwich, same_batch=True)
    require_parts(settings)
    if settings.data.path is None:
        settings.data.require_scenes()
    else:
        find_splits(settings.data.path)
    require_device(settings)
    _require_gpus(settings)
    if settings.init not in STARTS and not Path(settings.init).is_file():
        raise FileNotFoundError(f"init: {settings.init} is none of {', '.join(STARTS)}, nor a file of weights")
    images = settings.pretraining.images
    if images is not None and not Path(images).is_dir():
        raise FileNotFoundError(f"pretraining.images: there is no folder {images}")


def require_device(settings: Settings) -> None:
    """Refuse a GPU where there is none.

    Raises:
        ValueError: If there is none.
    """
    if settings.machine.device == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"machine.device is cuda, but torch {torch.__version__} can use no GPU of this machine; take auto or cpu"
        )


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


def require_parts(settings: Settings) -> None:
    """Refuse parts that do not fit their place, or that cannot inherit from a first path.

    Raises:
        ValueError: Naming the key, the part and what is wrong with it.
    """
    elastic = settings.search.space == "elastic"
    first = "warmup" if settings.warmup is not None else "largest" if settings.largest is not None and elastic else None
    for section in ("network", "retrained_network"):
        config: PanopticConfig | None = getattr(settings, section)
        if config is None:
            continue
        try:
            check_parts(replace(config, space=settings.search.space))
            if first is not None and section == "network":
                require_source(replace(config, space=settings.search.space), first)
        except ValueError as error:
            raise ValueError(f"{section}.{error}") from error


def check_cycle(settings: Settings, paths: int, *, same_batch: bool = False) -> None:
    """Refuse a training of the supernet that would end inside of a cycle of so many paths.

    Args:
        settings: Of the run.
        paths: In a cycle.
        same_batch: Whether those of a cycle, where there are several, run on one batch.

    Raises:
        ValueError: Naming the passes and the paths of a cycle.
    """
    try:
        settings.supernet.check_cycle(paths, same_batch=same_batch and paths > 1)
    except ValueError as error:
        raise ValueError(f"supernet.{error}") from error
