"""What a converted data set says of itself at its root."""

from __future__ import annotations

import json
from pathlib import Path

from autopanoptic.panoptic.data.coco.images import ORIENTATIONS, Orientation

MARKER = "converted.json"
"""File at the root of a converted data set: what it was made from, and whether it is complete."""
ORIENTATION = "orientation"
"""Key of its parameters: how its images are read."""


def recorded_orientation(root: Path) -> Orientation:
    """Return how the images of a data set are read, as its converter has recorded; ``"apply"`` where none has.

    Raises:
        ValueError: If the record is damaged.
    """
    path = root / MARKER
    if not path.is_file():
        return "apply"
    try:
        found = json.loads(path.read_bytes())["parameters"].get(ORIENTATION, "apply")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: {error!r}; convert the data set anew") from error
    for known in ORIENTATIONS:
        if found == known:
            return known
    raise ValueError(f"{path}: its {ORIENTATION} {found!r} is none of {', '.join(ORIENTATIONS)}; convert anew")
