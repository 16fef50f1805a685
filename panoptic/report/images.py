"""Pictures within a page: files and pixels as data URIs."""

from __future__ import annotations

import base64
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from autopanoptic.panoptic.report.blocks import Image

Pixels = npt.NDArray[np.uint8]

QUALITY = 85
"""Of JPEG."""


def drawn(draw: Callable[[Path], object], alt: str) -> Image:
    """Return what a function writes to the PNG file that it is given."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "drawn.png"
        draw(path)
        return of_file(path, alt)


def of_file(path: Path, alt: str) -> Image:
    """Return a PNG file as it is.

    Raises:
        ValueError: If it is none.
    """
    content = path.read_bytes()
    try:
        with Pillow.open(io.BytesIO(content), formats=["PNG"]) as image:
            width, height = image.size
    except OSError as error:
        raise ValueError(f"{path} is no PNG file: {error}") from error
    return Image(_uri(content, "png"), alt, width, height)


def of_pixels(pixels: Pixels, alt: str, *, lossless: bool) -> Image:
    """Return (H, W, 3) RGB pixels as a PNG, or as a JPEG where that may lose something."""
    kind, content = "png" if lossless else "jpeg", io.BytesIO()
    Pillow.fromarray(pixels).save(content, kind, **({"optimize": True} if lossless else {"quality": QUALITY}))
    return Image(_uri(content.getvalue(), kind), alt, pixels.shape[1], pixels.shape[0])


def _uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
