"""What a training runs on."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from typing import Literal

import torch

from autopanoptic.panoptic.model.precision import Precision
from autopanoptic.panoptic.settings.checks import kind_problems, require_at_least, require_options

CHUNK = 24
"""Passes between two checkpoints, unless the hardware setting says otherwise."""


@dataclass(frozen=True)
class Hardware:
    """What a training runs on.

    Attributes:
        accelerator: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        devices: How many; each gets an equal part of a batch, or of the paths of a sandwich step. Several train in a
            spawned process each, which end with the training, so that one process goes on behind `train`; as ever with
            spawned processes, a program needs the guard ``if __name__ == "__main__":``. Where torchrun has started as
            many, these train, see `leading`. On several GPUs batch norm
            takes its statistics over all of them (SyncBN); on several CPU processes, which torch does not offer that
            for, and in networks of the elastic space, whose norms change their widths, each over its own part. CPU
            processes compute with as many threads each as the calling process.
        share_paths: Whether several devices share the paths of a sandwich step, all of them on its whole batch; without
            such steps it changes nothing.
        batch_size: Images that a device computes at a time; None for its whole part of a batch. The gradients of more
            are accumulated, and are those of the whole part but for batch norms, which see fewer images at a time.
        precision: Lightning's: ``"32-true"``, or ``"bf16-mixed"`` for bfloat16 where it is safe.
        workers: Processes that load images; 0 loads in this one.
        logger: ``"csv"`` or ``"tensorboard"``.
        progress: Whether to tell the progress: by a bar on a terminal, elsewhere by a line now and then.
        checkpoint_every: Passes between two checkpoints.

    Raises:
        ValueError: If a value is of another kind or out of range.
    """

    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: int = 1
    share_paths: bool = False
    batch_size: int | None = None
    precision: Precision = "32-true"
    workers: int = 0
    logger: Literal["csv", "tensorboard"] = "csv"
    progress: bool = True
    checkpoint_every: int = CHUNK

    def __post_init__(self) -> None:
        for problem in kind_problems(self):
            raise ValueError(f"Hardware: {problem}")
        require_options(self)
        require_at_least(1, self, "devices", "batch_size", "checkpoint_every")
        require_at_least(0, self, "workers")

    @property
    def on_gpu(self) -> bool:
        """Whether training runs on GPUs."""
        return self.accelerator == "gpu" or (self.accelerator == "auto" and torch.cuda.is_available())


M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Of glibc's ``mallopt``."""


def keep_memory() -> bool:
    """Have this process keep the memory that it frees, for what it allocates next; return whether the system can.

    glibc gives large blocks back at once, so that on a CPU every activation of some megabytes is mapped and zeroed
    anew, page by page, in each layer of each step: for the published network some fifth of the processor's time. The
    process then holds the most that it has needed. Elsewhere than with glibc nothing is changed.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
