"""The command that exports trained networks; loads no torch before it runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from autopanoptic.panoptic.trained.commands import Imports, Source, folder_of


def export(
    source: Source,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of what is exported.")],
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="onnx, torch or state-dict; may be repeated. By default onnx.",
            show_default=False,
        ),
    ] = None,
    network: Annotated[
        str | None, typer.Option(metavar="NAME", help="One of the run's networks; by default the searched one.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="HxW",
            help="All images have this height and width in pixels. By default of any, in multiples of 32.",
            show_default=False,
        ),
    ] = None,
    opset: Annotated[
        int, typer.Option(metavar="N", help="Of ONNX; 18 has no operator for deformable convolutions.")
    ] = 20,
    repeats: Annotated[int, typer.Option(metavar="N", help="Times that each graph is timed.")] = 5,
    imports: Imports = None,
) -> None:
    """Export a trained network to ONNX, torch.export or a state dict.

    What is written is compared with torch, and refused where it differs by
    more than 1e-4; both are timed on this machine's CPU.
    """  # fmt: skip
    from autopanoptic.panoptic.export import export as exporting
    from autopanoptic.panoptic.model.parts.imports import import_modules

    console = Console()
    import_modules(imports or ())
    exported = exporting.export(
        folder_of(source),
        out,
        formats=tuple(dict.fromkeys(formats or (exporting.ONNX,))),
        network=network,
        size=None if size is None else _size(size),
        opset=opset,
        repeats=repeats,
        console=console,
    )
    console.print(f"Exported: {exported.network} to {out}", markup=False, highlight=False, soft_wrap=True)


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if found is None:
        raise ValueError(f"--size {text}: give a height and a width in pixels, such as 480x640")
    return int(found[1]), int(found[2])
