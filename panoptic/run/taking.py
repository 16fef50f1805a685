"""Takes the trained supernet of one run into another, which searches it anew: for another budget, or otherwise."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from shlex import quote

from autopanoptic.panoptic.configs.config import differences
from autopanoptic.panoptic.results.backbones import pretraining_folder
from autopanoptic.panoptic.results.given import RUNS
from autopanoptic.panoptic.results.json_files import read_object, write_object
from autopanoptic.panoptic.run.folder import Run, load_run
from autopanoptic.panoptic.run.prepare import prepare
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.prepare import DATA, SCENES, SUPERNET_FOLDER
from autopanoptic.panoptic.stages.supernet import SUPERNET

ORIGIN = "supernet_from.json"
"""File that says whose supernet a run has taken, and in how many seconds it was trained there."""
FREE = (
    "data.path", "search.", "retrain.", "retrained_network", "init", "init_part", "pretraining.found", "machine.",
)  # fmt: skip
"""Keys, and beginnings of keys, that have no part in a supernet's training; the data themselves are compared."""
BOUND = ("search.space", "machine.precision", "machine.checkpoint_every")
"""Those among them that have."""


def take_supernet(run: Run, other: Path) -> None:
    """Copy the trained supernet of another run, so that this one need not train it, and prepare the data.

    The data that were generated for it and the backbone that it was pretrained with come along, checkpoints do not.
    What the run has already is kept, and one that is refused leaves nothing. Broken off, it is done again when the run
    is gone on with, see `origin_of`.

    Args:
        run: Which takes it.
        other: Folder of the run that has trained it.

    Raises:
        FileNotFoundError: If there is no such run, or it has not trained its supernet.
        ValueError: If the settings are those of another supernet, naming what differs, or the run has begun to train
            its own, or as `prepare`.
    """
    if origin_of(run.folder) == other.absolute() and (run.folder / SUPERNET_FOLDER / SUPERNET).exists():
        return  # the other run need not be there any more
    with run.refusable():
        _require_same_supernet(run, other)
        if (run.folder / SUPERNET_FOLDER / SUPERNET).exists():
            return
        if (run.folder / SUPERNET_FOLDER).exists():
            raise ValueError(
                f"{run.folder} has begun to train a supernet of its own: go on with it, or choose another name"
            )
        seconds = _seconds(other)
        write_object(run.folder / ORIGIN, {"run": str(other.absolute()), "seconds": seconds})
        run.say(f"Takes the supernet of {other}{'' if seconds is None else f', trained there in {seconds:.0f} s'}")
        for name in (pretraining_folder(Path()), Path(SCENES), Path(DATA), Path(SUPERNET_FOLDER)):
            if (other / name).exists() and not (run.folder / name).exists():
                _copy(other / name, run.folder / name)
        prepare(run)


def origin_of(folder: Path) -> Path | None:
    """Return the folder of the run whose supernet a run takes; None where it trains its own.

    Raises:
        ValueError: If the file that says so is damaged.
    """
    path = folder / ORIGIN
    if not path.exists():
        return None
    found = read_object(path).get("run")
    if not isinstance(found, str):
        raise ValueError(f"{path} is damaged: it names no run")
    return Path(found)


def _require_same_supernet(run: Run, other: Path) -> None:
    known = load_run(other)
    if not (other / SUPERNET_FOLDER / SUPERNET).exists():
        train = (
            f"; `autopanoptic panoptic train-supernet --name {quote(other.name)}` does" if other.parent == RUNS else ""
        )
        raise FileNotFoundError(
            f"there is no {other / SUPERNET_FOLDER / SUPERNET}: that run has not trained its supernet{train}"
        )
    if changed := [one for one in differences(known, run.settings) if not _is_free(one, known)]:
        raise ValueError(
            f"the supernet of {other} is another one than these settings have, which differ in {'; '.join(changed)}. "
            "Leave that as it is there, or train a supernet of its own"
        )


def _is_free(difference: str, known: Settings) -> bool:
    """Whether a key that differs may do so; of the rules by which maps are merged those that validated no training."""
    key = difference.split(" ", 1)[0]
    trained = (known.warmup, known.largest, known.supernet)
    free = FREE if any(recipe is not None and recipe.validate_every for recipe in trained) else (*FREE, "merge.")
    if known.pretraining.supernet is None:
        free = (*free, "pretraining.images")
    return key not in BOUND and any(
        key == one or key.startswith(one if one.endswith(".") else f"{one}.") for one in free
    )


def _seconds(run: Path) -> float | None:
    """Return what the training of a run's supernet took; None where it is not known."""
    path = run / "seconds.json"
    found = read_object(path).get("supernet") if path.exists() else None
    return found if isinstance(found, float) else None


def _copy(source: Path, target: Path) -> None:
    """Copy a file or a folder but for its checkpoints, whole or not at all."""
    partial = target.with_name(f"{target.name}.partial")
    _remove(partial)
    try:
        for path in [source] if source.is_file() else sorted(source.rglob("*")):
            if path.is_file() and path.suffix not in (".ckpt", ".partial"):
                copied = partial / path.relative_to(source) if path != source else partial
                copied.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copied)
    except BaseException:
        _remove(partial)
        raise
    os.replace(partial, target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
