"""The page of the docs on what searches and trainings survive."""

from __future__ import annotations

from pathlib import Path

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
`python benchmarks/journal_size.py` prints how long one of 100,000 trials takes to open, and how much memory.
"""


def write_page(results: Path, page: Path) -> None:
    """Write the page from the counts in a folder, a row for each file.

    Raises:
        ValueError: when the folder has no counts.
    """
    counts = [Count.load(path) for path in sorted(results.glob("*.json"))]
    if not counts:
        raise ValueError(f"{results} has no counts of faults. Run `python -m benchmarks.faults` without --page.")
    rows = [f"| {each.fault} | {each.faults:,} | {each.survived:,} | {each.holds} |\n" for each in counts]
    page.write_text(HEAD + "".join(rows) + TAIL)
