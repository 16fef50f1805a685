"""Decoding of images and of PNGs whose colours are segment ids."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from autopanoptic.panoptic.data.segments import rgb_to_id

# What Pillow raises for broken files depends on the format and on the place of the damage.
_DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, zlib.error, struct.error)


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """Decodes an image of any mode to (H, W, 3) RGB.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not an image, or is damaged or truncated.
    """
    return _decode(path, modes=None)


def read_ids(path: Path) -> npt.NDArray[np.uint32]:
    """Decodes a panoptic PNG to (H, W) segment ids, R + 256 G + 256^2 B; 0 is void.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not an RGB image, or is damaged or truncated.
    """
    return rgb_to_id(_decode(path, modes=("RGB", "RGBA")))


def _decode(path: Path, modes: tuple[str, ...] | None) -> npt.NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            image.load()
            mode = image.mode
            pixels = np.array(image.convert("RGB") if mode != "RGB" else image)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such file") from None
    except _DECODING_ERRORS as error:
        raise ValueError(f"{path}: cannot be decoded ({error}); the file is damaged or not an image") from error
    if modes is not None and mode not in modes:
        raise ValueError(f"{path}: has the mode {mode}; a panoptic PNG is RGB, with id = R + 256 G + 256^2 B")
    return pixels
