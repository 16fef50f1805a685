"""The report of a run: one file of HTML that can be sent around."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from autopanoptic.nas.storage.files import whole
from autopanoptic.panoptic.report.blocks import Page
from autopanoptic.panoptic.report.classes import classes_section
from autopanoptic.panoptic.report.examples import examples_section
from autopanoptic.panoptic.report.found import network_section, use_section
from autopanoptic.panoptic.report.making import config_section, seconds_section, versions_section
from autopanoptic.panoptic.report.measured import Measured
from autopanoptic.panoptic.report.networks import networks_section
from autopanoptic.panoptic.report.rendering import render
from autopanoptic.panoptic.report.run import Run
from autopanoptic.panoptic.report.search import front_section, history_section, options_section
from autopanoptic.panoptic.trained.evaluate import device_named

REPORT = "report.html"
IMAGES = 3


def write_report(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    images: int = IMAGES,
    device: str = "auto",
    console: Console | None = None,
) -> Path:
    """Write what a run has found, and how, as one page of HTML.

    All pictures are within the page, which loads nothing from elsewhere and needs no script. A run that is not finished
    has a page, too, which says what it lacks. The same run gives the same page.

    Args:
        folder: Of the run. Nothing in it is changed but the page itself.
        out: The file to write; by default ``report.html`` in the run's folder.
        images: How many of the best and of the worst images of val stand in it.
        device: Where networks run: ``"auto"`` (a GPU where there is one), ``"cpu"`` or ``"cuda"``.
        console: Where progress is told; None for nowhere.

    Returns:
        The file.

    Raises:
        FileNotFoundError: If there is no run, nothing to report yet, or no folder for the page.
        ValueError: If a file of the run is damaged, or an argument is out of range.
        JournalError: If the search's journal is damaged, or another release's.
    """
    folder = Path(folder)
    path = folder / REPORT if out is None else Path(out)
    if images < 0:
        raise ValueError(f"images={images}: at least 0 are needed")
    device_named(device)
    run = Run.read(folder)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give a file for the page")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: there is no folder {path.parent}")
    text = render(page_of(run, images=images, device=device, console=console))
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


def page_of(run: Run, *, images: int = IMAGES, device: str = "auto", console: Console | None = None) -> Page:
    """Return the page of a run; arguments as of `write_report`."""
    measured = Measured.of(run, device, console)
    return Page(
        f"Panoptic search {run.name}",
        list(_facts(run)),
        [
            networks_section(run, measured),
            front_section(run),
            history_section(run),
            options_section(run),
            classes_section(run),
            *([examples_section(run, measured, images, device)] if images else []),
            network_section(run),
            use_section(run),
            seconds_section(run),
            config_section(run),
            versions_section(run),
        ],
    )


def _facts(run: Run) -> Iterator[tuple[str, str]]:
    if run.shown in run.networks:
        found = run.networks[run.shown].get("pq")
        yield f"PQ of the {run.shown} network on val", "-" if found is None else f"{found:.1f}"
    if not run.compared:
        yield "state", "not finished"
    asked, path = run.settings.search, run.settings.data.path
    yield "data", "generated scenes" if path is None else str(path)
    yield "images", ", ".join(f"{count} {split}" for split, count in run.images.items())
    yield "classes", f"{len(run.categories.things)} things, {len(run.categories.stuff)} stuff"
    yield "space", asked.space
    yield "strategy", asked.strategy
    yield "searched for", ", ".join(one.name for one in run.searched.history.objectives)
    yield "seed", str(run.settings.seed)
