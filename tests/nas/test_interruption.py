"""SIGTERM as Ctrl-C."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from contextlib import suppress

import pytest

from autopanoptic.nas.interruption import INTERRUPTS, deferred_interrupt, terminated_as_interrupted


def test_a_program_that_is_terminated_is_interrupted() -> None:
    with pytest.raises(KeyboardInterrupt), terminated_as_interrupted():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_handler_of_the_program_stays() -> None:
    seen: list[int] = []

    def handler(number: int, _: object) -> None:
        seen.append(number)

    signal.signal(signal.SIGTERM, handler)
    try:
        with terminated_as_interrupted():
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert seen == [signal.SIGTERM]


def _terminated() -> None:
    signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_both_are_held_back_where_things_belong_together(number: signal.Signals) -> None:
    done: list[str] = []

    def two_things() -> None:
        with deferred_interrupt():
            done.append("one")
            signal.raise_signal(number)
            done.append("another")
        done.append("what follows")

    with terminated_as_interrupted():
        handlers = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
        with pytest.raises(KeyboardInterrupt):
            two_things()
        assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert done == ["one", "another"]


def test_of_two_signals_none_is_lost() -> None:
    seen: list[int] = []
    former = {number: signal.signal(number, lambda number, _: seen.append(number)) for number in INTERRUPTS}
    try:
        with deferred_interrupt():
            for number in INTERRUPTS:
                signal.raise_signal(number)
            assert seen == []
        assert sorted(seen) == sorted(INTERRUPTS)
        with suppress(ArithmeticError), deferred_interrupt():
            signal.raise_signal(signal.SIGTERM)
            raise ArithmeticError
        assert seen[2:] == [signal.SIGTERM]
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def test_forked_processes_end_by_the_signal() -> None:
    child = multiprocessing.get_context("fork").Process(target=_terminated)
    with terminated_as_interrupted():
        child.start()
        child.join()
    assert child.exitcode == -signal.SIGTERM


def test_other_threads_change_nothing() -> None:
    found: list[object] = []

    def within() -> None:
        with terminated_as_interrupted():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=within)
    thread.start()
    thread.join()
    assert found == [signal.SIG_DFL]
