"""What processes that train together say to their caller."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.context import SpawnProcess

import pytest

from autopanoptic.panoptic.training.parallel.spawned import ending_processes, heard


def count(tell: Callable[[int], None]) -> None:
    for done in (1, 2, 3):
        tell(done)


def test_a_spawned_process_is_heard_by_a_function_that_cannot_be_sent_to_it() -> None:
    found: list[int] = []
    with heard(lambda done: found.append(done)) as tell:
        process = multiprocessing.get_context("spawn").Process(target=count, args=(tell,))
        process.start()
        process.join()
    assert found == [1, 2, 3]
    assert process.exitcode == 0


def test_an_error_of_who_listens_is_raised_at_the_end() -> None:
    def refuse(done: int) -> None:
        raise LookupError(f"pass {done}")

    with pytest.raises(LookupError, match="pass 1"), heard(refuse) as tell:
        count(tell)  # nobody waits


def test_processes_of_a_training_are_ended_by_who_has_started_them_not_by_ctrl_c() -> None:
    """Ctrl-C comes to all of a terminal's processes; this one is sent while the new process still imports."""
    make = multiprocessing.get_context("spawn").Process
    process, other = make(target=time.sleep, args=(99,)), make(target=time.sleep, args=(99,))

    def train() -> None:
        beside = threading.Thread(target=other.start)
        beside.start()
        beside.join()
        process.start()
        assert process.pid is not None
        os.kill(process.pid, signal.SIGINT)
        process.join(2)
        assert process.is_alive()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), ending_processes():
        train()
    assert process.exitcode == -signal.SIGKILL
    assert other.is_alive()  # another thread's
    other.kill()
    other.join()


def test_trainings_of_two_threads_leave_the_start_of_processes_as_it_was() -> None:
    """The one that has begun first ends first, while the other still needs what is replaced."""
    start, first_ended, second_began = SpawnProcess.start, threading.Event(), threading.Event()
    inside: list[bool] = []

    def second() -> None:
        with ending_processes():
            second_began.set()
            assert first_ended.wait(9)
            inside.append(SpawnProcess.start is not start)

    beside = threading.Thread(target=second)
    with ending_processes():
        beside.start()
        assert second_began.wait(9)
    first_ended.set()
    beside.join()
    assert inside == [True]
    assert SpawnProcess.start is start
