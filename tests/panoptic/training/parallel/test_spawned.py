"""What processes that train together say to their caller."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable

import pytest

from autopanoptic.panoptic.training.parallel import spawned
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


def wait_for_others() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    time.sleep(99)


def test_ctrl_c_ends_processes_that_do_not_heed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spawned, "SECONDS_TO_END", 0.1)
    make = multiprocessing.get_context("spawn").Process
    other = make(target=wait_for_others)
    other.start()
    process = make(target=wait_for_others)

    def train() -> None:
        process.start()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), ending_processes():
        train()
    assert process.exitcode == -signal.SIGKILL
    assert other.is_alive()  # which was there before
    other.kill()
    other.join()
