"""How many faults there were, and how many were survived."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Count:
    """One kind of fault.

    Attributes:
        fault: what was done.
        holds: what had to hold each time.
        faults: how often it was done.
        survived: how often it held.
    """

    fault: str
    holds: str
    faults: int
    survived: int

    def save(self, path: Path) -> None:
        """Write the count as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Count:
        """Read a count back."""
        return cls(**json.loads(path.read_text()))
