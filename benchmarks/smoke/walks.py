"""Two walks through the stages: one undisturbed, which times them, and one that is broken off in each."""

from __future__ import annotations

import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.smoke.plan import Step
from benchmarks.smoke.programs import Program

EARLIEST, LATEST = 0.1, 0.8
"""Share of a stage's time within which it is broken off; a command's own beginning is much of a short one."""
TRIES = 5
"""Programs that end before their moment are begun again from where they began, with half the time."""
AT_ITS_END = 3.0
"""Seconds after Ctrl-C in which a program that has done its work may end as if it had not been pressed, or without a
word: Python no longer hears it while it shuts down."""


class SmokeError(Exception):
    """A program did not do as it should."""


class Times:
    """How long each stage takes, as soon as that is known."""

    def __init__(self) -> None:
        self._programs: dict[str, Program] = {}
        self._failed = False
        self._changed = threading.Condition()

    def follow(self, step: Step, program: Program) -> None:
        """Take the times of a program that has begun."""
        with self._changed:
            self._programs[step.name] = program
            self._changed.notify_all()

    def fail(self) -> None:
        """Let nobody wait any longer."""
        with self._changed:
            self._failed = True
            self._changed.notify_all()

    def get(self, step: Step, stage: str | None) -> float:
        """Wait for a time, and return it in seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._failed or step.name in self._programs)
        seconds = None if self._failed else self._programs[step.name].seconds_of(stage)
        if seconds is None:
            raise SmokeError(f"undisturbed, {step.name} has failed, or has no stage {stage!r}")
        return seconds


def undisturbed(steps: Sequence[Step], folder: Path, times: Times, say: Callable[[str], None]) -> None:
    """Do the steps, and tell how long each has taken."""
    for step in steps:
        program = Program(step.arguments, folder)
        times.follow(step, program)
        _require_success(program)
        say(f"{step.name}: {program.seconds_of(None):.0f} s")


def disturbed(
    steps: Sequence[Step], folder: Path, times: Times, seed: int, say: Callable[[str], None], *, interrupts: bool
) -> None:
    """Do the steps, each broken off in each of its stages and gone on with.

    Args:
        steps: What to do.
        folder: Where.
        times: Of the stages undisturbed.
        seed: Decides the moments.
        say: Tells what happens.
        interrupts: Whether Ctrl-C is pressed in each stage before it is killed.
    """
    for number, step in enumerate(steps):
        for stage in step.stages:
            for kill in (False, True) if interrupts else (True,):
                share = random.Random(f"{seed} {number} {stage} {kill}").uniform(EARLIEST, LATEST)
                _break_off(step, stage, folder, share * times.get(step, stage), say, kill=kill)
        _require_success(Program(step.arguments, folder))


def _break_off(
    step: Step, stage: str | None, folder: Path, seconds: float, say: Callable[[str], None], *, kill: bool
) -> None:
    before = folder.with_name(f"{folder.name}.before")
    shutil.copytree(folder, before, symlinks=True)
    for _ in range(TRIES):
        program = Program(step.arguments, folder)
        begun = program.wait_for(stage)
        if begun is None or program.ends_within(begun + seconds - time.monotonic()):
            _require_success(program)
        elif _is_stopped(program, kill=kill):
            break
        seconds /= 2
        shutil.rmtree(folder)
        shutil.copytree(before, folder, symlinks=True)
    else:
        raise SmokeError(f"{step.name}, {stage}: it always ends before it is to be broken off")
    shutil.rmtree(before)
    place = f"{step.name}{f', {stage}' if stage not in (None, step.name) else ''}"
    if not kill and ((code := program.end()) != 130 or "Interrupted" not in "".join(program.lines)):
        raise SmokeError(f"{place}: Ctrl-C ended it with code {code} and {''.join(program.lines[-5:])!r}")
    if not kill and "Traceback" in "".join(program.lines):
        raise SmokeError(f"{place}: Ctrl-C left a traceback")
    if left := program.left_over():
        raise SmokeError(f"{place}: {'SIGKILL' if kill else 'Ctrl-C'} after {seconds:.1f} s left {left}")
    say(f"{place}: {'killed' if kill else 'interrupted'} after {seconds:.1f} s")


def _is_stopped(program: Program, *, kill: bool) -> bool:
    """Stop a program, and return whether that has stopped it: it may be through with its work just then."""
    pressed = time.monotonic()
    code = program.kill() if kill else program.interrupt()
    return code not in (0, -signal.SIGINT) or time.monotonic() - pressed > AT_ITS_END


def _require_success(program: Program) -> None:
    code = program.end()
    if code != 0:
        raise SmokeError(f"{' '.join(program.arguments)} ended with code {code}: {''.join(program.lines[-15:])}")
    if left := program.left_over():
        raise SmokeError(f"{' '.join(program.arguments)} has ended and left {left}")
