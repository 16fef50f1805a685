"""How the networks that a run found compare: a table for the terminal, metrics as JSON, plots and pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from autopanoptic.nas import Architecture, Result
from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.data.segments import PanopticMap
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.quality.bootstrap import Estimate, bootstrap_difference
from autopanoptic.panoptic.quality.summary import QualityReport
from autopanoptic.panoptic.results.json_files import write_object
from autopanoptic.panoptic.results.overlay import side_by_side
from autopanoptic.panoptic.search.evaluator import Validation

PICTURES = 4
METRICS_FILE = "metrics.json"
COUNTS_FILE = "images.json"
"""What was found on each image of val, in the folder of a network of the comparison."""


@dataclass(frozen=True)
class NetworkReport:
    """A retrained network on val.

    Attributes:
        name: How it was chosen.
        architecture: Which it is.
        quality: Its panoptic quality.
        gflops: Of one image, a multiply and an add as one operation.
        mparams: Millions of parameters.
        latency_ms: Median time to find everything in one image, in milliseconds.
    """

    name: str
    architecture: Architecture
    quality: QualityReport
    gflops: float
    mparams: float
    latency_ms: float

    def to_json(self) -> dict[str, Any]:
        """Everything as a JSON object."""
        return {
            "architecture_id": self.architecture.id,
            "architecture": self.architecture.to_json(),
            **self.quality.metrics(),
            "gflops": self.gflops,
            "mparams": self.mparams,
            "latency_ms": self.latency_ms,
            "quality": self.quality.to_json(),
        }


def evaluate(network: PanopticNetwork, validation: Validation, dataset: CocoPanoptic, pictures: Path) -> QualityReport:
    """Measure a network on a split, draw its first images, and keep what was found on each beside the pictures."""
    first: dict[int, PanopticMap] = {}

    def keep(index: int, panoptic: PanopticMap) -> None:
        if index < PICTURES:
            first[index] = panoptic

    quality = validation.quality(network, keep=keep)
    quality.images.save(pictures.parent / COUNTS_FILE, dataset.image_ids.tolist())
    for index, panoptic in first.items():
        # Text may hold what would be a folder in a path.
        path = pictures / f"{str(dataset.image_ids[index]).replace('/', '_')}.png"
        side_by_side(dataset.image(index), dataset.truth(index), panoptic, dataset.categories, path)
    return quality


def table(measured: Mapping[str, NetworkReport], title: str) -> Table:
    """Return the comparison of the networks for a terminal."""
    found = Table(title=title)
    found.add_column("network")
    for column in ("PQ", "PQ things", "PQ stuff", "GFLOPs", "parameters", "latency"):
        found.add_column(column, justify="right")
    best = max(network.quality.all.pq for network in measured.values())
    for name, network in measured.items():
        quality = network.quality
        found.add_row(
            name,
            *(f"{100 * mean.pq:.1f}" if mean.n else "-" for mean in (quality.all, quality.things, quality.stuff)),
            f"{network.gflops:.3g}",
            f"{network.mparams:.2f} M",
            f"{network.latency_ms:.1f} ms",
            style="bold" if quality.all.pq == best else None,
        )
    return found


def differences(measured: Mapping[str, NetworkReport]) -> dict[str, Estimate]:
    """Return the searched network's PQ minus each other's, with its error over the images of val, paired."""
    own = measured["searched"]
    return {
        name: bootstrap_difference(own.quality.images, other.quality.images)
        for name, other in measured.items()
        if other.architecture != own.architecture
    }


def verdict(measured: Mapping[str, NetworkReport], found: Mapping[str, Estimate]) -> str:
    """Say how the searched network compares, whichever way that is."""
    lines = [_compared(name, found.get(name)) for name in measured if name != "searched"]
    images = len(measured["searched"].quality.images)
    note = f"In brackets 95% over val's {images} images, paired; another seed of the trainings changes more."
    return "\n".join([*lines, note])


def _compared(name: str, found: Estimate | None) -> str:
    if found is None:
        return f"searched - {name}: they are one network"
    interval = f" [{found.low:.1f}, {found.high:.1f}]" if math.isfinite(found.low) else ""
    return f"searched - {name}: {found.value:+.1f} PQ{interval}, {reading(found)}"


def reading(difference: Estimate) -> str:
    """Say in words what a paired difference of PQ means."""
    if not math.isfinite(difference.low):
        return "too few images to say more"
    if difference.low > 0:
        return "above"
    return "below" if difference.high < 0 else "no difference beyond the images"


def on_nas_val(result: Result, architecture: Architecture) -> float | None:
    """Return a candidate's objective as a path of the supernet; None where it has no result."""
    trial = result.history.trial_of(architecture)
    return None if trial is None else trial.metrics.get(result.history.objectives[0].name)


def write(
    folder: Path,
    measured: Mapping[str, NetworkReport],
    found: Mapping[str, Estimate],
    searched: Result,
    drawn: Result | None,
    extra: Mapping[str, Any],
) -> None:
    """Write the searched architecture and all figures to a run's folder."""
    measured["searched"].architecture.save(folder / "architecture.json")
    objective = searched.history.objectives[0].name
    values = {
        **extra,
        "objective": objective,
        "search": {
            "candidates": searched.history.n_completed,
            "best_on_nas_val": searched.best.metrics[objective],
            "answer_on_nas_val": on_nas_val(searched, measured["searched"].architecture),
        },
        **({} if drawn is None else {"random": _random(drawn, objective)}),
        "searched_minus": {name: estimate.to_json() for name, estimate in found.items()},
        "networks": {name: network.to_json() for name, network in measured.items()},
    }
    write_object(folder / METRICS_FILE, values)


def _random(drawn: Result, objective: str) -> dict[str, Any]:
    return {"candidates": drawn.history.n_completed, "best_on_nas_val": drawn.best.metrics[objective]}
