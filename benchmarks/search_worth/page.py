"""Writes docs/search_worth.md from the rows that are there; no figure is typed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from benchmarks.search_worth import plan, study
from benchmarks.search_worth.expectations import EXPECTED
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.sections import price, published, ranking, worth
from benchmarks.search_worth.sections.short import summary
from benchmarks.search_worth.sections.text import items, paragraph
from benchmarks.search_worth.statistics import __doc__ as method
from benchmarks.search_worth.study import Study

PAGE = "search_worth.md"
CAMVID = Path("camvid")
"""Stands for a folder that is not needed to name rows."""
INTRODUCTION = """# What the search is worth

<!-- Written by `python -m benchmarks.search_worth page` from benchmarks/results/search_worth. Do not edit. -->

Why search at all? Four parts say what it finds, and what it costs: whether the searched network is better than what one
would take otherwise; whether paths with shared weights rank networks as their own trainings do; the price; and path
priority on the published space. Trained further means from the supernet's weights, as a run does; a random draw is the
best of random architectures by the same supernet; PQ is in percent. Scenes, recipes and spaces are those of the config
`scenes`; nothing was tuned for this page but in the remedies, which say so. What was expected is written before the
runs, and is not changed afterwards."""
COMMANDS = """## Run it

```bash
python -m benchmarks.search_worth run --hours 2              # interrupted, the same command goes on
python -m benchmarks.search_worth run --part worth --seeds 0-4
python -m benchmarks.search_worth run --part ranking --camvid DIR    # real images besides
python -m benchmarks.search_worth adopt runs/NAME            # takes in a finished run of a seed from 8 to 15
python -m benchmarks.search_worth run --smoke                # every part, of tiny scenes, into a folder of its own
python -m benchmarks.search_worth page
```

Every finished run, training and search is a file of its own under `benchmarks/results/search_worth` at once, and what
is there is not done again. A row of other settings is refused."""
TITLES = {
    "worth": "Worth: the searched network beside others",
    "ranking": "Ranking: paths beside trainings alone",
    "price": "Price: what the search costs",
    "published": "Published: path priority beside other strategies",
}
SECTIONS: dict[str, Callable[[Study, Rows], Iterator[str]]] = {
    "worth": worth.section, "ranking": ranking.section, "price": price.section, "published": published.section,
}  # fmt: skip


def write(of: Study, rows: Rows, docs: Path) -> Path:
    """Write the page and return its path; what has no rows yet is named.

    Args:
        of: The study, or its smoke form.
        rows: Its rows.
        docs: Where the page goes.
    """
    # The rows of real images count as missing where their folder is not given.
    whole = of if of.camvid is not None or of.elastic.quick else replace(of, camvid=study.camvid(CAMVID))
    _require(whole, rows)
    parts = [INTRODUCTION, *summary.section(whole, rows)]
    for part, section in SECTIONS.items():
        found = list(section(whole, rows)) or [paragraph("No row is there yet.")]
        expected = f"Expected before the runs:\n\n{items(EXPECTED[part])}"
        parts.append("\n".join([f"## {TITLES[part]}\n", expected, "What came out:\n", *found]))
    parts += [_missing(whole, rows), f"## Statistics\n\n{(method or '').partition('.')[2].strip()}", COMMANDS]
    page = docs / PAGE
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n\n".join(part.strip() for part in parts) + "\n")
    return page


def _require(of: Study, rows: Rows) -> None:
    """Refuse rows of other settings than the study's, which would stand beside its own.

    Raises:
        ValueError: If there is one; names the file.
    """
    for job in plan.jobs(of, Console(quiet=True)):
        for name in job.names:
            if name in rows:
                rows.require(name, job.settings)


def _missing(of: Study, rows: Rows) -> str:
    """Say how many rows of each folder are not there."""
    jobs = plan.jobs(of, Console(quiet=True))
    wanted = Counter(_group(name) for job in jobs for name in job.names)
    open_ones = Counter(_group(name) for job in jobs for name in job.missing(rows))
    if not open_ones:
        return "## Missing rows\n\nNone: the study is whole."
    lines = [f"`{group}`: {count} of {wanted[group]}" for group, count in open_ones.items()]
    return f"## Missing rows\n\n{items(lines)}"


def _group(name: str) -> str:
    """Return what rows are counted by: their folder, without the seed."""
    return "/".join(part for part in name.split("/")[:-1] if not part.startswith("seed-")) or name
