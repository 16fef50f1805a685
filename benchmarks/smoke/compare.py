"""What must be alike in the folders of two walks: everything but times, interruptions, logs and checkpoints."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

TIMES = ("seconds", "time", "latency_ms")
"""Keys of JSON that hold times."""
BREAKS = ("interrupted", "restarted")
"""Events of a journal that tell of one walk alone."""
OWN = ("printed.txt", "seconds.json")
"""Files that tell of one walk alone."""


def differences(one: Path, other: Path) -> tuple[list[str], int]:
    """Compare two folders; return what differs, and how many files are alike."""
    names = {folder: set(_files(folder)) for folder in (one, other)}
    problems = [
        f"{name} is in {folder.name} only"
        for folder, rest in ((one, other), (other, one))
        for name in sorted(names[folder] - names[rest])
    ]
    shared = sorted(names[one] & names[other])
    differing = [f"{name} differs" for name in shared if _content(one, name) != _content(other, name)]
    return problems + differing, len(shared) - len(differing)


def _files(folder: Path) -> list[str]:
    """Return the files that are compared; logs go on in another file, and checkpoints know when they were written."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return [
        str(path)
        for path in found
        if path.name not in OWN and path.suffix not in (".ckpt", ".lock") and "log" not in path.parts
    ]


def _content(folder: Path, name: str) -> Any:
    path = folder / name
    if path.suffix in _READERS:
        # A file may name others, wherever the walk went.
        return _READERS[path.suffix](path.read_text().replace(str(folder.resolve()), ""))
    return _tensors(path) if path.suffix == ".pt" else path.read_bytes()


def _tensors(path: Path) -> list[tuple[str, str, tuple[int, ...], bytes]]:
    """Return every tensor of a file bit for bit, not as numbers: of which one is no number and equals nothing."""
    return [
        (name, str(value.dtype), tuple(value.shape), value.contiguous().view(torch.uint8).numpy().tobytes())
        if isinstance(value, torch.Tensor) and value.dim()
        else (name, type(value).__name__, (), repr(value).encode())
        for name, value in _flat("", torch.load(path, weights_only=True, map_location="cpu"))
    ]


def _flat(name: str, value: Any) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        return [(name, value)]
    return [found for key, inner in value.items() for found in _flat(f"{name}.{key}", inner)]


def _json(text: str) -> Any:
    return _timeless(json.loads(text))


def _journal(text: str) -> list[str]:
    """Return the events of a search but those of its interruptions, after which trials end in another order."""
    events = [_timeless(json.loads(line)) for line in text.splitlines()]
    for event in events:
        if event["event"] == "search":
            event.pop("id", None)  # it tells one search from another with the same settings
    return sorted(json.dumps(event) for event in events if event["event"] not in BREAKS)


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(inner) for key, inner in value.items() if key not in TIMES}
    return [_timeless(inner) for inner in value] if isinstance(value, list) else value


def _page(text: str) -> str:
    text = re.sub(r'<section id="seconds".*?</section>', "", text, flags=re.DOTALL)
    return re.sub(r"\d[\d.,]* ms\b", "ms", text)


_READERS: dict[str, Callable[[str], Any]] = {".json": _json, ".jsonl": _journal, ".html": _page}
