"""The process that starts workers, when the one that asked for it has gone."""

from __future__ import annotations

import multiprocessing

import pytest

from autopanoptic.nas.executors.server import Begin, serve
from autopanoptic.nas.executors.worker import Settings


def test_it_ends_without_a_word_where_its_driver_was_killed(capfd: pytest.CaptureFixture[str]) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    ours.send(Begin(frozenset(), Settings(b"", threads=1, answers=False)))
    ours.close()
    process = context.Process(target=serve, args=(theirs, 1.0))
    process.start()
    theirs.close()
    process.join(60)
    assert process.exitcode == 0
    assert capfd.readouterr().err == ""
