"""Files of weights that a user names; loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

RUNS = Path("runs")
"""The folder of all runs, within the working folder."""
COMPARISON = "comparison.json"
"""File of a comparison, whose folder lies there, too, and is none of a run."""


def require_file(key: str, given: str, words: Sequence[str], *, runs: bool = True) -> Path:
    """Return a file that a key names.

    Args:
        key: Of the config.
        given: Its value.
        words: What else the key may be.
        runs: Whether the key's option takes the name of a run, too.

    Raises:
        FileNotFoundError: If there is no such file; says where it was looked for.
    """
    path = Path(given)
    if path.is_file():
        return path
    what = f"{key}: {given} is neither {', '.join(words)} nor a file of weights"
    places = list(dict.fromkeys((path.absolute(), (RUNS / path).absolute())))[: 2 if runs else 1]
    folder = next((place for place in places if place.is_dir()), None)
    if folder is not None:
        found = next(iter(sorted(folder.glob("**/*.pt"))), None)
        such = "which holds no *.pt" if found is None else f"give a file in it, such as {found.relative_to(folder)}"
        raise FileNotFoundError(f"{what}, but the folder {folder}; {such}")
    none = f"there is no {places[0]}" if len(places) == 1 else f"there is neither {places[0]} nor a run {places[1]}"
    raise FileNotFoundError(f"{what}: {none}")
