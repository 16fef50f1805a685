"""Takes the trained supernet of one run into another, which searches it anew: for another budget, or otherwise."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from autopanoptic.panoptic.configs.config import differences
from autopanoptic.panoptic.results.backbones import pretraining_folder
from autopanoptic.panoptic.run.folder import SETTINGS, load_run
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.prepare import DATA, SCENES, SUPERNET_FOLDER
from autopanoptic.panoptic.stages.supernet import SUPERNET

FREE = ("search.", "retrain.", "retrained_network", "init", "init_part", "pretraining.found", "merge.", "machine.")
"""Beginnings of the keys that have no part in a supernet's training."""
SPACE = "search.space"
_CHECKPOINTS = shutil.ignore_patterns("*.ckpt", "*.partial")


def take_supernet(settings: Settings, folder: Path, other: Path) -> None:
    """Copy the trained supernet of a run into the folder of another one, which then need not train it.

    The data that were generated for it and the backbone that it was pretrained with come along, checkpoints do not.
    What a run that has begun holds already is kept.

    Args:
        settings: Of the run that takes it.
        folder: Of that run; it need not be there yet.
        other: Folder of the run that has trained it.

    Raises:
        FileNotFoundError: If there is no such run, or it has not trained its supernet.
        ValueError: If the settings are those of another supernet; names what differs.
    """
    known = load_run(other)
    if not (other / SUPERNET_FOLDER / SUPERNET).exists():
        raise FileNotFoundError(
            f"there is no {other / SUPERNET_FOLDER / SUPERNET}: that run has not trained its supernet; "
            f"`autopanoptic panoptic train-supernet --name {other.name}` does"
        )
    if changed := [one for one in differences(known, settings) if not _is_free(one)]:
        raise ValueError(
            f"the supernet of {other} is another one than these settings have, which differ in {'; '.join(changed)}. "
            "Leave that as it is there, or train a supernet of its own"
        )
    begun = (folder / SETTINGS).exists()
    for name in (pretraining_folder(Path()), Path(SUPERNET_FOLDER), Path(SCENES), Path(DATA)):
        if (other / name).exists() and not (begun and (folder / name).exists()):
            _copy(other / name, folder / name)


def _is_free(difference: str) -> bool:
    key = difference.split(" ", 1)[0]
    return key != SPACE and any(key == one or key.startswith(one if one.endswith(".") else f"{one}.") for one in FREE)


def _copy(source: Path, target: Path) -> None:
    """Copy a file or a folder, whole or not at all."""
    partial = target.with_name(f"{target.name}.partial")
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, partial)
        os.replace(partial, target)
        return
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial, ignore=_CHECKPOINTS)
    shutil.rmtree(target, ignore_errors=True)  # of a run that was refused
    os.replace(partial, target)
