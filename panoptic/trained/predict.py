"""Using a trained network on any images: panoptic maps, and pictures of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console

from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.coco.images import Pixels
from autopanoptic.panoptic.data.segments import PanopticMap, Segment
from autopanoptic.panoptic.model.merge.predicted import map_of
from autopanoptic.panoptic.model.precision import Precision
from autopanoptic.panoptic.search.evaluator import predict as predict_batch
from autopanoptic.panoptic.trained.evaluate import device_named, require_folder
from autopanoptic.panoptic.trained.images import batch_of, find_images, picture_names, read_at_most
from autopanoptic.panoptic.trained.networks import TrainedNetwork, find_networks, load_trained, precision_of
from autopanoptic.panoptic.trained.pictures import draw_picture, is_picture
from autopanoptic.panoptic.training.bars import bar

LONGEST = 1600
"""Pixels to which the longer side of an image is shrunk before anything is done with it."""


class UnreadableImagesError(ValueError):
    """Some images could not be read; the others have been drawn."""


@dataclass(frozen=True)
class Picture:
    """What was found on an image.

    Attributes:
        image: The image's file.
        picture: The file that it was drawn to.
        size: Height and width at which it was drawn, in pixels.
        segments: What was found. Many pictures fit into memory, many maps do not; `recognise` returns one.
        categories: What its segments are.
    """

    image: Path
    picture: Path
    size: tuple[int, int]
    segments: tuple[Segment, ...]
    categories: Categories

    def __str__(self) -> str:
        things = sum(self.categories[segment.category_id].isthing for segment in self.segments)
        stuff = len(self.segments) - things
        return f"{self.image}: {things} thing{'' if things == 1 else 's'}, {stuff} stuff"


def predict(
    images: Iterable[str | Path],
    source: str | Path,
    out: str | Path,
    *,
    network: str | None = None,
    score: float | None = None,
    short_side: int | None = None,
    longest: int = LONGEST,
    device: str = "auto",
    precision: Precision | None = None,
    console: Console | None = None,
    on_picture: Callable[[Picture], None] | None = None,
) -> list[Picture]:
    """Draw a panoptic picture of each image, with a legend and scores.

    Images of any mode are read as RGB and turned by their EXIF orientation.

    Args:
        images: Files and folders of them.
        source: A run's folder, or the folder of one network.
        out: Folder of the pictures, made if it is missing; ``x.png`` for ``x.jpg``.
        network: Which of a run's networks; by default ``searched``, or its first.
        score: Least score of things, 0 to 1, instead of the network's own rule of merging.
        short_side: Images are resized to it for the network, in pixels, instead of the size it was trained on.
        longest: Images are shrunk so that no side is longer, in pixels, before anything else.
        device: ``"auto"`` (a GPU where there is one), ``"cpu"`` or ``"cuda"``.
        precision: In which the network computes; None for the run's own, and 32-true outside of a run.
        console: Where progress is told; None for nowhere.
        on_picture: Called with each picture when it is drawn.

    Raises:
        FileNotFoundError: If an image, a folder or the network is missing, or a folder holds no image.
        ValueError: If an argument is out of range, files of the network are damaged, or a picture would take the place
            of another file.
        UnreadableImagesError: If files are no images, damaged or too large, after the others were drawn; names each.
    """
    out = Path(out)
    found = find_images(images)
    pictures = [out / name for name in picture_names(found)]
    _require_new(found, pictures)
    if longest < 1:
        raise ValueError(f"longest={longest}: at least 1 pixel is needed")
    require_folder(out)
    name, folder = next(iter(find_networks(source, [network] if network else ()).items()))
    how = precision_of(folder) if precision is None else precision
    trained = _changed(load_trained(folder, device_named(device)), score, short_side)
    out.mkdir(parents=True, exist_ok=True)
    console, drawn, problems = console or Console(quiet=True), [], []
    with bar(console, f"drawing what {name} finds") as progress:
        for index, (path, picture) in enumerate(zip(found, pictures, strict=True)):
            try:
                pixels = read_at_most(path, longest)
            except (ValueError, FileNotFoundError) as problem:
                problems.append(str(problem))
            else:
                panoptic = recognise(trained, pixels, how)
                draw_picture(pixels, panoptic, trained.usage.categories, picture)
                drawn.append(Picture(path, picture, panoptic.size, panoptic.segments, trained.usage.categories))
                if on_picture is not None:
                    on_picture(drawn[-1])
            progress(index + 1, len(found))
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        others = f"; the other {len(drawn)} are drawn in {out}" if drawn else ""
        raise UnreadableImagesError(f"{len(problems)} of {len(found)} images could not be read{others}:\n{listed}")
    return drawn


def recognise(trained: TrainedNetwork, image: Pixels, precision: Precision = "32-true") -> PanopticMap:
    """Return what a network finds on one image.

    Args:
        trained: The network.
        image: (H, W, 3) RGB.
        precision: In which the network computes.

    Returns:
        A map of the image's size, on the CPU.
    """
    usage = trained.usage
    batch = batch_of(image, usage.transform, trained.network.config.image_divisor)
    with torch.no_grad():
        (found,) = predict_batch(trained.network, batch, precision, usage.rules.score_threshold)
    panoptic = map_of(found, usage.categories, usage.rules)
    return replace(panoptic, ids=panoptic.numpy())


def _changed(trained: TrainedNetwork, score: float | None, short_side: int | None) -> TrainedNetwork:
    usage = trained.usage
    if score is not None:
        usage = replace(usage, rules=replace(usage.rules, score_threshold=score))
    if short_side is not None:
        if short_side < 1:
            raise ValueError(f"short_side={short_side}: at least 1 pixel is needed")
        # The limit on the longer side grows with it, for it was chosen for the shorter side of the training.
        most = usage.long_side
        if most is not None and usage.short_side is not None:
            most = round(most * short_side / usage.short_side)
        usage = replace(usage, short_side=short_side, long_side=most)
    return replace(trained, usage=usage)


def _require_new(images: list[Path], pictures: list[Path]) -> None:
    """Refuse pictures that would be written over anything but earlier ones."""
    own = {path.resolve() for path in images}
    if taken := [path for path in pictures if path.resolve() in own]:
        raise ValueError(
            f"the picture {taken[0]} would take the place of an image; give another folder for the pictures"
        )
    if foreign := [path for path in pictures if path.exists() and not is_picture(path)]:
        raise ValueError(
            f"{foreign[0]} is there already, and none of these pictures; give another folder for the pictures"
        )
