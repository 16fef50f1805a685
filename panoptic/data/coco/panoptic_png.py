"""Decoding of PNGs whose colours are segment ids.

Plain PNGs (RGB, 8 bits, not interlaced, with at most 255 segments: nearly all there are) are inflated by
libdeflate and unfiltered by a compiled kernel, some ten times as fast as by Pillow. Pillow decodes the others and
says what is wrong with damaged ones.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from deflate import DeflateError, zlib_decompress
from PIL import Image

from autopanoptic.panoptic.data.coco.images import DECODING_ERRORS, undecodable
from autopanoptic.panoptic.data.segments import rgb_to_id

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PLAIN = [8, 2, 0, 0, 0]
"""Bits, colour type RGB, compression, filters and interlacing of a plain PNG's header."""
MAX_PIXELS = 2**28
"""Of a plain PNG, where Pillow has no limit."""
_BIT_DEPTH = 24
"""Where a PNG's header holds the bits of a channel."""


def read_ids(path: Path) -> npt.NDArray[np.uint32]:
    """Decodes a panoptic PNG to (H, W) segment ids, R + 256 G + 256^2 B; 0 is void.

    An EXIF orientation is not applied: ids are data, which every reader of the format takes as they are stored.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not an RGB PNG of 8 bits a channel, or is damaged or truncated.
    """
    content = _read(path)
    coded = _decode_plain(content)
    return rgb_to_id(_colors(content, path)) if coded is None else coded.decoded()


class CodedIds(NamedTuple):
    """A map of segment ids in bytes, a quarter of its size, and measured in half the time.

    Attributes:
        codes: (H, W) uint8, each pixel's index in ids.
        ids: (n,) uint32, each once; the first is void, 0, whether a pixel holds it or not.
    """

    codes: npt.NDArray[np.uint8]
    ids: npt.NDArray[np.uint32]

    def decoded(self) -> npt.NDArray[np.uint32]:
        """Returns the ids of the pixels, (H, W)."""
        from autopanoptic.panoptic.data.coco.png_filters import decoded

        ids: npt.NDArray[np.uint32] = decoded(self.codes, self.ids)
        return ids


def read_coded_ids(path: Path) -> CodedIds | None:
    """Decodes a plain panoptic PNG; None for one that only `read_ids` can read, or say what is wrong with it.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    return _decode_plain(_read(path))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such file") from None


def _decode_plain(content: bytes) -> CodedIds | None:
    """Decodes a plain PNG; None for any other or a damaged one."""
    plain = _deflated(content)
    if plain is None:
        return None
    height, width, deflated = plain
    size = height * (1 + 3 * width)
    try:
        raw = zlib_decompress(deflated, size)
    except DeflateError:
        return None
    if len(raw) != size:
        return None
    from autopanoptic.panoptic.data.coco.png_filters import coded

    codes, ids, is_valid = coded(np.frombuffer(raw, np.uint8), height, width)
    return CodedIds(codes, ids) if is_valid else None


def _deflated(content: bytes) -> tuple[int, int, bytes] | None:
    """Height, width and compressed rows of a plain PNG whose chunks are whole; None for another."""
    if content[:8] != _SIGNATURE or content[12:16] != b"IHDR" or len(content) < 33:
        return None
    width, height, *kind = struct.unpack_from(">IIBBBBB", content, 16)
    if kind != _PLAIN or not 0 < width * height <= (Image.MAX_IMAGE_PIXELS or MAX_PIXELS):
        return None
    view, parts, start = memoryview(content), [], 8
    while start + 12 <= len(content):
        length, name = struct.unpack_from(">I4s", content, start)
        end = start + 12 + length
        if content[end - 4 : end] != zlib.crc32(view[start + 4 : end - 4]).to_bytes(4, "big"):
            return None
        if name == b"IDAT":
            parts.append(content[start + 8 : end - 4])
        if name == b"IEND":
            return height, width, parts[0] if len(parts) == 1 else b"".join(parts)
        start = end
    return None


def _colors(content: bytes, path: Path) -> npt.NDArray[np.uint8]:
    """Decodes by Pillow, which knows every PNG there is."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            fault = _fault(image, content)
            colors = np.zeros((0, 0, 3), np.uint8) if fault else np.array(image.convert("RGB"))
    except DECODING_ERRORS as error:
        raise undecodable(path, error) from error
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
