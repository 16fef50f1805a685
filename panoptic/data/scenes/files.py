"""Writes generated scenes to disk, in the COCO panoptic format that real data comes in."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from autopanoptic.panoptic.data.scenes.draw import REFERENCE_SIZE, Scene, draw_scene
from autopanoptic.panoptic.data.scenes.kinds import CATEGORIES
from autopanoptic.panoptic.data.segments import id_to_rgb

SPLITS = ("train", "nas_val", "val")
MARKER = "scenes.json"
"""File at the root of a complete set, with the parameters that it was made from."""
VERSION = 4
"""Changes when the same parameters give other scenes, so that old sets are not taken for new ones."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Parameters:
    version: int
    train: int
    nas_val: int
    val: int
    size: int
    seed: int


def write_scenes(
    root: str | Path,
    counts: Mapping[str, int],
    size: int = REFERENCE_SIZE,
    seed: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Writes generated scenes in the standard COCO layout: PNG images, PNGs of ids, and a JSON per split.

    Scene i of a split depends on (seed, split, i, size) only. A complete set with the same
    parameters is reused. The set appears under its name when it is complete; an interrupted call leaves a
    folder ``.<name>.partial`` beside it, which the next call replaces.

    Args:
        root: The folder to make; it may exist if it is empty.
        counts: Scenes in each of ``train``, ``nas_val`` and ``val``.
        size: Image side in pixels, at least 32.
        seed: Non-negative.
        progress: Called with the scenes written and the scenes to write, after each one.

    Returns:
        The folder, for `autopanoptic.panoptic.data.coco.layout.find_splits`.

    Raises:
        ValueError: If an argument is out of range, or the folder holds a set with other parameters.
        FileExistsError: If the folder holds something else.
    """
    root = Path(root)
    parameters = _parameters(counts, size, seed)
    if _is_complete(root, parameters):
        return root
    partial = root.parent / f".{root.name}.partial"
    if partial.exists():
        shutil.rmtree(partial)
    _write_all(partial, parameters, progress)
    if root.exists():
        root.rmdir()
    os.replace(partial, root)
    return root


def scene(split: str, index: int, size: int = REFERENCE_SIZE, seed: int = 0) -> Scene:
    """Draws scene ``index`` of a split, as `write_scenes` writes it."""
    return draw_scene(np.random.default_rng([seed, SPLITS.index(split), index]), size)


def _parameters(counts: Mapping[str, int], size: int, seed: int) -> _Parameters:
    if set(counts) != set(SPLITS):
        raise ValueError(f"counts has the keys {sorted(counts)}; give the scenes of {', '.join(SPLITS)}")
    wrong = {split: count for split, count in counts.items() if count < 1}
    if wrong:
        raise ValueError(f"counts={wrong}: every split needs at least one scene")
    if size < 32 or seed < 0:
        raise ValueError(f"size={size}, seed={seed}: the size must be at least 32, the seed not negative")
    return _Parameters(VERSION, counts["train"], counts["nas_val"], counts["val"], size, seed)


def _is_complete(root: Path, parameters: _Parameters) -> bool:
    """Whether the set is there; ValueError or FileExistsError if something else is."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    marker = root / MARKER
    if not marker.is_file():
        raise FileExistsError(f"{root} exists and holds no generated scenes; choose another folder")
    found = json.loads(marker.read_text())
    wanted = asdict(parameters)
    if found != wanted:
        differing = [f"{key} is {found.get(key)}, not {wanted[key]}" for key in wanted if found.get(key) != wanted[key]]
        raise ValueError(
            f"{root} holds scenes with other parameters ({'; '.join(differing)}); "
            "choose another folder, or delete this one"
        )
    return True


def _write_all(root: Path, parameters: _Parameters, progress: Progress | None) -> None:
    total, done = parameters.train + parameters.nas_val + parameters.val, 0
    (root / "annotations").mkdir(parents=True)
    for split, count in zip(SPLITS, (parameters.train, parameters.nas_val, parameters.val), strict=True):
        images, pngs = root / split, root / "annotations" / f"panoptic_{split}"
        images.mkdir()
        pngs.mkdir()
        entries = []
        for index in range(count):
            drawn = scene(split, index, parameters.size, parameters.seed)
            entries.append(_write_scene(drawn, index, images, pngs))
            done += 1
            if progress is not None:
                progress(done, total)
        content = _json(entries, parameters)
        (root / "annotations" / f"panoptic_{split}.json").write_text(json.dumps(content))
    (root / MARKER).write_text(json.dumps(asdict(parameters), indent=2) + "\n")


def _write_scene(drawn: Scene, index: int, images: Path, pngs: Path) -> dict[str, Any]:
    """Writes both PNGs and returns the annotation."""
    name = f"{index + 1:012d}.png"
    # Higher levels take several times as long for a few percent of these noisy pictures.
    Image.fromarray(drawn.image).save(images / name, compress_level=1)
    Image.fromarray(id_to_rgb(drawn.truth.numpy())).save(pngs / name, compress_level=1)
    segments = [
        {"id": s.id, "category_id": s.category_id, "area": s.area, "iscrowd": int(s.iscrowd)}
        for s in drawn.truth.segments
    ]
    return {"image_id": index + 1, "file_name": name, "segments_info": segments}


def _json(annotations: list[dict[str, Any]], parameters: _Parameters) -> dict[str, Any]:
    side = parameters.size
    return {
        "info": {"description": "Scenes generated by AutoPanoptic", **asdict(parameters)},
        "images": [
            {"id": a["image_id"], "file_name": a["file_name"], "height": side, "width": side} for a in annotations
        ],
        "annotations": annotations,
        "categories": CATEGORIES.to_json(),
    }
