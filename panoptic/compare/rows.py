"""What the finished trainings of a comparison are worth: a row each, which is there as soon as one has ended."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autopanoptic.nas.storage.files import whole
from autopanoptic.panoptic.compare.plan import Plan, folder_of
from autopanoptic.panoptic.results.json_files import read_object, write_object

ROW, ROWS, COUNTS = "row.json", "rows.jsonl", "images.json"
"""The row in a training's folder, all rows in the comparison's, and what was found on each image of val."""


@dataclass(frozen=True)
class Row:
    """A finished training.

    Attributes:
        network: Name of the network.
        seed: Of the training.
        metrics: On val in percent: pq, pq_things, pq_stuff, mask_ap, miou and others; what was not seen is left out.
        gflops: Of one image.
        mparams: Millions of parameters.
        seconds: Of the training alone, by the clock.
        cpu_seconds: The same of the process that trains, on all its threads; None where it trains on a GPU.
        passes: Of the training.
        device: On which it trained.
        latency_ms: Median time from an image to its map; None until all trainings have ended.
    """

    network: str
    seed: int
    metrics: Mapping[str, float]
    gflops: float
    mparams: float
    seconds: float
    cpu_seconds: float | None
    passes: int
    device: str
    latency_ms: float | None = None

    @property
    def training_seconds(self) -> float:
        """What the training took, whatever ran beside it: the processor's seconds, or on a GPU the clock's."""
        return self.seconds if self.cpu_seconds is None else self.cpu_seconds

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Row:
        """Return what `save` wrote.

        Raises:
            TypeError: If a key is missing or unknown.
        """
        unknown = {"seconds": math.nan} if values.get("seconds", 0) is None else {}
        return cls(**{**values, **unknown})

    def to_json(self) -> dict[str, Any]:
        """The fields as a JSON object, which has null for a time that is not known."""
        return {name: None if _is_nan(value) else value for name, value in asdict(self).items()}

    def save(self, folder: Path) -> None:
        """Write it to the training's folder."""
        write_object(folder / ROW, self.to_json())


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def row_of(folder: Path) -> Row | None:
    """Return the row of a training's folder; None where it has not ended.

    Raises:
        ValueError: If it is damaged.
    """
    path = folder / ROW
    if not path.exists():
        return None
    try:
        return Row.from_json(read_object(path))
    except TypeError as error:
        raise ValueError(f"{path} is damaged: {error}; delete it to have the network measured again") from error


def rows_of(plan: Plan, folder: Path) -> dict[str, dict[int, Row]]:
    """Return the rows of a comparison that are there, by networks and seeds."""
    found: dict[str, dict[int, Row]] = {name: {} for name in plan.contestants}
    for one, seed in plan.trainings():
        row = row_of(folder_of(folder, one.name, seed))
        if row is not None:
            found[one.name][seed] = row
    return found


def write_rows(plan: Plan, folder: Path) -> None:
    """Write all rows that are there to one file, a line each."""
    lines = [json.dumps(row.to_json()) for rows in rows_of(plan, folder).values() for row in rows.values()]
    with whole(folder / ROWS) as partial:
        partial.write_text("".join(f"{line}\n" for line in lines))
