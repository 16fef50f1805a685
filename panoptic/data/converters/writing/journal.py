"""The converted images of a split: each PNG with a line in a journal, from which an interrupted run goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image

from autopanoptic.panoptic.data.converters.writing.conversion import Conversion, segments_info
from autopanoptic.panoptic.data.converters.writing.workers import work
from autopanoptic.panoptic.data.segments import id_to_rgb

Record: TypeAlias = "dict[str, Any]"


def convert_all(
    conversions: Sequence[Conversion],
    pngs: Path,
    journal: Path,
    *,
    workers: int,
    moved: Callable[[int], None],
) -> tuple[list[Record], list[str]]:
    """Convert the images that the journal does not have yet.

    Args:
        conversions: The images, of different ``png_file``.
        pngs: The folder for the PNGs.
        journal: The journal; it is made if it is not there.
        workers: Processes.
        moved: Called with the number of images done, after each one.

    Returns:
        A record for each converted image, in the order of the conversions: ``image`` and ``annotation`` as in a
        COCO panoptic JSON, and ``remarks``; and why the others could not be converted.
    """
    pngs.mkdir(parents=True, exist_ok=True)
    records = _read(journal, pngs)
    left = [conversion for conversion in conversions if conversion.png_file not in records]
    problems = []
    moved(len(conversions) - len(left))
    with journal.open("a", encoding="utf-8") as lines:
        outcomes = work(partial(_convert, pngs), left, workers)
        for done, (conversion, outcome) in enumerate(zip(left, outcomes, strict=True), start=1):
            if outcome.result is None:
                problems.append(str(outcome.problem))
            else:
                records[conversion.png_file] = outcome.result
                lines.write(json.dumps(outcome.result) + "\n")
                lines.flush()
            moved(len(conversions) - len(left) + done)
    return [records[c.png_file] for c in conversions if c.png_file in records], problems


def _read(journal: Path, pngs: Path) -> dict[str, Record]:
    """Return the journal's records by PNG, and cut off a last line that was not written to its end."""
    if not journal.is_file():
        return {}
    content = journal.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        os.truncate(journal, len(whole))
    records = {record["annotation"]["file_name"]: record for record in map(json.loads, whole.splitlines())}
    return {name: record for name, record in records.items() if (pngs / name).is_file()}


def _convert(pngs: Path, conversion: Conversion) -> Record:
    converted = conversion.convert()
    height, width = converted.ids.shape
    segments = segments_info(converted)
    save_png(Image.fromarray(id_to_rgb(converted.ids)), pngs / conversion.png_file)
    name = {"id": conversion.image_id, "file_name": conversion.image_file}
    return {
        "image": {**name, "height": height, "width": width},
        "annotation": {
            "image_id": conversion.image_id,
            "file_name": conversion.png_file,
            "segments_info": segments,
        },
        "remarks": list(converted.remarks),
    }


def save_png(image: Image.Image, path: Path) -> None:
    """Write a PNG whole or not at all."""
    partly = path.with_name(f".{path.name}.partial")
    image.save(partly, format="PNG")
    os.replace(partly, path)
