"""The commands that measure and use trained networks; loads no torch before they run."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console

from autopanoptic.panoptic.results.given import RUNS

if TYPE_CHECKING:
    from autopanoptic.panoptic.data.coco.images import Orientation
    from autopanoptic.panoptic.model.precision import Precision

Source = Annotated[
    str,
    typer.Argument(metavar="RUN|FOLDER", help="A run, by its name under runs/ or its folder, or a network's folder."),
]
Network = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="One of a run's networks; may be repeated. By default those that it compares."),
]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda.")]
Computing = Annotated[
    str | None, typer.Option(metavar="NAME", help="32-true, or bf16-mixed on a GPU; by default the run's.")
]

Imports = Annotated[
    list[str] | None,
    typer.Option(
        "--import",
        metavar="MODULE",
        help="A module that registers the network's own parts; may be repeated. A run names its own.",
    ),
]


def evaluate(
    source: Source,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Another set, in COCO panoptic format with the same classes."),
    ] = None,
    split: Annotated[str, typer.Option(metavar="NAME", help="train, nas_val or val.")] = "val",
    network: Network = None,
    classes: Annotated[bool, typer.Option("--classes", help="Also a table of every class.")] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the predictions there, in COCO's formats.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write everything measured there, with intervals.")
    ] = None,
    batch_size: Annotated[int, typer.Option(metavar="N", help="Images in a batch.")] = 8,
    workers: Annotated[int, typer.Option(metavar="N", help="Processes that load images.")] = 0,
    orientation: Annotated[
        str | None, typer.Option(metavar="NAME", help="apply or ignore the EXIF orientation of the images of --data.")
    ] = None,
    device: Device = "auto",
    precision: Computing = None,
    imports: Imports = None,
) -> None:
    """Measure trained networks: PQ, AP of boxes and masks, and mIoU, in one pass.

    AP is of the things before they are merged, by pycocotools; mIoU of the semantic branch. Below each figure
    stands its standard error over the images, by the bootstrap; in brackets 95%, paired.
    """
    from autopanoptic.panoptic.model.parts.imports import import_modules
    from autopanoptic.panoptic.trained import evaluate as measuring
    from autopanoptic.panoptic.trained import tables

    console = Console()
    import_modules(imports or ())
    if json_file is not None:
        require_writable(json_file)
    found = measuring.evaluate(
        folder_of(source),
        data=data,
        split=split,
        networks=network or (),
        out=out,
        device=device,
        precision=cast("Precision | None", precision),
        orientation=cast("Orientation | None", orientation),
        batch_size=batch_size,
        workers=workers,
        keep=True,
        console=console,
    )
    console.print(tables.summary(found))
    if len(found.networks) > 1:
        console.print(tables.differences(found))
    for name in found.networks if classes else ():
        console.print(tables.by_class(found, name))
    if out is not None:
        console.print(f"Predictions: {out}/*/{measuring.PREDICTIONS}.json and its PNGs", markup=False, highlight=False)
    if json_file is not None:
        from autopanoptic.panoptic.results.json_files import write_object

        write_object(json_file, found.to_json())
        console.print(f"Everything measured: {json_file}", markup=False, highlight=False)


def predict(
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE|FOLDER...", help="Images, or folders of them.", show_default=False)
    ],
    run: Annotated[
        str, typer.Option(metavar="RUN|FOLDER", help="A run, by its name under runs/ or its folder, or a network's.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the pictures.")],
    network: Annotated[
        str | None, typer.Option(metavar="NAME", help="One of the run's networks; by default the searched one.")
    ] = None,
    score: Annotated[
        float | None, typer.Option(metavar="X", help="Least score of things, 0 to 1; by default the run's.")
    ] = None,
    short_side: Annotated[
        int | None,
        typer.Option(metavar="N", help="Resize images to it for the network; by default as in its training."),
    ] = None,
    longest: Annotated[
        int, typer.Option(metavar="N", help="Shrink images first, so that no side is longer, in pixels.")
    ] = 1600,
    device: Device = "auto",
    precision: Computing = None,
    imports: Imports = None,
) -> None:
    """Draw panoptic pictures of any images with a trained network, with a legend and scores."""
    from autopanoptic.panoptic.model.parts.imports import import_modules
    from autopanoptic.panoptic.trained import predict as drawing

    console = Console()
    import_modules(imports or ())
    drawn = drawing.predict(
        images,
        folder_of(run),
        out,
        network=network,
        score=score,
        short_side=short_side,
        longest=longest,
        device=device,
        precision=cast("Precision | None", precision),
        console=console,
        on_picture=lambda one: console.print(str(one), markup=False, highlight=False, soft_wrap=True),
    )
    console.print(f"Pictures: {len(drawn)} in {out}", markup=False, highlight=False)


def folder_of(source: str) -> Path:
    """Return the folder that is meant: itself where it is a run's or a network's, or else the run of that name."""
    from autopanoptic.panoptic.trained.networks import is_source

    path = Path(source)
    return RUNS / source if (RUNS / source).is_dir() and not is_source(path) else path


def require_writable(path: Path) -> None:
    """Refuse a file that cannot be written before anything is measured."""
    if path.is_dir():
        raise IsADirectoryError(f"--json {path}: is a folder; give a file")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"--json {path}: there is no folder {path.parent}")
    try:
        # Asking for permissions would not tell of file systems that take no files, whoever writes.
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise PermissionError(f"--json {path}: {path.parent} takes no files ({error.strerror})") from error
