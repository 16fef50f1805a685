"""The page of the docs on what searches and trainings survive."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.faults.count import Count

HEAD = """# Reliability

What a search and the training of a supernet survive, counted by `python -m benchmarks.faults`, which writes this page.
Each fault is injected into real searches that write real journals, or real trainings that write real checkpoints; kills
are real signals to real processes. Short forms of the same are tests, and `pytest --slow tests/faults` runs the long
ones.

| fault | injected | survived | what had to hold each time |
|---|---:|---:|---|
"""

TAIL = """
Beyond these counts, tests in `tests/faults` hold that

- a second driver of one journal is refused by the name of the first, and does no damage;
- a folder that cannot be read or written is named, before anything is evaluated;
- a clock that is set back changes nothing: times only inform;
- a journal of a newer format is refused with both releases and both formats, and stays as it is.

[The guide](guide/search.md#looking-after-a-journal) has the commands that check and repair a journal.

## Large journals

A journal of {trials:,} trials of {choices} choices has {megabytes:.0f} MB. To be opened it takes, Python and its
imports included in the memory:

| opened as | processor time | memory | read by ten more trials |
|---|---:|---:|---:|
{rows}
Measured by `python -m benchmarks.journal_size` on {cpu}, Python {python}. The machine's load was
{load:.0f} on {cores} cores; a load above their number makes processor time longer, too.
"""


def write_page(results: Path, journal_size: Path, page: Path) -> None:
    """Write the page from the counts in a folder, a row for each file.

    Args:
        results: the folder of the counts.
        journal_size: what :mod:`benchmarks.journal_size` has written.
        page: the file to write.

    Raises:
        ValueError: when the folder has no counts.
    """
    counts = [Count.load(path) for path in sorted(results.glob("*.json"))]
    if not counts:
        raise ValueError(f"{results} has no counts of faults. Run `python -m benchmarks.faults` without --page.")
    rows = [f"| {each.fault} | {each.faults:,} | {each.survived:,} | {each.holds} |\n" for each in counts]
    page.write_text(HEAD + "".join(rows) + _tail(json.loads(journal_size.read_text())))


def _tail(found: Mapping[str, Any]) -> str:
    rows = "".join(map(_opened, found["opened"]))
    return TAIL.format(
        **found["machine"], **{name: found[name] for name in ("trials", "choices", "megabytes")}, rows=rows
    )


def _opened(found: Mapping[str, Any]) -> str:
    count = found.get("bytes_read_by_appends")
    read = "–" if count is None else f"{count / 2**10:.0f} kB"
    name = {"result": "`Result.from_journal`", "search": "`Search(journal=...)`, to go on"}[found["opened"]]
    return f"| {name} | {found['cpu_seconds']:.1f} s | {found['megabytes']:.0f} MB | {read} |\n"
