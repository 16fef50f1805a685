"""Linear algebra on one thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


@contextmanager
def one_thread() -> Iterator[None]:
    """Let BLAS compute on one thread in this process, until all who have asked for it have left.

    A model of some hundred trials is too small for several. They wait for each other in a loop, much longer than one
    computes where workers keep the cores busy, which wait for their trials meanwhile. And what is proposed then
    depends on the number of cores in its last bits. What other threads of the process compute by BLAS meanwhile has one
    thread, too.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


_LOCK = threading.Lock()
_LIMITED = ExitStack()
"""Holds the limit while it is set: the number of threads is the whole process's, so that the first sets it."""
_inside = 0


def _enter() -> None:
    global _inside
    with _LOCK:
        if not _inside:
            _LIMITED.enter_context(_controller().limit(limits=1, user_api="blas"))
        _inside += 1


def _leave() -> None:
    global _inside
    with _LOCK:
        _inside -= 1
        if not _inside:
            _LIMITED.close()


@cache
def _controller() -> ThreadpoolController:
    """Return what knows the libraries; looking for them takes milliseconds, and numpy's and scipy's are loaded."""
    return ThreadpoolController()
