from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autopanoptic.nas import Journal, JournalError
from autopanoptic.nas.storage import journal as journal_module


def test_events_come_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "j.jsonl"
    journal = Journal(path)
    assert not path.parent.exists()
    journal.append({"event": "a", "x": 0.1 + 0.2})
    journal.append({"event": "b", "text": "ü\n\r\u2028"})
    journal.close()
    assert Journal(path).events == [{"event": "a", "x": 0.1 + 0.2}, {"event": "b", "text": "ü\n\r\u2028"}]


def test_each_record_is_on_the_disk_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    sync = os.fsync
    monkeypatch.setattr(journal_module.os, "fsync", lambda handle: (synced.append(handle), sync(handle)))
    journal = Journal(tmp_path / "j.jsonl")
    for number in range(3):
        journal.append({"event": "a", "n": number})
        assert len(synced) == number + 1
        assert len((tmp_path / "j.jsonl").read_text().splitlines()) == number + 1
    journal.close()


@pytest.mark.parametrize("torn", ['{"event": "c", "x', '{"event": "c"}', "\x00\x00"])
def test_torn_last_line_is_dropped(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "j.jsonl"
    path.write_text('{"event": "a"}\n{"event": "b"}\n' + torn)
    journal = Journal(path)
    assert [event["event"] for event in journal.events] == ["a", "b"]
    journal.append({"event": "d"})
    journal.close()
    assert path.read_text() == '{"event": "a"}\n{"event": "b"}\n{"event": "d"}\n'


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"event": "b', "line 2 is not JSON"),
        ("", "line 2 is not JSON"),
        ("[1]", "line 2 is not an event"),
        ('{"x": 1}', "line 2 is not an event"),
    ],
)
def test_damage_in_the_middle_is_refused(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "j.jsonl"
    path.write_text(f'{{"event": "a"}}\n{line}\n{{"event": "c"}}\n')
    with pytest.raises(JournalError, match=message):
        Journal(path)
    assert path.read_text().count("\n") == 3


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "j.jsonl").write_bytes(b'{"event": "\xff"}\n')
    with pytest.raises(JournalError, match="line 1 is not JSON"):
        Journal(tmp_path / "j.jsonl")


def test_another_file_is_not_to_be_deleted(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{\n "pq": 3\n}\n')
    with pytest.raises(JournalError, match=r"line 1 is not JSON .*\. Is it a journal\?$"):
        Journal(tmp_path / "metrics.json")


def test_nan_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    with pytest.raises(ValueError, match="JSON"):
        journal.append({"event": "a", "x": float("nan")})
    assert not (tmp_path / "j.jsonl").exists()


def test_second_writer_of_this_process_is_refused(tmp_path: Path) -> None:
    first, second = Journal(tmp_path / "j.jsonl"), Journal(tmp_path / "j.jsonl")
    first.append({"event": "a"})
    with pytest.raises(JournalError, match="being written by another search"):
        second.append({"event": "b"})
    first.close()
    with pytest.raises(JournalError, match="has changed since"):
        second.append({"event": "b"})
    with Journal(tmp_path / "j.jsonl") as third:
        third.append({"event": "b"})
    assert [event["event"] for event in third.events] == ["a", "b"]


@pytest.mark.parametrize("left", [None, b"", b'{"event": "a"}\n', b'{"event": "a"}\n{"event": "b"}\n{"event": "c"}\n'])
def test_a_file_that_has_been_changed_since_is_not_written_to(tmp_path: Path, left: bytes | None) -> None:
    path = tmp_path / "j.jsonl"
    path.write_text('{"event": "a"}\n{"event": "b"}\n')
    journal = Journal(path)
    path.unlink() if left is None else path.write_bytes(left)
    with pytest.raises(JournalError, match="has changed since"):
        journal.append({"event": "d"})
    assert (path.read_bytes() if path.exists() else None) == left


def test_close_gives_the_lock_back_and_append_takes_it_again(tmp_path: Path) -> None:
    first = Journal(tmp_path / "j.jsonl")
    first.append({"event": "a"})
    first.close()
    first.close()
    first.append({"event": "b"})
    first.close()
    assert [event["event"] for event in Journal(tmp_path / "j.jsonl").events] == ["a", "b"]


HOLDER = """
import sys
from autopanoptic.nas import Journal
journal = Journal(sys.argv[1])
journal.append({"event": "held"})
print("ready", flush=True)
sys.stdin.read()
"""


def test_writer_in_another_process_is_refused_and_its_death_frees_the_file(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        ours = Journal(path)
        with pytest.raises(JournalError, match="being written by another search"):
            ours.append({"event": "b"})
        holder.kill()
        holder.wait()
    ours.append({"event": "b"})
    ours.close()
    assert [event["event"] for event in Journal(path).events] == ["held", "b"]


@pytest.mark.parametrize("written", [0, 5])
def test_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int) -> None:
    path = tmp_path / "j.jsonl"
    journal = Journal(path)
    journal.append({"event": "a"})

    def full(file: Any, line: bytes) -> None:
        file.write(line[:written])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journal_module, "_write", full)
        with pytest.raises(JournalError, match=r"cannot be written: .*No space left.*1 earlier events are safe"):
            journal.append({"event": "b"})
    assert journal.events == [{"event": "a"}]
    assert path.read_text() == '{"event": "a"}\n'
    journal.append({"event": "b"})
    journal.close()
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["a", "b"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_real_full_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    monkeypatch.setattr(journal, "_open", lambda: open("/dev/full", "wb", buffering=0))  # noqa: SIM115
    with pytest.raises(JournalError, match="No space left"):
        journal.append({"event": "a"})
    assert journal.events == []


def test_interrupt_within_a_write_takes_it_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "j.jsonl"
    journal = Journal(path)
    journal.append({"event": "a"})

    def interrupted(handle: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(journal_module.os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            journal.append({"event": "b"})
    assert path.read_text() == '{"event": "a"}\n'
    with journal:
        journal.append({"event": "c"})
    assert [event["event"] for event in journal.events] == ["a", "c"]


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match=r"j\.jsonl cannot be read: Not a directory"):
        Journal(tmp_path / "file" / "j.jsonl")
    journal = Journal(tmp_path / "later" / "j.jsonl")
    (tmp_path / "later").write_text("")
    with pytest.raises(JournalError, match="cannot be written"):
        journal.append({"event": "a"})


def test_a_block_waits_for_the_disk_once_and_its_records_are_in_the_file_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(journal_module.os, "fsync", lambda handle: synced.append((tmp_path / "j").stat().st_size))
    with Journal(tmp_path / "j") as journal:
        journal.append({"event": "a", "n": 0})
        assert len(synced) == 1
        with journal.together():
            with journal.together():  # is a part of the other
                journal.append({"event": "a", "n": 1})
            journal.append({"event": "a", "n": 2})
            assert Journal(tmp_path / "j").count == 3
            assert len(synced) == 1
        assert synced[1:] == [(tmp_path / "j").stat().st_size]
        with journal.together(), journal.together():
            pass
        assert len(synced) == 2
        journal.append({"event": "a", "n": 3})
        assert len(synced) == 3


def test_a_disk_that_fails_at_the_end_of_a_block_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    journal = Journal(tmp_path / "j")
    journal.append({"event": "a", "n": 0})
    with monkeypatch.context() as patch:
        block = journal.together()
        block.__enter__()
        journal.append({"event": "a", "n": 1})
        patch.setattr(journal_module.os, "fsync", failing)
        with pytest.raises(JournalError, match="Input/output error"):
            block.__exit__(None, None, None)
    journal.append({"event": "a", "n": 2})
    journal.close()
    assert [event["n"] for event in Journal(tmp_path / "j").events] == [0, 1, 2]


def test_a_block_whose_write_fails_keeps_what_it_has_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    synced: list[int] = []
    journal = Journal(tmp_path / "j")
    journal.append({"event": "a", "n": 0})
    with monkeypatch.context() as patch, journal.together():
        journal.append({"event": "a", "n": 1})
        patch.setattr(journal_module.os, "fsync", lambda handle: synced.append((tmp_path / "j").stat().st_size))
        patch.setattr(journal_module, "_write", full)
        with pytest.raises(JournalError, match="No space"):
            journal.append({"event": "a", "n": 2})
    assert synced == [(tmp_path / "j").stat().st_size]
    journal.close()
    assert [event["n"] for event in Journal(tmp_path / "j").events] == [0, 1]
