"""The published tables of accuracies, where they are there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("NAS_TABLES", Path(__file__).resolve().parents[2] / "shared" / "data" / "nas"))


def published(name: str) -> Path:
    """Return the file of a table; the test that asks for one that is not there is skipped."""
    if not (FOLDER / name).is_file():
        pytest.skip(f"needs the published table {name}: set NAS_TABLES to its folder")
    return FOLDER / name
