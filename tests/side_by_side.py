"""Which tests one process runs after the other, where two processes run the suite side by side."""

from __future__ import annotations

from pathlib import PurePosixPath

RAY = (
    "tests/benchmarks/test_scaling.py",
    "tests/faults/test_lost_workers.py",
    "tests/nas/budgets/test_continued.py",
    "tests/nas/executors/",
    "tests/panoptic/stages/test_machine.py",
)
"""What starts Rays. These tests wait for most of their time, which leaves a processor to others, but not to a Ray."""

SHARING = frozenset(f"tests/panoptic/{name}" for name in ("compare", "pretraining", "report", "trained"))
"""Folders whose files share what a training has made: a second process would make it again."""


def scope_of(nodeid: str) -> str:
    """Return the name of what goes to one process as a whole: by default the file of a test."""
    file = nodeid.split("::", 1)[0]
    folder = str(PurePosixPath(file).parent)
    if file.startswith(RAY):
        return "Ray"
    return folder if folder in SHARING else file
