"""Which file of weights is meant: itself, or one of a run or a pretraining; loads no torch before it reads one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autopanoptic.panoptic.results.given import RUNS

SUPERNETS = ("supernet/supernet.pt", "supernet/backbone.pt", "supernet.pt", "backbone.pt")
"""Where a run, a pretraining or a stage's folder has the weights of every option."""
NETWORKS = ("found/backbone.pt", *SUPERNETS)
"""Where it has what a network may start from."""
WORDS = ("scratch", "supernet", "pretrained")
"""Starts that name no file."""


def supernet_weights(given: str) -> dict[str, Any]:
    """Return the keys that have a supernet start from a word, a file, a run by its name, or a folder.

    Raises:
        FileNotFoundError: If a folder has no such weights.
    """
    return {"supernet_init": given if given in WORDS else str(_file(given, SUPERNETS))}


def network_weights(given: str) -> dict[str, Any]:
    """Return the keys that have networks start from a word, a file, a run by its name, or a folder.

    Where the file holds a backbone alone, that is what is taken.

    Raises:
        FileNotFoundError: If a folder has no such weights.
    """
    path = Path(given) if given in WORDS else _file(given, NETWORKS)
    if given in WORDS or not path.is_file():  # the latter is refused by its name
        return {"init": given}
    return {"init": str(path), **({"init_part": "backbone"} if _is_backbone(path) else {})}


def _file(given: str, names: tuple[str, ...]) -> Path:
    # A folder of data may have the name of a run.
    folders = [folder for folder in dict.fromkeys((Path(given), RUNS / given)) if folder.is_dir()]
    found = next((folder / name for folder in folders for name in names if (folder / name).is_file()), None)
    if folders and found is None:
        known = " and ".join(map(str, folders))
        raise FileNotFoundError(
            f"{known} {'have' if len(folders) > 1 else 'has'} no weights to start from: looked for {', '.join(names)}"
        )
    return Path(given) if found is None else found


def _is_backbone(path: Path) -> bool:
    """Whether a file holds tensors of a backbone and of nothing else."""
    from autopanoptic.panoptic.model.weights import read_tensors, unwrapped
    from autopanoptic.panoptic.results.backbones import PREFIX

    found = unwrapped(read_tensors(path))
    names = list(map(str, found)) if isinstance(found, dict) else []
    whole = any(name.startswith(PREFIX) for name in names) and any(not name.startswith(PREFIX) for name in names)
    return bool(names) and not whole
