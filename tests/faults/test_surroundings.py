"""What surrounds a search goes wrong: folders, other drivers, the clock, other releases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import pytest

from autopanoptic.nas import Journal, JournalError, Result, warm_start
from autopanoptic.nas.journals.mending import Mending
from autopanoptic.nas.journals.repairing import repair
from autopanoptic.nas.storage.header import FORMAT
from benchmarks.faults.driver import SPACE, search

ROOT = Path(__file__).parents[2]


@contextmanager
def somebody_without_rights() -> Iterator[None]:
    """Run as a user who may not read everything, as root may."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs the rights of POSIX")
def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    search(folder / "j.jsonl").run(6, progress=False)
    before = (folder / "j.jsonl").read_bytes()
    folder.chmod(0)
    try:
        with (
            somebody_without_rights(),
            pytest.raises(JournalError, match=r"j\.jsonl cannot be read: Permission denied"),
        ):
            search(folder / "j.jsonl")
    finally:
        folder.chmod(0o755)
    assert (folder / "j.jsonl").read_bytes() == before
    assert len(search(folder / "j.jsonl").run(9, progress=False).history) == 9


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs the rights of POSIX")
def test_a_folder_that_cannot_be_written_ends_the_search_at_once(tmp_path: Path) -> None:
    search(tmp_path / "before.jsonl").run(1, progress=False)  # imports what the other user may not read
    tmp_path.chmod(0o555)
    for parent in tmp_path.parents:
        if parent == Path(tempfile.gettempdir()):
            break
        parent.chmod(0o755)
    try:
        with somebody_without_rights(), pytest.raises(JournalError, match=r"cannot be written: .*Permission denied"):
            search(tmp_path / "j.jsonl").run(6, progress=False)
    finally:
        tmp_path.chmod(0o755)
    assert not (tmp_path / "j.jsonl").exists()


def test_a_second_driver_is_refused_and_does_no_damage(tmp_path: Path) -> None:
    journal = tmp_path / "j.jsonl"
    command = [sys.executable, "-m", "benchmarks.faults.driver", str(journal), str(tmp_path / "log"), "60", "0.05"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "ready\n"
        while not journal.exists() or journal.read_bytes().count(b"\n") < 5:
            assert first.poll() is None
            time.sleep(0.01)
        for _ in range(3):  # what it says depends on whether the first has written since the second has read
            with pytest.raises(JournalError, match=f"being written by another search, process {first.pid} on"):
                search(journal).run(60, progress=False)
        assert first.wait(120) == 0
    alone = search(None).run(60, progress=False).history
    assert [t.architecture for t in Result.from_journal(journal).history] == [t.architecture for t in alone]
    assert Mending(journal).to_the_end().problems == []


def test_a_clock_that_is_set_back_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, now = tmp_path / "j.jsonl", time.time()
    for trials, clock in ((5, now), (10, now - 10 * 365 * 86400), (15, 1.0), (20, now)):
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda clock=clock: clock)
            search(journal).run(trials, progress=False)
    times = [event["time"] for event in Journal(journal).events[1:]]
    assert times != sorted(times)
    alone = search(None).run(20, progress=False).history
    found = Result.from_journal(journal).history
    assert [(t.architecture, t.metrics) for t in found] == [(t.architecture, t.metrics) for t in alone]
    assert all(trial.seconds >= 0 for trial in found)
    assert Mending(journal).to_the_end().problems == []


def test_a_journal_of_a_newer_version_is_refused_with_both_versions(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    search(path).run(6, progress=False)
    header, *rest = path.read_text().splitlines(keepends=True)
    newer = {**json.loads(header), "format": FORMAT + 1, "version": "77.1"}
    path.write_text(json.dumps(newer) + "\n" + "".join(rest))
    before = path.read_bytes()
    both = rf"has format {FORMAT + 1} and was written by release 77\.1; this one, {version('autopanoptic')}, reads"
    for refused in (
        lambda: search(path),
        lambda: Result.from_journal(path),
        lambda: warm_start(path, SPACE),
        lambda: Mending(path).to_the_end(),
        lambda: repair(path),
    ):
        with pytest.raises(JournalError, match=both):
            refused()
    assert path.read_bytes() == before
