"""What the compared networks found on each image of val: kept by the run, or measured again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console

from autopanoptic.panoptic.data.image_id import ImageId
from autopanoptic.panoptic.quality.bootstrap import value_of
from autopanoptic.panoptic.quality.images import ImageCounts
from autopanoptic.panoptic.report.run import Run
from autopanoptic.panoptic.stages.comparison import COUNTS_FILE
from autopanoptic.panoptic.trained.data import open_split
from autopanoptic.panoptic.trained.evaluate import evaluate

TOLERANCE = 1e-6
"""Percent by which the PQ of what was kept may differ from that of the comparison."""


@dataclass(frozen=True)
class Measured:
    """The networks of a comparison, image by image.

    Attributes:
        counts: What each network found.
        image_ids: Of the images of val, in the order of the counts.
        lacking: Why there are none; empty where there are.
    """

    counts: Mapping[str, ImageCounts]
    image_ids: list[ImageId]
    lacking: str = ""

    @classmethod
    def of(cls, run: Run, device: str = "auto", console: Console | None = None) -> Measured:
        """Take what the run has kept where that is of the comparison, and measure the networks else."""
        if run.metrics is None:
            return cls({}, [], "The run has not compared its networks yet, and none is measured.")
        kept = {name: _kept(run, name) for name in run.networks}
        known = {name: found for name, found in kept.items() if found is not None}
        if len(known) == len(kept) and len({tuple(ids) for _, ids in known.values()}) == 1:
            return cls({name: counts for name, (counts, _) in known.items()}, next(iter(known.values()))[1])
        try:
            return cls._again(run, device, console)
        except (FileNotFoundError, ValueError) as error:
            return cls({}, [], f"The networks could not be measured on val again: {error}")

    @classmethod
    def _again(cls, run: Run, device: str, console: Console | None) -> Measured:
        names = list(run.networks)
        ids = open_split(run.network_folder(names[0]), None).image_ids.tolist()
        found = evaluate(run.folder, networks=names, device=device, console=console)
        return cls({name: one.quality.images for name, one in found.networks.items()}, ids)


def _kept(run: Run, name: str) -> tuple[ImageCounts, list[ImageId]] | None:
    """Return what the run has kept of a network; None where it has not, or has changed since."""
    path = run.network_folder(name) / COUNTS_FILE
    if not path.exists():
        return None
    assert run.metrics is not None
    counts, ids = ImageCounts.load(path, run.categories)
    compared = run.metrics["networks"][name].get("pq")
    if compared is None:
        return None
    return (counts, ids) if len(counts) and abs(value_of(counts) - compared) <= TOLERANCE else None
