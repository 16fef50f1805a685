"""The semantic PNGs of Auto-Panoptic's reference: stuff by number, all things as one class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from autopanoptic.panoptic.data.categories import VOID
from autopanoptic.panoptic.data.coco.panoptic_png import read_ids
from autopanoptic.panoptic.data.converters.writing.dataset import Writing
from autopanoptic.panoptic.data.converters.writing.journal import save_png
from autopanoptic.panoptic.data.converters.writing.marker import Marker
from autopanoptic.panoptic.data.converters.writing.workers import work
from autopanoptic.panoptic.data.problems import DatasetError

MARKER = "written.json"
"""File beside the semantic PNGs: what they were made from, and whether all are there."""


@dataclass(frozen=True)
class SemanticPng:
    """One PNG to be written.

    Attributes:
        source: The panoptic PNG.
        target: The semantic one.
        labels: For each segment its id and its label: 0 for things, 1 to 254 for stuff.
    """

    source: Path
    target: Path
    labels: tuple[tuple[int, int], ...]


def write_semantic_pngs(
    folder: Path, jobs: Mapping[str, Sequence[SemanticPng]], parameters: Mapping[str, Any], writing: Writing
) -> None:
    """Write the PNGs that are not there yet, each whole or not at all.

    Args:
        folder: Where all of them lie, in a folder for each split.
        jobs: The PNGs of each split.
        parameters: What they depend on.
        writing: Processes and progress.

    Raises:
        ValueError: If the folder was made from something else.
        DatasetError: With all PNGs that could not be written; the others are kept.
    """
    marker = Marker(folder / MARKER, parameters)
    if marker.begin():
        return
    for split in jobs:
        (folder / split).mkdir(exist_ok=True)
    every = [job for split in jobs.values() for job in split]
    left = [job for job in every if not job.target.is_file()]
    problems = []
    for done, outcome in enumerate(work(_write, left, writing.workers), start=len(every) - len(left) + 1):
        if outcome.problem is not None:
            problems.append(outcome.problem)
        if writing.progress is not None:
            writing.progress(done, len(every))
    if problems:
        raise DatasetError(f"{folder}: not all PNGs could be written", problems)
    marker.finish()


def _write(job: SemanticPng) -> None:
    ids = read_ids(job.source)
    values, codes = np.unique(ids, return_inverse=True)
    labels = {0: VOID, **dict(job.labels)}
    unknown = sorted(set(values.tolist()) - labels.keys())
    if unknown:
        raise ValueError(f"{job.source}: holds the ids {unknown[:10]}, which its JSON does not have")
    table = np.array([labels[value] for value in values.tolist()], dtype=np.uint8)
    save_png(Image.fromarray(table[codes.reshape(ids.shape)]), job.target)
