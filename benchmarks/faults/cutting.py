"""A journal that is cut off at every byte of its last two records."""

from __future__ import annotations

from pathlib import Path

from autopanoptic.nas import Journal, Result, Trial
from benchmarks.faults.count import Count
from benchmarks.faults.driver import search


def cut(folder: Path, trials: int = 12) -> Count:
    """Cut a journal everywhere in its last two records, and return how often nothing whole was lost by it.

    Each file must open with exactly the records that are whole, repair must keep them all, and a search must go on from
    it to the end of the uninterrupted one.
    """
    whole, path = folder / "whole.jsonl", folder / "cut.jsonl"
    search(whole).run(trials, progress=False)
    content, expected = whole.read_bytes(), _trials(whole)
    first = len(b"".join(content.splitlines(keepends=True)[:-2]))
    survived = 0
    for length in range(first, len(content)):
        path.write_bytes(content[:length])
        records = content[:length].count(b"\n")
        opened = Journal(path).events == Journal(whole).events[:records]
        search(path).run(trials, progress=False)
        survived += opened and _trials(path) == expected
    return Count(
        "A journal cut off at a byte of its last two records",
        "it opens with exactly the whole records, and the search goes on to the end of the uninterrupted one",
        len(content) - first,
        survived,
    )


def _trials(path: Path) -> list[tuple[object, object]]:
    trials: list[Trial] = list(Result.from_journal(path).history)
    return [(trial.architecture, trial.metrics) for trial in trials]
