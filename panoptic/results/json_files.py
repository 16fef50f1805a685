"""JSON objects on disk, which are either whole or not there."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autopanoptic.nas.storage.files import whole


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is damaged or holds something else.
    """
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} must hold a JSON object, not {found!r:.80}")
    return found


def write_object(path: Path, values: Mapping[str, Any], *, indent: int | None = 1) -> None:
    """Write a JSON object; what the file held before stays until the new one is whole.

    JSON knows no NaN and no infinity: what is undefined is null.
    """
    with whole(path) as partial:
        partial.write_text(json.dumps(finite(values), indent=indent, allow_nan=False) + "\n")


def finite(value: Any) -> Any:
    """Return a value of JSON with null for every number that is not finite."""
    if isinstance(value, Mapping):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
