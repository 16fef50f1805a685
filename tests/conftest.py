"""Settings of all tests."""

from __future__ import annotations

import pytest
import torch


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests that take more than half a minute")


def pytest_configure() -> None:
    # Several threads on a busy machine can be slower than one, and sums would depend on how many there are.
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _the_same_draws_each_time() -> None:
    """Layers made without a generator of their own are drawn alike in each run: what fails once fails again."""
    torch.manual_seed(0)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    no_gpu = not torch.cuda.is_available()
    for item in items:
        if "gpu" in item.keywords and no_gpu:
            item.add_marker(pytest.mark.skip(reason=f"torch {torch.__version__} finds no CUDA device on this machine"))
        if "slow" in item.keywords and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="slow; run with --slow"))
