"""What the two processes of ``make test`` are given."""

from __future__ import annotations

import re
from pathlib import Path

from tests.side_by_side import RAY, SHARING, scope_of

ROOT = Path(__file__).resolve().parents[1]
STARTS_RAY = re.compile(r"importorskip\(\s*\"ray\"|\b(make_executor|make_any|local_ray)\b|killed\(.*\"ray\"")


def test_files_are_not_divided() -> None:
    assert scope_of("tests/test_docs.py::test_links[a::b/c.py]") == scope_of("tests/test_docs.py::TestPages::test_all")
    assert scope_of("tests/test_docs.py::test_links") != scope_of("tests/test_wheel.py::test_links")


def test_no_two_processes_start_a_ray() -> None:
    starting = [file for file in ROOT.glob("tests/**/test_*.py") if STARTS_RAY.search(file.read_text())]
    starting.remove(Path(__file__))
    assert len(starting) > 5
    assert {scope_of(file.relative_to(ROOT).as_posix()) for file in starting} == {"Ray"}


def test_what_a_training_has_made_is_shared() -> None:
    for folder in SHARING:
        assert 'scope="session"' in (ROOT / folder / "conftest.py").read_text()
        first, *others = (ROOT / folder).glob("test_*.py")
        assert {scope_of(f"{folder}/{file.name}::test") for file in (first, *others)} == {folder}
    assert all((ROOT / path).exists() for path in RAY)
