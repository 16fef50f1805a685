"""The last two checkpoints of a training: the older one serves where the newer is damaged."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from autopanoptic.panoptic.model.weights import read_tensors, serialized

LAST, PREVIOUS, NEW = "last.ckpt", "previous.ckpt", "new.ckpt"
_NEEDED = ("state_dict", "optimizer_states", "loops", "epoch", "global_step")

logger = logging.getLogger(__name__)


class KeepTwo(Checkpoint):
    """Writes a checkpoint after every epoch and keeps the one before it.

    Args:
        folder: Gets ``last.ckpt`` and ``previous.ckpt``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Have checkpoints written where they shall lie."""
        trainer.strategy.checkpoint_io = _InPlace()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write the state of the training.

        Raises:
            OSError: When it cannot be written, with the cause; the older checkpoints are as they were.
        """
        # Written before the others move: the last one may be damaged, and the previous one all that there is.
        last, new = self.folder / LAST, self.folder / NEW
        with _told(new):
            trainer.save_checkpoint(new)
            if trainer.is_global_zero:
                if last.exists():
                    os.replace(last, self.folder / PREVIOUS)
                os.replace(new, last)


class _InPlace(TorchCheckpointIO):
    """Writes into the folder of the checkpoint itself.

    Lightning writes into the system's folder for temporary files first, which may be on another disk, and full, and
    where a kill leaves the file for good.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        partial = Path(path)  # it is no checkpoint before it has taken the place of the last one
        partial.write_bytes(serialized(checkpoint))


@contextmanager
def _told(new: Path) -> Iterator[None]:
    """Say of an error what it costs, and leave no room taken by what is half written."""
    try:
        yield
    except OSError as error:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise OSError(
            error.errno,
            f"the checkpoint cannot be written: {error.strerror or error}. Those that were written before are there; "
            "when the cause is mended, the training goes on from the newest",
            str(new),
        ) from error


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the newest whole checkpoint of a training; None where it has none yet.

    Raises:
        ValueError: If there are checkpoints, but all are damaged.
    """
    found = [folder / name for name in (LAST, PREVIOUS) if (folder / name).exists()]
    problems: list[str] = []
    for path in found:
        problem = _problem(path)
        if problem is None:
            for damaged in problems:
                logger.warning("%s; the training goes on from %s", damaged, path.name)
            return path
        problems.append(problem)
    if problems:
        names = " and ".join(path.name for path in found)
        raise ValueError(f"{'; '.join(problems)}. Delete {names} to begin this training anew")
    return None


def _problem(path: Path) -> str | None:
    try:
        state: Any = read_tensors(path)
    except ValueError as error:
        return str(error)
    missing = [name for name in _NEEDED if not isinstance(state, dict) or name not in state]
    return f"{path} is no checkpoint of a training: it lacks {missing[0]}" if missing else None
