"""The commands `autopanoptic panoptic prepare ...`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
    from autopanoptic.panoptic.data.converters.own_data import OwnData
    from autopanoptic.panoptic.data.converters.writing.dataset import Writing

app = typer.Typer(no_args_is_help=True)
SHOWN = 10
"""Remarks that are printed."""
Convert = Callable[["Writing"], "tuple[str, ...] | None"]

Source = Annotated[Path, typer.Argument(metavar="FOLDER", help="The data set as it is distributed, unpacked.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to make.")]
Part = Annotated[
    bool, typer.Option("--part", help="It is a part of the release: do not compare the numbers of images.")
]
Only = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="train or val: convert it alone. By default both, which must be there."),
]
Seed = Annotated[int, typer.Option(metavar="N", help="Decides which images belong to which split.")]
NasVal = Annotated[
    int | None, typer.Option(metavar="N", help="Training images set aside for the search; a tenth by default.")
]
Workers = Annotated[int | None, typer.Option(metavar="N", help="Processes; by default one for each processor.")]
Copy = Annotated[bool, typer.Option("--copy-images", help="Copy the images; by default links lead to them.")]
Rest = Annotated[
    str, typer.Option(metavar="NAME", help="The stuff class of the pixels in no mask; void leaves them unlabelled.")
]
Stuff = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="An annotated class that is stuff; may be repeated.")
]
Order = Annotated[
    str, typer.Option(metavar="NAME", help="What lies on top: area, the smaller thing, or file, the later one.")
]
NasShare = Annotated[float, typer.Option("--nas-val", metavar="X", help="Share of the images for the search.")]
ValShare = Annotated[float, typer.Option("--val", metavar="X", help="Share of the images for the final figures.")]
Orientation = Annotated[
    str, typer.Option(metavar="NAME", help="Whether masks are of images turned by their EXIF: apply, or ignore.")
]


@app.command()
def coco(
    folder: Source,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where to write; FOLDER itself by default.")
    ] = None,
    nas_val: Annotated[int, typer.Option(metavar="N", help="Training images set aside for the search.")] = 5000,
    seed: Seed = 0,
    semantic_pngs: Annotated[
        bool, typer.Option("--semantic-pngs", help="Write the PNGs of Auto-Panoptic's reference too.")
    ] = False,
    things: Annotated[
        str, typer.Option(metavar="NAME", help="Where trained things come from: png, or instances (their JSON; --out).")
    ] = "png",
    split: Only = None,
    part: Part = False,
    workers: Workers = None,
) -> None:
    """COCO 2017: check it, and write the search's split."""
    from autopanoptic.panoptic.data.converters.coco import convert_coco

    chosen: Any = things
    only: Any = split

    def convert(writing: Writing) -> tuple[str, ...]:
        return convert_coco(
            folder,
            out,
            nas_val=nas_val,
            seed=seed,
            semantic_pngs=semantic_pngs,
            things=chosen,
            split=only,
            whole=not part,
            writing=writing,
        )

    _run(folder if out is None else out, convert, workers, split=split)


@app.command()
def ade20k(
    folder: Source,
    out: Out,
    nas_val: NasVal = None,
    seed: Seed = 0,
    split: Only = None,
    part: Part = False,
    copy_images: Copy = False,
    workers: Workers = None,
) -> None:
    """ADE20K, 100 things and 50 stuff classes: ADEChallengeData2016, or the full release of 2021."""
    from autopanoptic.panoptic.data.converters.ade20k import convert_ade20k

    only: Any = split

    def convert(writing: Writing) -> tuple[str, ...]:
        return convert_ade20k(folder, out, nas_val=nas_val, seed=seed, split=only, whole=not part, writing=writing)

    _run(out, convert, workers, copy_images, split)


@app.command()
def cityscapes(
    folder: Source,
    out: Out,
    annotations: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="What of gtFine is read: instance-ids, panoptic (of createPanopticImgs) or auto."
        ),
    ] = "auto",
    train_ids: Annotated[bool, typer.Option("--train-ids", help="Number the categories 0 to 18.")] = False,
    nas_val: NasVal = None,
    seed: Seed = 0,
    split: Only = None,
    part: Part = False,
    copy_images: Copy = False,
    workers: Workers = None,
) -> None:
    """Cityscapes with fine annotations, 8 things and 11 stuff classes."""
    from autopanoptic.panoptic.data.converters.cityscapes import convert_cityscapes

    chosen: Any = annotations
    only: Any = split

    def convert(writing: Writing) -> tuple[str, ...]:
        return convert_cityscapes(
            folder,
            out,
            annotations=chosen,
            train_ids=train_ids,
            nas_val=nas_val,
            seed=seed,
            split=only,
            whole=not part,
            writing=writing,
        )

    _run(out, convert, workers, copy_images, split)


@app.command()
def instances(
    annotations: Annotated[Path, typer.Argument(metavar="JSON", help="COCO instances: polygons or RLE.")],
    images: Annotated[Path, typer.Option(metavar="DIR", help="The folder of the images.")],
    out: Out,
    val_annotations: Annotated[
        Path | None, typer.Option(metavar="JSON", help="Those of val, which is drawn otherwise.")
    ] = None,
    val_images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Their images, if these lie elsewhere.")
    ] = None,
    rest: Rest = "background",
    stuff: Stuff = None,
    order: Order = "area",
    nas_val: NasShare = 0.1,
    val: ValShare = 0.1,
    seed: Seed = 0,
    orientation: Orientation = "apply",
    copy_images: Copy = False,
    workers: Workers = None,
) -> None:
    """Your own data: a COCO instance JSON, as annotation tools export it."""
    from autopanoptic.panoptic.data.converters.instances import convert_instances

    def convert(writing: Writing) -> tuple[str, ...]:
        own = _own(rest, stuff, order, nas_val, val, seed, orientation)
        return convert_instances(
            annotations,
            images,
            out,
            val_annotations=val_annotations,
            val_images=val_images,
            own=own,
            writing=writing,
        )

    _run(out, convert, workers, copy_images)


@app.command()
def labelme(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="labelme's JSONs, and the images beside them.")],
    out: Out,
    images: Annotated[Path | None, typer.Option(metavar="DIR", help="The images, if these lie elsewhere.")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A class; repeated, all in their order, so that others are refused."),
    ] = None,
    val_folder: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The JSONs of val, which is drawn otherwise.")
    ] = None,
    rest: Rest = "background",
    stuff: Stuff = None,
    order: Order = "area",
    nas_val: NasShare = 0.1,
    val: ValShare = 0.1,
    seed: Seed = 0,
    orientation: Orientation = "apply",
    copy_images: Copy = False,
    workers: Workers = None,
) -> None:
    """Your own data: a folder of labelme's JSONs."""
    from autopanoptic.panoptic.data.converters.labelme import convert_labelme

    def convert(writing: Writing) -> tuple[str, ...]:
        own = _own(rest, stuff, order, nas_val, val, seed, orientation)
        return convert_labelme(
            folder, out, images=images, labels=label, val_folder=val_folder, own=own, writing=writing
        )

    _run(out, convert, workers, copy_images)


def _own(
    rest: str, stuff: list[str] | None, order: Any, nas_val: float, val: float, seed: int, orientation: Any
) -> OwnData:
    from autopanoptic.panoptic.data.converters.own_data import OwnData

    named = None if rest == "void" else rest
    return OwnData(named, tuple(stuff or ()), order, nas_val, val, seed, orientation)


def _run(out: Path, convert: Convert, workers: int | None, copy_images: bool = False, split: str | None = None) -> None:
    """Convert, show what has come of it, and tell what comes next."""
    from autopanoptic.panoptic.data.converters.writing.dataset import Writing

    console = Console()
    processes = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        with _bar(console) as progress:
            remarks = convert(Writing(processes if workers is None else workers, copy_images, progress)) or ()
        _show(console, out, remarks, split)
    except KeyboardInterrupt:
        typer.echo("\nInterrupted. What is converted is kept: give the same command again to go on.")
        raise typer.Exit(130) from None


@contextmanager
def _bar(console: Console) -> Iterator[Callable[[int, int], None]]:
    from autopanoptic.panoptic.training.bars import bar

    with bar(console, "converting") as progress:
        yield progress


def _show(console: Console, out: Path, remarks: tuple[str, ...], split: str | None) -> None:
    """Open the data set by the reader of all runs, and print what is in it, and what of it is missing."""
    for remark in remarks[:SHOWN]:
        console.print(f"Warning: {remark}", style="yellow", markup=False)
    if len(remarks) > SHOWN:
        console.print(f"... and {len(remarks) - SHOWN} more", style="yellow")
    datasets = _opened(out, split)
    table = Table("split", "images", "segments of things", "of stuff")
    for name, dataset in datasets.items():
        things = [category.id for category in dataset.categories.things]
        found = sum(int((dataset.annotations.category_ids == i).sum()) for i in things)
        table.add_row(name, f"{len(dataset):,}", f"{found:,}", f"{len(dataset.annotations.category_ids) - found:,}")
    console.print(table)
    categories = next(iter(datasets.values())).categories
    console.print(f"{len(categories.things)} thing and {len(categories.stuff)} stuff classes", highlight=False)
    console.print(_next(out, split), markup=False, highlight=False, soft_wrap=True)


def _opened(out: Path, split: str | None) -> dict[str, CocoPanoptic]:
    from autopanoptic.panoptic.data.coco.layout import Splits, find_split, find_splits

    if split == "val":
        return {"val": find_split(out, "val").open()}
    if split == "train":
        train = find_split(out, "train")
        datasets = Splits(train, find_split(out, "nas_val"), val=train).open()
        return {"train": datasets.train, "nas_val": datasets.nas_val}
    datasets = find_splits(out).open()
    return {"train": datasets.train, "nas_val": datasets.nas_val, "val": datasets.val}


def _next(out: Path, split: str | None) -> str:
    if split == "val":
        return (
            f"Missing: train, without which nothing is trained. Next: autopanoptic panoptic evaluate RUN --data "
            f"{quote(str(out))}"
        )
    if split == "train":
        return (
            "Missing: val, which every run needs too. When it is there, convert both into another folder, without "
            "--split train"
        )
    return f"Next: autopanoptic panoptic run --data {quote(str(out))}"
