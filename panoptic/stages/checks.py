"""What is refused before a run has a folder, because settings and machine alone show that it cannot succeed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import torch

from autopanoptic.panoptic.data.coco.layout import find_splits
from autopanoptic.panoptic.data.loading.normalization import IMAGENET
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.config_checks import KNOWN_BACKBONES, SEARCHED_BACKBONE
from autopanoptic.panoptic.model.parts.check import check_parts
from autopanoptic.panoptic.pretraining.recipe import PretrainingRecipe
from autopanoptic.panoptic.results.given import require_file
from autopanoptic.panoptic.results.pretrained import require_backbone, with_known_backbone
from autopanoptic.panoptic.search.inflate import require_source
from autopanoptic.panoptic.settings.settings import STARTS, Settings
from autopanoptic.panoptic.stages.machine import device_of, devices_here, devices_of
from autopanoptic.panoptic.training.recipe import Recipe


def check_settings(settings: Settings) -> None:
    """Refuse settings with which no run can succeed here.

    Raises:
        FileNotFoundError: If the data, the images to pretrain on or a file of weights is missing.
        ValueError: If no data are given or their layout is ambiguous, a part of the network does not fit, a fixed
            backbone's weights are damaged or another's, there are no such GPUs or logger, devices cannot share a batch
            evenly, or a supernet's training ends inside of a step of several paths.
    """
    if settings.search.space != "auto-panoptic":
        check_cycle(settings, settings.random_paths + 2 * settings.sandwich, same_batch=True)
    require_parts(settings)
    if settings.data.path is None:
        settings.data.require_scenes()
    else:
        find_splits(settings.data.path)
    require_device(settings)
    require_devices(settings, _batches(settings))
    require_logger(settings)
    require_executor(settings)
    _require_backbones(settings)
    if settings.init not in STARTS:
        require_file("init", settings.init, STARTS)
    images = settings.pretraining.images
    if images is not None and not Path(images).is_dir():
        raise FileNotFoundError(f"pretraining.images: there is no folder {images}")


def _require_backbones(settings: Settings) -> None:
    """Refuse pretrained weights that are missing, damaged or of another backbone."""
    for section in ("network", "retrained_network"):
        config: PanopticConfig | None = getattr(settings, section)
        if config is None or config.backbone == SEARCHED_BACKBONE:
            continue
        try:
            # No backbone depends on the classes.
            found = with_known_backbone(settings.network_for(1, 1, retrained=section == "retrained_network"))
            require_backbone(config.backbone, found)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{section}.{error}") from error
        except ValueError as error:
            raise ValueError(f"{section}.{error}") from error
        _require_images(settings, config.backbone, found.backbone)


def _require_images(settings: Settings, source: str, kind: str) -> None:
    """Refuse images that are normalised otherwise than those that weights are known to be of."""
    if settings.data.normalization != IMAGENET and (source in KNOWN_BACKBONES or kind == "efficientnet-lite0"):
        raise ValueError(
            f"data.normalization is not ImageNet's, by which the images of the backbone {source} are normalised; leave "
            "it out, or give a file of weights that are of such images as the backbone"
        )


def require_device(settings: Settings) -> None:
    """Refuse a GPU where there is none.

    Raises:
        ValueError: If there is none.
    """
    if settings.machine.device == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"machine.device is cuda, but torch {torch.__version__} can use no GPU of this machine; take auto or cpu"
        )


def require_devices(settings: Settings, batches: Mapping[str, int]) -> None:
    """Refuse to train on several devices where there are fewer, or where a batch has no equal part for each.

    Args:
        settings: Of the run.
        batches: Images in a batch, by the key that says so.

    Raises:
        ValueError: Naming what does not fit.
    """
    wanted, here = devices_of(settings), devices_here(settings)
    if wanted == 1:
        return
    if device_of(settings).type == "cuda" and torch.cuda.device_count() < here:
        raise ValueError(
            f"machine.devices is {here}, but torch {torch.__version__} can use {torch.cuda.device_count()} GPUs of "
            "this machine"
        )
    for key, size in batches.items():
        if size % wanted:
            raise ValueError(
                f"{key} is {size}, which {wanted} devices cannot share evenly; take a multiple of {wanted}, or fewer "
                "machine.devices"
            )


def _batches(settings: Settings) -> dict[str, int]:
    recipes: dict[str, Recipe | PretrainingRecipe | None] = {
        name: getattr(settings, name) for name in ("warmup", "largest", "supernet", "retrain")
    }
    recipes |= {f"pretraining.{name}": getattr(settings.pretraining, name) for name in ("supernet", "found")}
    return {f"{name}.batch_size": recipe.batch_size for name, recipe in recipes.items() if recipe is not None}


def require_logger(settings: Settings) -> None:
    """Refuse a logger that is not installed.

    Raises:
        ValueError: Says how to install it.
    """
    if settings.machine.logger == "tensorboard" and not any(map(find_spec, ("tensorboard", "tensorboardX"))):
        raise ValueError(
            "machine.logger is tensorboard, which is not installed: pip install 'autopanoptic[tensorboard]', or take "
            "csv"
        )


def require_executor(settings: Settings) -> None:
    """Refuse an executor that is not installed.

    Raises:
        ValueError: Says how to install it.
    """
    if settings.machine.executor == "ray" and find_spec("ray") is None:
        raise ValueError(
            "machine.executor is ray, which is not installed: pip install 'autopanoptic[ray]', or take processes"
        )


def require_parts(settings: Settings) -> None:
    """Refuse parts that do not fit their place, or that cannot inherit from a first path.

    Raises:
        ValueError: Naming the key, the part and what is wrong with it.
    """
    mixed = settings.search.space != "auto-panoptic"
    first = "warmup" if settings.warmup is not None else "largest" if settings.largest is not None and mixed else None
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
