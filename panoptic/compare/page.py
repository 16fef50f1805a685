"""A comparison as one page of HTML."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import quote

from autopanoptic.nas.storage.files import whole
from autopanoptic.panoptic.compare.making import Made, opened
from autopanoptic.panoptic.compare.rows import rows_of
from autopanoptic.panoptic.compare.statistics import Mean
from autopanoptic.panoptic.compare.summary import SUMMARY, Compared, Line, Summary
from autopanoptic.panoptic.compare.tables import NAMES, between, notes_of, signed, spread_of
from autopanoptic.panoptic.model.parts.kinds import COMPONENTS
from autopanoptic.panoptic.report.blocks import Block, Cell, Lacking, Page, Paragraph, Section, Table
from autopanoptic.panoptic.report.rendering import render
from autopanoptic.panoptic.results.json_files import read_object

REPORT = "report.html"
_COSTS = ("parameters", "GFLOPs", "latency", "training")
_OF_NETWORK = (*COMPONENTS, "backbone", "space")


def write_page(folder: str | Path, out: str | Path | None = None) -> Path:
    """Write what a comparison has found so far as one page of HTML.

    The others are compared with the network with which they were compared last, or with the best.

    Args:
        folder: Of the comparison.
        out: The file to write; by default ``report.html`` in the folder.

    Returns:
        The file.

    Raises:
        FileNotFoundError: If there is no comparison, no training of it has ended, or no folder for the page.
        ValueError: If a file of the comparison is damaged.
    """
    folder = Path(folder)
    path = folder / REPORT if out is None else Path(out)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give a file for the page")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: there is no folder {path.parent}")
    comparison = opened(folder)
    found = comparison.summarised(_reference(comparison))
    if not found.lines:
        raise FileNotFoundError(
            f"no training of the comparison {folder} has ended yet. Go on with it by `autopanoptic panoptic compare "
            f"--resume --name {quote(folder.resolve().name)}`"
        )
    text = render(page_of(found, folder.resolve().name))
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


def _reference(made: Made) -> str | None:
    """Return with which network the last summary compares the others; None where nothing is left of it."""
    path = made.folder / SUMMARY
    known = read_object(path).get("against") if path.exists() else None
    return known if isinstance(known, str) and rows_of(made.plan, made.folder).get(known) else None


def page_of(found: Summary, name: str) -> Page:
    """Return the page of a comparison."""
    networks = Section("networks", "Compared networks", list(_networks(found)))
    trainings = Section("trainings", "Every training", [_trainings(found.lines)])
    categories = Section("categories", "Every category", [_categories(found)])
    parts = Section("parts", "What the networks are", [_parts(found)])
    return Page(f"Panoptic comparison {name}", list(_facts(found)), [networks, categories, trainings, parts])


def _facts(found: Summary) -> Iterator[tuple[str, str]]:
    facts = found.facts
    yield "data", facts["data"]
    yield "images", ", ".join(f"{count} {split}" for split, count in facts["images"].items())
    yield "classes", f"{facts['things']} things, {facts['stuff']} stuff"
    yield "trainings", f"{facts['recipe']['passes']} passes of {facts['recipe']['batch_size']} images, {facts['start']}"
    yield "seeds", ", ".join(map(str, facts["seeds"]))
    yield "on", ", ".join(facts["devices"])


def _networks(found: Summary) -> Iterator[Block]:
    rows = [
        (line.name, [*(_cell(line.metrics.get(key), "{:.1f}") for key in NAMES), *_costs(line)]) for line in found.lines
    ]
    caption = "On val, in percent: means over the seeds, below them half of their 95% intervals by Student's t"
    yield Table(caption, ("network", *NAMES.values(), *_COSTS), rows)
    for pairs, caption in (
        (found.differences, f"PQ minus that of {found.against}"),
        (found.equal_cost, "PQ minus that of the network made by hand of equal cost"),
    ):
        if pairs:
            yield _differences(pairs, caption)
    for note in notes_of(found):
        yield Lacking(note) if note.startswith("Not trained") else Paragraph(note)


def _cell(mean: Mean | None, form: str) -> Cell:
    if mean is None:
        return Cell("-")
    return Cell(form.format(mean.value), "" if mean.half is None else f"± {form.format(mean.half)}")


def _costs(line: Line) -> list[Cell]:
    return [
        Cell(f"{line.mparams:.2f} M"), Cell(f"{line.gflops:.3g}"), _cell(line.latency_ms, "{:.0f} ms"),
        _cell(line.seconds, "{:.0f} s"),
    ]  # fmt: skip


def _differences(found: Sequence[Compared], caption: str) -> Table:
    rows = []
    for one in found:
        images, seeds = one.difference.images, one.difference.seeds
        over = "one seed" if seeds.half is None else between(seeds.value - seeds.half, seeds.value + seeds.half)
        cells = [signed(images.value), between(images.low, images.high), over, one.difference.reading]
        rows.append((f"{one.one} minus {one.other}", [Cell(text) for text in cells]))
    return Table(caption, ("networks", "PQ", "95% over the images", "95% over the seeds", ""), rows, words=(4,))


def _categories(found: Summary) -> Table:
    """A row for each category, those first in which the networks lie furthest apart."""
    networks = list(found.categories)
    apart = [name for name, *_ in spread_of(found)]
    rest = [name for name in next(iter(found.categories.values()), {}) if name not in apart]
    rows = [
        (name, [_cell_of([pq for pq in found.categories[one][name] if math.isfinite(pq)]) for one in networks])
        for name in (*apart, *rest)
    ]
    return Table("PQ on val in percent, means over the seeds", ("category", *networks), rows)


def _cell_of(values: Sequence[float]) -> Cell:
    return Cell(f"{sum(values) / len(values):.1f}" if values else "-")


def _trainings(lines: Sequence[Line]) -> Table:
    rows = []
    for line in lines:
        for place, seed in enumerate(line.seeds):
            values = (line.metrics.get(key) for key in NAMES)
            cells = [Cell("-" if one is None else f"{one.values[place]:.1f}") for one in values]
            rows.append((f"{line.name}, seed {seed}", cells))
    return Table("On val, in percent", ("training", *NAMES.values()), rows)


def _parts(found: Summary) -> Table:
    rows = [(name, [Cell(str(one[key])) for key in _OF_NETWORK]) for name, one in found.facts["networks"].items()]
    columns = ("network", *(key.replace("_", " ") for key in _OF_NETWORK))
    return Table("Components by their names in a config", columns, rows, words=range(1, len(columns)))
