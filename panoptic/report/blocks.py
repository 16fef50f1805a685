"""What a page is made of: sections of paragraphs, tables, pictures and code, which say nothing of HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias


@dataclass(frozen=True)
class Paragraph:
    """Some sentences."""

    kind: ClassVar[str] = "paragraph"
    text: str


@dataclass(frozen=True)
class Lacking:
    """Why something does not stand here."""

    kind: ClassVar[str] = "lacking"
    text: str


@dataclass(frozen=True)
class Cell:
    """A figure in a table.

    Attributes:
        text: What it says.
        note: What stands below it in small, such as an interval.
        best: Whether it is the best of its column.
    """

    text: str
    note: str = ""
    best: bool = False


@dataclass(frozen=True)
class Table:
    """Rows with a name each.

    Attributes:
        caption: What the table is of.
        columns: Headings, that of the rows' names first.
        rows: A row's name and its cells.
        words: The columns that are text, by their number; the others are figures and stand to the right.
    """

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]]
    words: Sequence[int] = ()


@dataclass(frozen=True)
class Image:
    """A picture in the page itself.

    Attributes:
        uri: The file as a ``data:`` URI.
        alt: What is to be seen, for who cannot see it.
        width: In pixels.
        height: In pixels.
    """

    uri: str
    alt: str
    width: int
    height: int


@dataclass(frozen=True)
class Figure:
    """A plot or a drawing on white, with a line below."""

    kind: ClassVar[str] = "figure"
    image: Image
    caption: str


@dataclass(frozen=True)
class Entry:
    """A class on an image.

    Attributes:
        color: RGB, 0 to 255.
        name: Of the class.
        truth: How often it is there, or how much of the image it is.
        found: The same of the prediction.
    """

    color: tuple[int, int, int]
    name: str
    truth: str
    found: str


@dataclass(frozen=True)
class Example:
    """An image of a data set beside its truth and what a network finds.

    Attributes:
        title: Which image.
        panels: The pictures and their names.
        legend: The classes in them.
    """

    kind: ClassVar[str] = "example"
    title: str
    panels: Sequence[tuple[str, Image]]
    legend: Sequence[Entry]


@dataclass(frozen=True)
class Code:
    """Text to be read or copied as it is."""

    kind: ClassVar[str] = "code"
    text: str


@dataclass(frozen=True)
class Heading:
    """A title within a section."""

    kind: ClassVar[str] = "heading"
    text: str


@dataclass(frozen=True)
class Fold:
    """What is shown on demand."""

    kind: ClassVar[str] = "fold"
    summary: str
    blocks: Sequence[Block]


Block: TypeAlias = Paragraph | Lacking | Table | Figure | Example | Code | Heading | Fold


@dataclass(frozen=True)
class Section:
    """A part of the page with a title.

    Attributes:
        name: By which the page's list of contents leads there; letters and hyphens.
        title: What it is about.
        blocks: From top to bottom.
    """

    name: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """A whole page.

    Attributes:
        title: Of the page.
        facts: Names and values that stand above everything.
        sections: From top to bottom.
    """

    title: str
    facts: Sequence[tuple[str, str]] = field(default_factory=tuple)
    sections: Sequence[Section] = field(default_factory=tuple)
