"""Linear algebra on one thread."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[Any]:
    """Let BLAS compute on one thread in this process, until this is left.

    A model of some hundred trials is too small for several. They wait for each other in a loop, four times as long as
    one computes where workers keep the cores busy, which wait for their trials meanwhile. And what is proposed then
    depends on the number of cores in its last bits.
    """
    return _controller().limit(limits=1, user_api="blas")


@cache
def _controller() -> ThreadpoolController:
    """Return what knows the libraries; looking for them takes milliseconds, and numpy's and scipy's are loaded."""
    return ThreadpoolController()
