"""What the pretraining of a run needs, and what it leaves for the other stages."""

from __future__ import annotations

from shlex import quote

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.pretraining.crops import write_crops
from autopanoptic.panoptic.pretraining.images import ImageClasses, open_images
from autopanoptic.panoptic.results.backbones import BACKBONE, pretraining_folder
from autopanoptic.panoptic.run.folder import Run
from autopanoptic.panoptic.training.bars import bar


def classified(run: Run, datasets: Datasets) -> ImageClasses:
    """Return the images that a run pretrains on: the folder that its settings give, or crops of its own data.

    Crops lie in ``crops/`` of the run's folder, and are cut once.

    Args:
        run: The run.
        datasets: Of the run.

    Raises:
        FileNotFoundError: If a folder is missing.
        ValueError: If the images, or the data that are cut, are not as they must be.
    """
    given = run.settings.pretraining.images
    if given is not None:
        return open_images(given)
    with bar(run.console, "cutting crops") as move:
        return open_images(write_crops(datasets, run.folder / "crops", seed=run.settings.seed, progress=move))


def require_pretrained(run: Run, architecture: Architecture | None = None) -> None:
    """Refuse to go on without a pretraining: of the supernet, or of the backbone of an architecture.

    Raises:
        FileNotFoundError: Saying how it is done.
    """
    weights = pretraining_folder(run.folder, architecture) / BACKBONE
    if weights.exists():
        return
    command = "pretrain-supernet" if architecture is None else "pretrain"
    raise FileNotFoundError(
        f"there is no {weights}: the run has not pretrained that backbone; "
        f"`autopanoptic panoptic {command} --name {quote(run.folder.name)}` does"
    )
