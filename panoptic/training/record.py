"""What a training folder is of, so that no checkpoint passes for another training's."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from autopanoptic.nas import PathSampler
from autopanoptic.nas.storage.files import whole
from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.training.training import Training
from autopanoptic.panoptic.training.validation import Measure

RECORD = "training.json"
STARTING_WEIGHTS = "starting_weights"
"""Key of what a network's weights were when its training began."""
TOLERANCE = 1e-5
"""Of starting weights, by their norm: processors draw and multiply the same numbers but for their last bits."""
_PATHS = 64
"""First paths that tell samplers apart."""


def record_of(network: PanopticNetwork, training: Training) -> dict[str, Any]:
    """Describe everything that decides the weights which a training ends with, as a JSON object.

    The data is described by its annotations, not by the images' pixels. Device, number of devices and of loading
    processes are left out: a training may go on elsewhere.
    """
    recipe, paths, measure = training.recipe, training.paths, training.validation
    return {
        "network": network.config.to_json(),
        "parameters": _digest(f"{name} {tuple(value.shape)}" for name, value in network.state_dict().items()),
        STARTING_WEIGHTS: projections(network),
        "data": describe_data(training.dataset),
        "transform": json.loads(json.dumps(asdict(training.transform))),
        "recipe": recipe.to_json(),
        "paths": None if paths is None else describe_paths(paths, recipe.passes),
        "seed": training.seed,
        "precision": training.hardware.precision,
        "checkpoint_every": training.hardware.checkpoint_every,
        "best_by": None if measure is None or not recipe.validate_every else _describe_measure(measure),
    }


def keep_record(path: Path, record: Mapping[str, Any], *, what: str, begun: bool) -> None:
    """Write what a folder's work is of, or compare with what is written there.

    Args:
        path: The file in the folder.
        record: What is asked for now, as a JSON object.
        what: What the folder holds if they differ, such as "another training".
        begun: Whether there is work already, which a lost record could be of anything.

    Raises:
        ValueError: If the folder is of something else, naming the differences, or its record is lost.
    """
    if begun or path.exists():
        require_record(path, record, what=what)
        return
    with whole(path) as partial:
        partial.write_text(json.dumps(record, indent=1) + "\n")


def require_record(path: Path, record: Mapping[str, Any], *, what: str, leaving_out: str | None = None) -> None:
    """Compare what a folder's work is of with what is asked for now.

    Args:
        path: The file in the folder.
        record: What is asked for, as a JSON object.
        what: What the folder holds if they differ, such as "another training".
        leaving_out: A key that is not compared.

    Raises:
        ValueError: If the folder is of something else, naming the differences, or its record is lost.
    """
    if not path.exists():
        raise ValueError(f"{path.parent} has lost {path.name}, which says what its work is of; use another folder")
    sides = ({key: side[key] for key in side if key != leaving_out} for side in (_read(path), record))
    if shown := told_differences(*sides):
        raise ValueError(
            f"{path.parent} holds {what}, which differs in {shown}. Give back what it began with to go on, or use "
            "another folder"
        )


def told_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return the first keys in which two records differ, each with both values; empty where they are the same."""
    found = list(_differences("", dict(old), dict(new)))
    return "; ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")


def describe_data(dataset: CocoPanoptic) -> dict[str, Any]:
    """Describe a data set by its categories, annotations and how images are turned, not by the images' pixels."""
    known = dataset.annotations
    columns = (known.image_ids, known.sizes, known.offsets, known.segment_ids, known.category_ids, known.areas,
               known.iscrowd)  # fmt: skip
    return {
        "images": len(dataset),
        "orientation": dataset.orientation,
        "categories": [[c.id, c.name, c.isthing] for c in dataset.categories],
        "annotations": _digest(json.dumps(column.tolist()) for column in columns),
        "files": _digest((*known.image_files, *known.png_files)),
    }


def projections(network: nn.Module) -> dict[str, list[float]]:
    """Describe the weights of each part of a network by their norm and one number that depends on all of them."""
    parts: dict[str, list[Tensor]] = {}
    for name, value in network.state_dict().items():
        parts.setdefault(name.split(".")[0], []).append(value)
    return {part: _projection(values) for part, values in parts.items()}


@torch.no_grad()
def _projection(values: list[Tensor]) -> list[float]:
    norm = projection = 0.0
    for number, value in enumerate(values):
        flat = value.detach().cpu().double().flatten().nan_to_num()
        # Waves of other lengths for other tensors, so that swapped ones are told apart.
        wave = torch.arange(len(flat), dtype=torch.float64).mul_(1 + 1 / (number + 2)).cos_()
        norm += float(flat @ flat)
        projection += float(flat @ wave)
    return [math.sqrt(norm), projection]


def _describe_measure(measure: Measure) -> dict[str, Any]:
    return {"data": describe_data(measure.dataset), "rules": asdict(measure.rules)}


def describe_paths(paths: PathSampler, passes: int) -> dict[str, Any]:
    """Describe a sampler by its cycle and its first paths."""
    steps = islice(range(passes), _PATHS)
    return {"cycle": paths.cycle, "first": _digest(paths.path(step).id for step in steps)}


def _digest(lines: Iterator[str] | tuple[str, ...]) -> str:
    found = hashlib.sha256()
    for line in lines:
        found.update(line.encode() + b"\n")
    return found.hexdigest()[:16]


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}; use another folder") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} must hold a JSON object, not {found!r:.80}; use another folder")
    return found


def _differences(name: str, old: Any, new: Any) -> Iterator[str]:
    """Yield what differs, by its name in the record, with both values."""
    if name.startswith(f"{STARTING_WEIGHTS}."):
        if not _close(old, new):
            yield f"the starting weights of {name.split('.')[1]}"
    elif isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            yield from _differences(f"{name}.{key}" if name else key, old.get(key), new.get(key))
    elif old != new:
        yield f"{name} ({_short(old)}, not {_short(new)})"


def _close(old: Any, new: Any) -> bool:
    if not isinstance(old, list) or not isinstance(new, list) or len(old) != len(new):
        return False
    return all(abs(a - b) <= TOLERANCE * max(abs(old[0]), abs(new[0])) for a, b in zip(old, new, strict=True))


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
