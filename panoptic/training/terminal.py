"""What a training shows on the terminal and in its log, and what it keeps from there."""

from __future__ import annotations

import logging
import re
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from rich import get_console
from torch.multiprocessing.spawn import ProcessRaisedException

from autopanoptic.panoptic.training.bars import bar
from autopanoptic.panoptic.training.module import PanopticModule

LOGGERS = ("lightning.pytorch", "lightning.fabric")
ADVICE = (
    ".*does not have many workers.*",
    ".*isinstance.treespec, LeafSpec.*",
    "GPU available but not used.*",
    "Checkpoint directory .* exists and is not empty.*",
    "Grad strides do not match bucket view strides.*",  # of depthwise kernels, whose layouts are the same
)


class PassCounter(Callback):
    """Tells how far a training is, once for all devices."""

    def __init__(self, on_pass: Callable[[int], None]) -> None:
        self.on_pass = on_pass

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any) -> None:
        """Tell it."""
        if trainer.is_global_zero:
            self.on_pass(cast("PanopticModule", pl_module).passes)


class Speed(Callback):
    """Logs the images per second of each step, the loading of its batch included.

    Args:
        batch_size: Images of a step, over all devices; each counts as often as a path sees it.
    """

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self._since = time.monotonic()

    def restart(self) -> None:
        """Begin the time of a pass now."""
        self._since = time.monotonic()

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Leave out what lies between two chunks."""
        self.restart()

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any) -> None:
        """Log it."""
        rate = self.batch_size / max(time.monotonic() - self._since, 1e-9)
        # A tensor of the host: Lightning puts bare numbers on the device, and waits for them there.
        pl_module.log("images_per_second", torch.tensor(rate))
        self.restart()


class PassProgress(Callback):
    """Shows how far a training is, once for all devices: a bar on a terminal, a line now and then elsewhere.

    Args:
        title: What is trained.
        passes: Of the whole training.
    """

    def __init__(self, title: str, passes: int) -> None:
        self.title, self.passes = title, passes
        self._open = ExitStack()
        self._move: Callable[[int, int], None] | None = None

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Begin with what an interrupted training has done."""
        if trainer.is_global_zero:
            self._move = self._open.enter_context(bar(get_console(), self.title))
            self._show(pl_module)

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any) -> None:
        """Show it."""
        self._show(pl_module)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take the bar away."""
        self._close()

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        """Take the bar away."""
        self._close()

    def _show(self, module: lightning.LightningModule) -> None:
        if self._move is not None:
            self._move(cast("PanopticModule", module).passes, self.passes)

    def _close(self) -> None:
        self._open.close()
        self._move = None


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C come through: Lightning ignores the signal from then on and ends the program without a word."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from end
        raise
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)


@contextmanager
def same_errors() -> Iterator[None]:
    """Raise what has ended a process of several as in this one, where it tells the user what to do."""
    try:
        yield
    except ProcessRaisedException as error:
        # The message may have several lines; what stands before it is the traceback, with those of its causes.
        text = str(error).strip()
        *_, found = [None, *re.finditer(r"^(?:\w+\.)*(\w+): ", text, re.MULTILINE)]
        kind = _KINDS.get(found[1]) if found else None
        if found is None or kind is None:
            raise
        raise kind(text[found.end() :]) from error


_KINDS: Mapping[str, type[Exception]] = {
    kind.__name__: kind for kind in (FloatingPointError, ValueError, FileNotFoundError, PermissionError, OSError)
} | {"DatasetError": ValueError}


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Lightning's advice and advertisements out of the terminal; errors still come through."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        silence()
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def silence() -> None:
    """Keep Lightning's advice out of the terminal from now on."""
    for message in ADVICE:
        warnings.filterwarnings("ignore", message=message)
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
