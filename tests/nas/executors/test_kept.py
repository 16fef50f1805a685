"""The process that starts workers, kept from one evaluator to the next."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import cloudpickle
import pytest

from autopanoptic.nas import Architecture, FunctionEvaluator, ProcessExecutor
from tests.processes import alive, wait_for_end

# The workers cannot import this module by its name.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.fixture
def executor() -> Iterator[ProcessExecutor]:
    found = ProcessExecutor(1)
    yield found
    found.stop()


def processes(executor: ProcessExecutor, sign: int) -> tuple[int, int]:
    """Evaluate something, and return which processes did so: the worker, and the one that has started it."""

    def evaluate(architecture: Architecture) -> dict[str, float]:
        return {"worker": os.getpid(), "server": os.getppid(), "sign": sign * architecture["a"]}

    executor.start(FunctionEvaluator(evaluate), lambda *_: False)
    executor.submit(0, Architecture({"a": 7}))
    outcome = executor.wait()
    executor.stop()
    assert outcome is not None
    assert outcome.error is None, outcome.error
    assert outcome.metrics["sign"] == sign * 7
    return int(outcome.metrics["worker"]), int(outcome.metrics["server"])


def test_one_server_starts_the_workers_of_one_evaluator_after_the_other(executor: ProcessExecutor) -> None:
    with executor.kept():
        worker, server = processes(executor, 1)
        assert not alive(worker)
        assert alive(server)
        other, same = processes(executor, -1)
        assert same == server
        assert other != worker
    wait_for_end([server])
    assert processes(executor, 1)[1] != server


def test_without_it_each_evaluator_has_a_server_of_its_own(executor: ProcessExecutor) -> None:
    assert processes(executor, 1)[1] != processes(executor, 1)[1]


def test_a_server_that_dies_meanwhile_is_replaced(executor: ProcessExecutor) -> None:
    with executor.kept():
        _, server = processes(executor, 1)
        os.kill(server, signal.SIGKILL)
        wait_for_end([server])
        assert processes(executor, -1)[1] != server


def test_it_ends_where_what_it_is_kept_for_fails(executor: ProcessExecutor) -> None:
    found = []

    def use() -> None:
        with executor.kept():
            found.append(processes(executor, 1)[1])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        use()
    wait_for_end(found)
