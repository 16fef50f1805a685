"""Journals under random interleavings of ask, tell, report and kill."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from autopanoptic.nas import Choice, RegularizedEvolution, Result, Search, SearchError, SearchSpace, Trial

SPACE = SearchSpace([Choice(f"k{index}", range(4)) for index in range(4)])
NUMBERS = st.sampled_from([0.0, 1.5, -2, 1e300, float("nan"), float("inf"), "1", None])
STEPS = st.sampled_from([0, 1, 2, 10, -1, 0.5, "1", None])
WHICH = st.integers(-2, 12)


class Interleavings(RuleBasedStateMachine):
    """Calls in any order, with good and bad values, on trials in any state; now and then the process is killed."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "j"
        self.search = self.made()
        self.refused = False

    def made(self) -> Search:
        return Search(SPACE, RegularizedEvolution(4, 2), journal=self.path)

    def trial(self, which: int) -> Trial:
        history = self.search.history
        return history[which] if 0 <= which < len(history) else Trial(which, SPACE.canonical(FIRST))

    def tried(self, call: Any) -> None:
        try:
            call()
        except (ValueError, TypeError, SearchError):
            self.refused = True

    @rule()
    def ask(self) -> None:
        self.search.ask()

    @rule(which=WHICH, value=NUMBERS, name=st.sampled_from(["value", "other"]))
    def tell(self, which: int, value: Any, name: str) -> None:
        self.tried(lambda: self.search.tell(self.trial(which), {name: value}))

    @rule(which=WHICH, error=st.sampled_from(["out of memory", "\udc80\x00\u2028", None, 3]), seconds=NUMBERS)
    def fail(self, which: int, error: Any, seconds: Any) -> None:
        self.tried(lambda: self.search.tell(self.trial(which), error=error, seconds=seconds))

    @rule(which=WHICH, step=STEPS, value=NUMBERS)
    def report(self, which: int, step: Any, value: Any) -> None:
        self.tried(lambda: self.search.report(self.trial(which), step, {"value": value}))

    @rule(torn=st.sampled_from([b"", b"{", b'{"event": "completed", "trial": 0', b"\x00\x00"]))
    def kill(self, torn: bytes) -> None:
        before = list(self.search.history)
        self.search.close()  # the end of the process does so
        if self.path.exists():
            with self.path.open("ab") as file:
                file.write(torn)
        self.search = self.made()
        assert list(self.search.history) == before

    @precondition(lambda self: self.refused)
    @invariant()
    def the_file_opens_and_equals_the_memory(self) -> None:
        self.refused = False
        if self.path.exists():
            assert list(Result.from_journal(self.path).history) == list(self.search.history)

    def teardown(self) -> None:
        self.search.close()
        if self.path.exists():
            assert list(self.made().history) == list(self.search.history)
        shutil.rmtree(self.folder)


FIRST = {choice.label: choice.options[0] for choice in SPACE.choices}
TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
