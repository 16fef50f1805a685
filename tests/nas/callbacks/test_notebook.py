"""The bar in a notebook."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from autopanoptic.nas import Callback, NotebookCallback, Search
from autopanoptic.nas.callbacks import common

Made = Callable[..., Search]


@pytest.fixture
def bar_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar without ipywidgets is tqdm's own, of text."""
    pytest.importorskip("tqdm")
    monkeypatch.setattr(common, "find_spec", lambda name: object())


def test_the_bar_counts_and_tells_the_best(made: Made, bar_package: None, capsys: pytest.CaptureFixture[str]) -> None:
    made().run(4)
    search = made(NotebookCallback())
    search.run(12, title="mine")
    shown = capsys.readouterr().err
    best = search.history.best
    assert best is not None
    last = shown.split("\r")[-1]
    assert last.startswith("mine: 100%")
    assert "12/12" in last
    assert f"best value {best.metrics['value']:g}" in last
    assert "4/12" in shown


def test_without_a_number_of_trials_it_counts(
    made: Made, bar_package: None, capsys: pytest.CaptureFixture[str], interrupted_after: Callable[[int], Callback]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        made(NotebookCallback(), interrupted_after(6)).run(seconds=60)
    assert "search: 5trial [" in capsys.readouterr().err


def test_it_is_tqdm_that_knows_where_it_runs(made: Made, bar_package: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a notebook tqdm.auto gives its widget."""
    calls: list[Any] = []

    class Widget:
        n = 0

        def __init__(self, **settings: Any) -> None:
            calls.append(settings)

        def update(self, count: int) -> None:
            self.n += count

        def set_postfix_str(self, text: str, refresh: bool) -> None:
            calls.append(text)

        def close(self) -> None:
            calls.append(self.n)

    auto = ModuleType("tqdm.auto")
    auto.tqdm = Widget  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tqdm.auto", auto)
    callback = NotebookCallback()
    assert callback.shows_progress
    made(callback).run(5)
    assert calls[0] == {"total": 5, "initial": 0, "desc": "search", "unit": "trial"}
    assert calls[-1] == 5


def test_without_its_packages_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "find_spec", lambda name: None)
    match = r'needs tqdm and ipywidgets. Install it by: pip install "autopanoptic\[notebook\]"'
    with pytest.raises(ImportError, match=match):
        NotebookCallback()
