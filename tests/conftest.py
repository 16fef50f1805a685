"""Settings of all tests."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
import torch

from tests.side_by_side import scope_of


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests that take more than half a minute")


def pytest_configure(config: pytest.Config) -> None:
    # Several threads on a busy machine can be slower than one, and sums would depend on how many there are.
    torch.set_num_threads(1)
    # A shell has what it starts in the background ignore Ctrl-C, and the tests that send it would wait for ever.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if "PYTEST_XDIST_WORKER" in os.environ:
        # Python 3.12 warns of forks beside threads: one hears the process that gives out the tests, and holds no lock.
        config.addinivalue_line("filterwarnings", "ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture(autouse=True)
def _the_same_draws_each_time() -> None:
    """Layers made without a generator of their own are drawn alike in each run: what fails once fails again."""
    torch.manual_seed(0)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    no_gpu = not torch.cuda.is_available()
    for item in items:
        # Keywords hold the names of parameters, too, and a test of an accelerator called "gpu" needs none.
        if item.get_closest_marker("gpu") and no_gpu:
            item.add_marker(pytest.mark.skip(reason=f"torch {torch.__version__} finds no CUDA device on this machine"))
        if item.get_closest_marker("slow") and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="slow; run with --slow"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give whole files to the processes of ``--dist loadfile``, and some of them together."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByScope(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return scope_of(nodeid)

    return ByScope(config, log)
