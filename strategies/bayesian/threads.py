"""Linear algebra on one thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


@contextmanager
def one_thread() -> Iterator[None]:
    """Let BLAS compute on one thread in this process, until this is left.

    A model of some hundred trials is too small for several. They wait for each other in a loop, four times as long as
    one computes where workers keep the cores busy, which wait for their trials meanwhile. And what is proposed then
    depends on the number of cores in its last bits.
    """
    with _controller().limit(limits=1, user_api="blas"):
        yield


@cache
def _controller() -> ThreadpoolController:
    """Return what knows the libraries; looking for them takes milliseconds, and numpy's and scipy's are loaded."""
    return ThreadpoolController()
