"""Decoding of PNGs whose colours are segment ids."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from autopanoptic.panoptic.data.coco.images import DECODING_ERRORS
from autopanoptic.panoptic.data.segments import rgb_to_id

_BIT_DEPTH = 24
"""Where a PNG's header holds the bits of a channel."""


def read_ids(path: Path) -> npt.NDArray[np.uint32]:
    """Decodes a panoptic PNG to (H, W) segment ids, R + 256 G + 256^2 B; 0 is void.

    An EXIF orientation is not applied: ids are data, which every reader of the format takes as they are stored.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not an RGB PNG of 8 bits a channel, or is damaged or truncated.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such file") from None
    return rgb_to_id(_colors(content, path))


def _colors(content: bytes, path: Path) -> npt.NDArray[np.uint8]:
    """Decodes by Pillow, which knows every PNG there is."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            fault = _fault(image, content)
            colors = np.zeros((0, 0, 3), np.uint8) if fault else np.array(image.convert("RGB"))
    except DECODING_ERRORS as error:
        raise ValueError(f"{path}: cannot be decoded ({error}); the file is damaged or not an image") from error
    if fault:
        raise ValueError(f"{path}: {fault}; a panoptic PNG is RGB of 8 bits, with id = R + 256 G + 256^2 B")
    return colors


def _fault(image: Image.Image, content: bytes) -> str | None:
    """Why an image cannot hold ids, if it cannot."""
    if image.format != "PNG":
        return f"is a {image.format} file, not a PNG"
    if image.mode not in ("RGB", "RGBA"):
        return f"has the mode {image.mode}"
    # Pillow would keep the upper byte of each channel only.
    if content[_BIT_DEPTH] != 8:
        return f"holds {content[_BIT_DEPTH]} bits a channel"
    return None
