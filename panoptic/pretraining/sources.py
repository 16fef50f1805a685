"""What the commands of the pretraining are given: recipes by name with changes, architectures, images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.pretraining.crops import write_crops
from autopanoptic.panoptic.pretraining.images import ImageClasses, check_images, open_images
from autopanoptic.panoptic.pretraining.recipe import PretrainingRecipe
from autopanoptic.panoptic.results.saved import ARCHITECTURE
from autopanoptic.panoptic.search.architecture_files import load_shipped, read_architecture_file, shipped
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.prepare import prepare
from autopanoptic.panoptic.training.bars import bar

RECIPES = ("imagenet", "small")


def recipe_of(name: str, changes: Mapping[str, Any], *, supernet: bool) -> PretrainingRecipe:
    """Return a recipe by its name, with other values by field.

    Raises:
        ValueError: If there is no such recipe or field, or a value is of the wrong type or out of range.
    """
    if name not in RECIPES:
        raise ValueError(f"there is no recipe {name!r}; there are {', '.join(RECIPES)}")
    imagenet = PretrainingRecipe.imagenet_supernet if supernet else PretrainingRecipe.imagenet
    base = imagenet() if name == "imagenet" else PretrainingRecipe.small()
    known = [field.name for field in fields(PretrainingRecipe)]
    for key in changes:
        if key not in known:
            close = get_close_matches(key, known, n=1)
            raise ValueError(f"recipe.{key}: unknown key; {f'did you mean {close[0]}?' if close else known}")
    try:
        return TypeAdapter(PretrainingRecipe).validate_python({**base.to_json(), **changes})
    except ValidationError as error:
        first = error.errors()[0]
        where = f"recipe.{first['loc'][0]}: " if first["loc"] else ""
        raise ValueError(f"{where}{first['msg'].removeprefix('Value error, ')}, not {first['input']!r:.60}") from error


def architecture_of(source: str) -> Architecture:
    """Return an architecture by the name of one that ships, from a file, also a published one, or a network's folder.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no architecture.
    """
    if source in shipped():
        return load_shipped(source)
    path = Path(source) / ARCHITECTURE if Path(source).is_dir() else Path(source)
    if not path.is_file():
        raise FileNotFoundError(
            f"{source}: is neither an architecture's file, a network's folder nor one of {shipped()}"
        )
    return read_architecture_file(path)


def images_of(settings: Settings, images: Path | None, folder: Path, console: Console) -> ImageClasses:
    """Return the images of a folder, or crops of the run's panoptic data.

    Args:
        settings: Of the run, whose data is cut where no images are given.
        images: A folder with ``train/CLASS`` and ``val/CLASS``.
        folder: Of the pretraining; gets ``crops/``, and the scenes where they are generated.
        console: Shows the progress.

    Raises:
        FileNotFoundError: If a folder is missing.
        ValueError: If the images or the panoptic data are not as they must be.
    """
    if images is not None:
        return open_images(images)
    datasets = prepare(settings, folder, console)
    with bar(console, "cutting crops") as move:
        return open_images(write_crops(datasets, folder / "crops", seed=settings.seed, progress=move))


def decode(images: ImageClasses, console: Console) -> None:
    """Decode every image before anything is trained, which takes long where there are many.

    Raises:
        DatasetError: Names the files that cannot be read, and why.
    """
    with bar(console, "checking the images") as move:
        check_images(images, move)
