"""What a training shows on the terminal and in its log, and what it keeps from there."""

from __future__ import annotations

import logging
import re
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import lightning
from lightning.pytorch.callbacks import Callback, RichProgressBar
from torch.multiprocessing.spawn import ProcessRaisedException

from autopanoptic.nas.search.lines import Lines
from autopanoptic.panoptic.training.module import PanopticModule

LOGGERS = ("lightning.pytorch", "lightning.fabric")
ADVICE = (
    ".*does not have many workers.*",
    ".*isinstance.treespec, LeafSpec.*",
    "GPU available but not used.*",
    "Checkpoint directory .* exists and is not empty.*",
)


class PassCounter(Callback):
    """Tells how far a training is, once for all devices."""

    def __init__(self, on_pass: Callable[[int], None]) -> None:
        self.on_pass = on_pass

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any) -> None:
        """Tell it."""
        if trainer.is_global_zero:
            self.on_pass(int(cast("PanopticModule", pl_module).passes))


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
        pl_module.log("images_per_second", self.batch_size / max(time.monotonic() - self._since, 1e-9))
        self.restart()


class PassLines(Callback):
    """Prints a line now and then, where there is no terminal for a bar.

    Args:
        title: What is trained.
        passes: Of the whole training.
    """

    def __init__(self, title: str, passes: int) -> None:
        # A file holds back what is written to it, and who follows it would see nothing for minutes.
        self.lines, self.passes = Lines(partial(print, flush=True), title), passes

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any) -> None:
        """Print it, once for all devices."""
        if trainer.is_global_zero:
            self.lines.update(int(cast("PanopticModule", pl_module).passes), self.passes)


class ProgressBar(RichProgressBar):
    """One bar for the whole run; a chunk is no epoch that a reader would know."""

    def __init__(self, title: str) -> None:
        super().__init__(leave=False)
        self.title = title

    def _get_train_description(self, current_epoch: int) -> str:
        return f"{self.title}, part {current_epoch + 1} of {self.trainer.max_epochs}"


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
