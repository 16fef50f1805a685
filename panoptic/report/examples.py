"""The images of val on which the searched network does best and worst, beside their truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.segments import PanopticMap
from autopanoptic.panoptic.report.blocks import Block, Entry, Example, Heading, Image, Lacking, Paragraph, Section
from autopanoptic.panoptic.report.images import Pixels, of_file, of_pixels
from autopanoptic.panoptic.report.measured import Measured
from autopanoptic.panoptic.report.run import Run
from autopanoptic.panoptic.results.overlay import overlay
from autopanoptic.panoptic.trained.data import labelled_as, open_split
from autopanoptic.panoptic.trained.evaluate import device_named
from autopanoptic.panoptic.trained.networks import load_trained
from autopanoptic.panoptic.trained.pictures import part
from autopanoptic.panoptic.trained.predict import recognise

SMALLEST, LARGEST = 240, 640
"""Pixels of the longer side of a picture, at least and at most."""


class Extremes(NamedTuple):
    """Indices of images.

    Attributes:
        best: The best one first.
        worst: The worst one first.
    """

    best: list[int]
    worst: list[int]


def extremes(pq: npt.NDArray[np.float64], count: int) -> Extremes:
    """Return the images of the best and of the worst PQ, none of them twice.

    Args:
        pq: (N,) of each image; NaN, where nothing was seen, is neither good nor bad.
        count: How many of each at most. Of equals the first in the data set's order are taken.
    """
    known = np.flatnonzero(np.isfinite(pq))
    best = known[np.argsort(-pq[known], kind="stable")][: min(count, -(-len(known) // 2))]
    rest = np.setdiff1d(known, best)
    worst = rest[np.argsort(pq[rest], kind="stable")][:count]
    return Extremes(best.tolist(), worst.tolist())


def examples_section(run: Run, measured: Measured, count: int, device: str = "auto") -> Section:
    """Return the best and the worst images; what is drawn is what the network says now.

    Args:
        run: Whose.
        measured: What its networks found on each image.
        count: How many of each; 0 for none.
        device: Where the network runs.
    """
    return Section("images", "Best and worst images", list(_blocks(run, measured, count, device)))


def _blocks(run: Run, measured: Measured, count: int, device: str) -> Iterator[Block]:
    if run.shown not in measured.counts:
        yield Lacking(measured.lacking or "The network that was found is not measured.")
        yield from _pictures(run)
        return
    try:
        best, worst = _drawn(run, measured, count, device)
    except (FileNotFoundError, ValueError) as error:
        yield Lacking(f"The images could not be drawn: {error}")
        yield from _pictures(run)
        return
    if best:
        yield Paragraph("In the legends things are counted, and stuff is its part of the image.")
    for title, examples in (("Best", best), ("Worst", worst)):
        if examples:
            yield Heading(f"{title} by the {run.shown} network's PQ on the image")
            yield from examples


def _pictures(run: Run) -> Iterator[Block]:
    """Yield those that the run has drawn itself."""
    found = sorted((run.network_folder(run.shown) / "pictures").glob("*.png"))
    if found:
        yield Heading("The first images of val, as the run has drawn them")
    for path in found:
        alt = f"Image {path.stem}, its truth and what the {run.shown} network finds"
        yield Example(f"Image {path.stem}", [("image, truth, prediction", of_file(path, alt))], ())


def _drawn(run: Run, measured: Measured, count: int, device: str) -> tuple[list[Example], list[Example]]:
    folder = run.network_folder(run.shown)
    trained, dataset = load_trained(folder, device_named(device)), open_split(folder, None)
    dataset = labelled_as(dataset, trained)
    if dataset.image_ids.tolist() != measured.image_ids:
        raise ValueError(f"{dataset.source} holds other images than those on which the networks were compared")
    pq = measured.counts[run.shown].pq

    def example(index: int) -> Example:
        image = dataset.image(index)
        found, name = recognise(trained, image, run.settings.machine.precision), dataset.image_path(index).name
        title = f"{name}: PQ {pq[index]:.1f}"
        return _example(title, image, dataset.truth(index), found, dataset.categories)

    best, worst = extremes(pq, count)
    return [example(index) for index in best], [example(index) for index in worst]


def _example(title: str, image: Pixels, truth: PanopticMap, found: PanopticMap, categories: Categories) -> Example:
    lossless = max(image.shape[:2]) < SMALLEST  # photographs would make the page large
    image, maps = _resized(image, (truth, found))
    pictures: list[tuple[str, Image]] = [("image", of_pixels(image, f"The image of {title}", lossless=lossless))]
    for name, panoptic in zip(("truth", "prediction"), maps, strict=True):
        alt = f"Its {name}: {_words(panoptic, categories)}"
        pictures.append((name, of_pixels(overlay(image, panoptic, categories), alt, lossless=lossless)))
    return Example(title, pictures, list(_legend(truth, found, categories)))


def _resized(image: Pixels, maps: Sequence[PanopticMap]) -> tuple[Pixels, list[PanopticMap]]:
    """Repeat the pixels of small images, of which contours would hide much, and shrink large ones."""
    longest = max(image.shape[:2])
    if longest < SMALLEST:
        times = -(-SMALLEST // longest)
        enlarged = [one.numpy().repeat(times, axis=0).repeat(times, axis=1) for one in maps]
        image = image.repeat(times, axis=0).repeat(times, axis=1)
        return image, [PanopticMap(ids, one.segments) for ids, one in zip(enlarged, maps, strict=True)]
    height, width = (max(1, round(side * min(1.0, LARGEST / longest))) for side in image.shape[:2])
    rows = (np.arange(height) + 0.5) * image.shape[0] / height
    columns = (np.arange(width) + 0.5) * image.shape[1] / width
    places = np.ix_(rows.astype(int), columns.astype(int))
    small = np.asarray(Pillow.fromarray(image).resize((width, height), Pillow.Resampling.LANCZOS))
    return small, [PanopticMap(one.numpy()[places], one.segments) for one in maps]


def _legend(truth: PanopticMap, found: PanopticMap, categories: Categories) -> Iterator[Entry]:
    """Yield the classes of either, things first, in the data set's order."""
    there = _shares(truth), _shares(found)
    for category in (*categories.things, *categories.stuff):
        if any(category.id in shares for shares in there):
            shown = [_shown(shares.get(category.id, []), category.isthing) for shares in there]
            yield Entry(category.color, category.name, *shown)


def _shares(panoptic: PanopticMap) -> dict[int, list[float]]:
    """Return the part of the image that each segment of a class has."""
    ids = panoptic.numpy()
    values, counts = np.unique(ids, return_counts=True)
    pixels = dict(zip(values.tolist(), counts.tolist(), strict=True))
    shares: dict[int, list[float]] = {}
    for segment in panoptic.segments:
        shares.setdefault(segment.category_id, []).append(pixels.get(segment.id, 0) / ids.size)
    return shares


def _shown(shares: list[float], isthing: bool) -> str:
    if not shares:
        return "-"
    return str(len(shares)) if isthing else part(sum(shares))


def _words(panoptic: PanopticMap, categories: Categories) -> str:
    shares = _shares(panoptic)
    named = [
        f"{categories[name].name} x {len(of)}" if len(of) > 1 else categories[name].name for name, of in shares.items()
    ]
    return ", ".join(named) or "nothing"
