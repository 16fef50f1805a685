"""A damaged journal is repaired: nothing whole is lost, and what is lost is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autopanoptic.nas import Journal, JournalError, RandomSearch, Result, Search, SearchSpace, TrialState
from autopanoptic.nas.journals.mending import Mending
from autopanoptic.nas.journals.repairing import Repaired, repair

Lines = list[bytes]


def find(lines: Lines, kind: str, trial: int) -> int:
    events = [json.loads(line) for line in lines]
    return next(n for n, event in enumerate(events) if event["event"] == kind and event.get("trial") == trial)


def damage(journal: Path, change: Callable[[Lines], Any]) -> bytes:
    lines = journal.read_bytes().splitlines(keepends=True)
    change(lines)
    journal.write_bytes(b"".join(lines))
    return journal.read_bytes()


def texts(done: Repaired) -> list[str]:
    return [text for _, text in done.mending.problems]


def test_what_is_whole_is_left_alone(journal: Path) -> None:
    before = journal.read_bytes()
    done = repair(journal)
    assert (done.path, done.backup, done.mending.problems) == (None, None, [])
    assert done.mending.records == Journal(journal).count
    assert journal.read_bytes() == before
    assert list(journal.parent.glob("*backup*")) == []


def test_a_truncated_last_record_is_lost_and_told(journal: Path) -> None:
    whole = journal.read_bytes()
    damaged = damage(journal, lambda lines: lines.append(lines.pop()[:9]))
    done = repair(journal)
    assert done.mending.problems[0].line == len(whole.splitlines())
    assert texts(done) == ["is cut short after 9 bytes, as a kill leaves it. Lost: b'{\"event\":'"]
    assert journal.read_bytes() == b"".join(whole.splitlines(keepends=True)[:-1])
    assert done.backup is not None
    assert done.backup.read_bytes() == damaged


def test_a_whole_last_record_without_an_end_of_line_is_kept(journal: Path) -> None:
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-1])
    assert "it is whole and is kept" in texts(repair(journal))[0]
    assert journal.read_bytes() == whole


def test_a_duplicate_end_is_left_out(journal: Path) -> None:
    whole = journal.read_bytes()
    damage(journal, lambda lines: lines.append(lines[-1]))
    assert texts(repair(journal)) == ["is left out, as it repeats the end of the search"]
    assert journal.read_bytes() == whole


def test_a_duplicate_end_of_a_trial_is_left_out(journal: Path) -> None:
    whole = journal.read_bytes()
    trial = next(trial.id for trial in Result.from_journal(journal).history.completed)

    def repeat(lines: Lines) -> None:
        place = find(lines, "completed", trial)
        lines.insert(place + 1, lines[place])

    damage(journal, repeat)
    (text,) = texts(repair(journal))
    assert f"is left out: trial {trial} has ended before, as completed" in text
    assert journal.read_bytes() == whole


def test_whole_records_of_a_damaged_line_are_kept(journal: Path) -> None:
    whole = journal.read_bytes()

    def join(lines: Lines) -> None:  # half a record, zeros, and two records on one line
        lines[4] = b'{"event": "asked", "tri\x00\x00' + lines[4].rstrip() + lines.pop(5)

    damage(journal, join)
    with pytest.raises(JournalError, match="line 5 is not JSON"):
        Result.from_journal(journal)
    (text,) = texts(repair(journal))
    assert "2 whole records of it are kept" in text
    assert journal.read_bytes() == whole


def test_trials_behind_a_lost_beginning_move_up_and_keep_their_results(
    journal: Path, space: SearchSpace, tmp_path: Path
) -> None:
    before = list(Result.from_journal(journal).history)
    damage(journal, lambda lines: lines.__setitem__(find(lines, "asked", 5), b"\x00\x00\x00\n"))
    done = repair(journal)
    assert any("trial 5, whose" in text and "has no beginning" in text for text in texts(done))
    assert any("begins trial 6, which is trial 5 here" in text for text in texts(done))
    after = list(Result.from_journal(journal).history)
    assert [trial.id for trial in after] == list(range(11))
    kept = [(t.architecture, t.metrics, t.error, t.reports) for t in before if t.id != 5]
    assert [(t.architecture, t.metrics, t.error, t.reports) for t in after] == kept
    objectives = {"accuracy": "max", "latency": "min"}
    metrics = {"accuracy": 1.0, "latency": 1.0}
    search = Search(space, RandomSearch(), lambda a: metrics, objectives=objectives, journal=journal, seed=2)
    assert len(search.run(14).history) == 14


def test_a_lost_end_lets_the_trial_run_again(journal: Path) -> None:
    trial = Result.from_journal(journal).history.completed[2].id
    damage(journal, lambda lines: lines.__setitem__(find(lines, "completed", trial), b'{"event": "compl\n'))
    repair(journal)
    assert [found.id for found in Result.from_journal(journal).history.running] == [trial]


def test_a_result_after_a_lost_reopening_is_kept(journal: Path) -> None:
    failed = next(t.id for t in Result.from_journal(journal).history if t.state is TrialState.FAILED)
    record = {"event": "completed", "trial": failed, "metrics": {"accuracy": 9.0, "latency": 1.0}, "seconds": 1.0}
    damage(journal, lambda lines: lines.append(json.dumps(record).encode() + b"\n"))
    (text,) = texts(repair(journal))
    assert "ran again: a record of that is put in" in text
    assert Result.from_journal(journal).history[failed].metrics["accuracy"] == 9.0


def test_a_copy_leaves_the_journal_and_takes_nobodys_place(journal: Path, tmp_path: Path) -> None:
    damaged = damage(journal, lambda lines: lines.append(b"{"))
    done = repair(journal, tmp_path / "copy.jsonl")
    assert (done.path, done.backup) == (tmp_path / "copy.jsonl", None)
    assert journal.read_bytes() == damaged
    assert (tmp_path / "copy.jsonl").read_bytes() == damaged[:-1]
    with pytest.raises(FileExistsError, match="is there already"):
        repair(journal, tmp_path / "copy.jsonl")


def test_a_journal_that_is_being_written_is_not_repaired(journal: Path) -> None:
    with Journal(journal) as writer:
        writer.append({"event": "interrupted"})
        damaged = damage(journal, lambda lines: lines.append(b"{"))
        with pytest.raises(JournalError, match=r"being written by a search, process \d+ on .*End it first"):
            repair(journal)
        assert journal.read_bytes() == damaged


def test_of_a_link_the_journal_is_repaired(journal: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.jsonl"
    link.symlink_to(journal)
    with Journal(journal) as writer:
        writer.append({"event": "interrupted"})
        with pytest.raises(JournalError, match="is being written by another search, process"):
            Journal(link).append({"event": "interrupted"})
    damage(journal, lambda lines: lines.append(b"{"))
    repaired = repair(link)
    assert repaired.path == journal.resolve()
    assert link.is_symlink()
    assert repair(journal).path is None


def test_every_backup_has_a_name_of_its_own(journal: Path) -> None:
    for _ in range(3):
        damage(journal, lambda lines: lines.append(b"{"))
        repair(journal)
    assert sorted(path.name for path in journal.parent.glob("*.backup*")) == [
        "j.jsonl.backup", "j.jsonl.backup2", "j.jsonl.backup3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"\xff\n", "line 1, which describes the search, is damaged"), (b"{}\n", "line 1, which")],
)
def test_without_a_description_nothing_is_written(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(JournalError, match=message):
        repair(tmp_path / "j")
    assert (tmp_path / "j").read_bytes() == content
    assert list(tmp_path.iterdir()) == [tmp_path / "j"]


def test_a_disk_that_is_full_leaves_the_journal_as_it_is(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = damage(journal, lambda lines: lines.append(b"{"))

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        repair(journal)
    assert journal.read_bytes() == damaged
    assert [path.name for path in journal.parent.iterdir() if "lock" not in path.name] == ["j.jsonl"]


@pytest.mark.parametrize("part", range(8))
def test_a_journal_with_any_line_damaged_keeps_all_others_that_have_a_trial(journal: Path, part: int) -> None:
    """Each line of the journal in turn, an eighth of them in each test."""
    lines = journal.read_bytes().splitlines(keepends=True)
    events = [json.loads(line) for line in lines]
    for place in range(1 + part, len(lines), 8):
        journal.write_bytes(b"".join([*lines[:place], b"damage\n", *lines[place + 1 :]]))
        mending = Mending(journal).to_the_end()
        lost = events[place]
        orphans = [e for e in events if lost["event"] == "asked" and e.get("trial") == lost["trial"]]
        assert mending.records == len(lines) - max(1, len(orphans)), lost
        assert mending.problems[0].line == place + 1
