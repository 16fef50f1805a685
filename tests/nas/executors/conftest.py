"""Executors of every kind, for the tests of what they have in common."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import cloudpickle
import pytest

from autopanoptic.nas import InlineExecutor, ProcessExecutor, RayExecutor
from autopanoptic.nas.executors.base import Executor
from autopanoptic.nas.executors.ray.connection import _loopback_alone

cloudpickle.register_pickle_by_value(sys.modules[__name__])

MakeExecutor: TypeAlias = Callable[[int], Executor]


@pytest.fixture(scope="module")
def local_ray() -> Iterator[Any]:
    """A Ray on this machine to which the program is connected: 4 processors and a GPU, as it believes.

    It ends with its module: its threads would forbid later tests to fork, and its handler of SIGTERM would stay.
    """
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'autopanoptic[ray]'")
    handler = signal.getsignal(signal.SIGTERM)
    with _loopback_alone():
        ray.init(address="local", num_cpus=4, num_gpus=1, include_dashboard=False, logging_level="ERROR")
    yield ray
    ray.shutdown()
    signal.signal(signal.SIGTERM, handler)


def _maker(request: pytest.FixtureRequest) -> MakeExecutor:
    if request.param == "inline":
        return lambda workers: InlineExecutor()
    if request.param == "processes":
        return ProcessExecutor
    request.getfixturevalue("local_ray")
    return lambda workers: RayExecutor(workers=workers)


@pytest.fixture(params=["processes", "ray"])
def make_executor(request: pytest.FixtureRequest) -> MakeExecutor:
    """Makes an executor of a number of workers in other processes."""
    return _maker(request)


@pytest.fixture(params=["inline", "processes", "ray"])
def make_any(request: pytest.FixtureRequest) -> MakeExecutor:
    """Makes an executor, of a number of workers where it has any."""
    return _maker(request)
