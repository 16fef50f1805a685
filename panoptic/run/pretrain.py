"""The stages of a run in which its backbones learn to classify images: the supernet's, and those of found networks."""

from __future__ import annotations

from collections.abc import Iterable

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.pretraining import stages
from autopanoptic.panoptic.pretraining.images import ImageClasses, check_images
from autopanoptic.panoptic.pretraining.recipe import PretrainingRecipe
from autopanoptic.panoptic.pretraining.stages import Pretrained
from autopanoptic.panoptic.results.backbones import PRETRAINING, backbone_part, pretraining_folder
from autopanoptic.panoptic.run.folder import Run
from autopanoptic.panoptic.run.prepare import prepared
from autopanoptic.panoptic.run.pretrained import classified
from autopanoptic.panoptic.run.search import finished_search, require_finished_search, trained_of
from autopanoptic.panoptic.training.bars import bar
from autopanoptic.panoptic.training.record import RECORD


def pretrain_supernet(run: Run) -> Pretrained:
    """Train the backbone of a run's supernet to classify images, as `pretraining.supernet` of its settings says.

    What it has learned, ``pretraining/supernet/backbone.pt``, is what `train_supernet` begins with.

    Args:
        run: The run, whose data are prepared first.

    Raises:
        ValueError: If the settings have no such training, the images are not as they must be, or the folder holds
            another training, naming what differs.
    """
    recipe = run.settings.pretraining.supernet
    if recipe is None:
        raise _unwanted(run, "supernet", "{}")
    images = _images(run)
    with run.stage("pretraining, supernet"):
        found = stages.pretrain_supernet(run.settings, images, pretraining_folder(run.folder), recipe, progress=True)
        _tell(run, "supernet", found)
    return found


def pretrain(run: Run, architecture: Architecture | None = None) -> dict[Architecture, Pretrained]:
    """Train the backbones of the networks that `retrain` trains to classify images, each by itself.

    Args:
        run: The run; without an architecture it must have ended its search, and those are the finalists.
        architecture: Whose backbone to train instead.

    Returns:
        The pretrainings, by the backbones' architectures.

    Raises:
        FileNotFoundError: If the search is needed and has not ended.
        ValueError: As of `pretrain_supernet`.
    """
    if run.settings.pretraining.found is None:
        raise _unwanted(run, "found", "pretrained")
    with run.refusable():
        if architecture is None:
            require_finished_search(run)
        else:
            stages.check_backbone(run.settings, architecture)  # before scenes are generated
        prepared(run)
    return pretrain_all(run, [architecture] if architecture else trained_of(run, *finished_search(run)))


def pretrain_all(run: Run, architectures: Iterable[Architecture]) -> dict[Architecture, Pretrained]:
    """Train the backbones of some architectures, of which those that are alike are trained once."""
    recipe = run.settings.pretraining.found
    assert recipe is not None
    images, found = _images(run), {}
    with run.stage("pretraining, found"):
        for backbone in dict.fromkeys(map(backbone_part, architectures)):
            found[backbone] = _pretrained(run, backbone, images, recipe)
    return found


def _pretrained(run: Run, backbone: Architecture, images: ImageClasses, recipe: PretrainingRecipe) -> Pretrained:
    folder = pretraining_folder(run.folder, backbone)
    found = stages.pretrain(run.settings, backbone, images, folder, recipe, progress=True)
    _tell(run, f"backbone {backbone.id}", found)
    return found


def _images(run: Run) -> ImageClasses:
    """Return the images, all of which are decoded once before anything is trained on them."""
    images = classified(run, prepared(run))
    if run.settings.pretraining.images is not None and not any((run.folder / PRETRAINING).glob(f"*/{RECORD}")):
        with bar(run.console, "checking the images") as move:
            check_images(images, move)
    return images


def _tell(run: Run, name: str, found: Pretrained) -> None:
    top1 = sum(one.top1 for one in found.accuracies) / len(found.accuracies)
    run.say(f"{name}: top-1 {top1:.1f}% on val, of {found.classes} classes")


def _unwanted(run: Run, section: str, value: str) -> ValueError:
    key = "init" if section == "found" else f"pretraining.{section}"
    return ValueError(
        f"the run {run.folder} has no such pretraining: pretraining.{section} of its config is null. A run with it is "
        f"made by `autopanoptic panoptic prepare --set {key}={value}`"
    )
