"""The answers in short: what to make of them first, then each part's figures."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.sections.short import price, ranking, worth
from benchmarks.search_worth.sections.text import items, paragraph
from benchmarks.search_worth.study import Study

HEADINGS = {"Worth": worth.answers, "Ranking": ranking.answers, "Price, and the published space": price.answers}


def section(study: Study, rows: Rows) -> Iterator[str]:
    """Yield the section, or nothing where no part has an answer."""
    found = {heading: list(answers(study, rows)) for heading, answers in HEADINGS.items()}
    if not any(found.values()):
        return
    yield "## In short"
    verdict = " ".join(worth.verdict(study, rows))
    if verdict:
        yield paragraph(verdict)
    for heading, answers in found.items():
        if answers:
            yield f"### {heading}, in short\n\n{items(answers)}"
