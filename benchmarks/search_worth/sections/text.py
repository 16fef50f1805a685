"""Paragraphs, tables and numbers of the page."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from benchmarks.search_worth.statistics import Interval, Paired

WIDTH = 116
NONE = "-"


def paragraph(text: str) -> str:
    """Fill the lines of a paragraph."""
    return f"{textwrap.fill(text, WIDTH, break_on_hyphens=False, break_long_words=False)}\n"


def capital(text: str) -> str:
    """Return a text with a capital letter first."""
    return f"{text[:1].upper()}{text[1:]}"


def items(texts: Iterable[str]) -> str:
    """Return a list."""
    filled = (
        textwrap.fill(f"- {text}", WIDTH, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False)
        for text in texts
    )
    return "\n".join(filled) + "\n"


def table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table, whose columns but the first are numbers."""
    lines = [f"| {' | '.join(names)} |", f"| --- |{' ---: |' * (len(names) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def interval(found: Interval | None, digits: int = 2) -> str:
    """Write a value with the ends of its interval."""
    if found is None:
        return NONE
    value, low, high = (f"{one:.{digits}f}" for one in found)
    return f"{value} [{low}, {high}]"


def effect(found: Paired | None) -> str:
    """Write a mean difference with its interval, and of how many pairs it is."""
    if found is None:
        return NONE
    if found.half is None:
        return f"{found.value:+.1f}"
    return f"{found.value:+.1f} [{found.value - found.half:+.1f}, {found.value + found.half:+.1f}]"


def seeds_of(found: Paired) -> str:
    """Write of how many seeds a difference is, and in how many of them both are one network."""
    return f"{found.pairs}, in {found.alike} one network" if found.alike else str(found.pairs)


def p_of(found: Paired | None) -> str:
    """Write a p."""
    return NONE if found is None else f"{found.p:.3f}"
