"""Says what a folder was made from, so that it is neither made twice nor taken for something else."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


class Marker:
    """A file that holds the parameters of a folder's making, and whether it is complete.

    Args:
        path: The file.
        parameters: What the folder's contents depend on, as a JSON object.
    """

    def __init__(self, path: Path, parameters: Mapping[str, Any]) -> None:
        self.path = path
        self._partial = partial_of(path)
        self._parameters: dict[str, Any] = json.loads(json.dumps(parameters))

    def begin(self) -> bool:
        """Claim the folder, and return whether it is complete already.

        Raises:
            FileExistsError: If the folder holds something that does not say what it was made from.
            ValueError: If it was made from something else, naming the differences.
        """
        if self.path.is_file():
            self._require_same()
            return bool(self._read()["complete"])
        folder = self.path.parent
        # One that was killed while it wrote this very file has made nothing else.
        if folder.is_dir() and any(path != self._partial for path in folder.iterdir()):
            raise FileExistsError(
                f"{folder} exists without {self.path.name}: something else made it. Choose another folder, or move it "
                "away"
            )
        folder.mkdir(parents=True, exist_ok=True)
        self._write(complete=False)
        return False

    def finish(self) -> None:
        """Write down that the folder is complete."""
        self._write(complete=True)

    def _require_same(self) -> None:
        found = self._read()["parameters"]
        differing = [
            f"{key} was {found.get(key)!r}, and is {self._parameters.get(key)!r}"
            for key in {**found, **self._parameters}
            if found.get(key) != self._parameters.get(key)
        ]
        if differing:
            raise ValueError(
                f"{self.path.parent} was made from something else ({'; '.join(differing)}); "
                "choose another folder, or delete this one"
            )

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self.path.read_bytes())
        except ValueError:
            content = None
        if not isinstance(content, dict) or not {"parameters", "complete"} <= content.keys():
            raise ValueError(f"{self.path} is not what a converter writes; choose another folder, or delete this one")
        return content

    def _write(self, *, complete: bool) -> None:
        write_json(self.path, {"parameters": self._parameters, "complete": complete}, indent=1)


def write_json(path: Path, content: object, indent: int | None = None) -> None:
    """Write a JSON whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_of(path)
    with partial.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=indent)
        file.write("\n")
    os.replace(partial, path)


def partial_of(path: Path) -> Path:
    """Return where `write_json` writes a file before it takes its name."""
    return path.with_name(f".{path.name}.partial")


def fingerprint(paths: Iterable[Path]) -> str:
    """Return a text that changes when one of the files is another: by name, size and time of the last change."""
    digest = hashlib.sha256()
    for path in paths:
        state = path.stat()
        digest.update(f"{path.resolve()} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]
