"""Ctrl-C comes at a safe moment, and what tells a program to terminate ends it as Ctrl-C does."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any, TypeAlias

Handler: TypeAlias = Callable[[int, FrameType | None], Any]

INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Raise `KeyboardInterrupt` within it when the process is sent SIGTERM, as by a cluster that takes its node back.

    So what is done at Ctrl-C is done then, too. A handler that the program has set itself stays, processes that are
    forked within it end by the signal as ever, and outside of the main thread, which alone sets handlers, nothing
    changes.
    """
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    owner = os.getpid()

    def interrupt(number: int, _: FrameType | None) -> None:
        if os.getpid() == owner:
            raise KeyboardInterrupt
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def deferred_interrupt() -> Iterator[None]:
    """Hold Ctrl-C back until the end of the block, so that what belongs together is done together.

    So is SIGTERM where the program, or `terminated_as_interrupted`, handles it. Only the main thread receives them; in
    others the block runs as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with ExitStack() as delivered, ExitStack() as restored:
        for number in INTERRUPTS:
            handler = signal.getsignal(number)
            if callable(handler):
                # A stack calls all that it holds, also when one of them, or a signal meanwhile, raises.
                restored.callback(signal.signal, number, handler)
                signal.signal(number, _kept_for(delivered, handler))
        yield


def _kept_for(end: ExitStack, handler: Handler) -> Handler:
    def keep(number: int, frame: FrameType | None) -> None:
        end.callback(handler, number, frame)

    return keep
