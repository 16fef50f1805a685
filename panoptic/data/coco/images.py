"""Decoding of images of any mode and orientation."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

Pixels: TypeAlias = npt.NDArray[np.uint8]

Orientation: TypeAlias = Literal["apply", "ignore"]
"""What to do with the orientation that an image's EXIF states: turn the image by it, or read it as it is stored."""
ORIENTATIONS: tuple[Orientation, ...] = get_args(Orientation)

UPRIGHT = 1
"""The orientation of an image that is stored as it is to be seen."""
# What Pillow raises for broken files depends on the format and on the place of the damage.
DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, zlib.error, struct.error, Image.DecompressionBombError)
_EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV")
# Pillow opens 16-bit images of these formats in one mode or the other, depending on its version.
_SIXTEEN_BITS_AS_I = ("PNG", "PPM")


@dataclass(frozen=True, eq=False)
class StoredImage:
    """An image as its file holds it.

    Attributes:
        pixels: (H, W, 3) RGB, not turned.
        orientation: The EXIF's, 1 to 8 (1: as it is to be seen); 1 without EXIF. Other numbers mean nothing.
    """

    pixels: Pixels
    orientation: int

    def turned(self) -> Pixels:
        """Returns the image as it is to be seen; orientations 5 to 8 exchange height and width."""
        return np.ascontiguousarray(_turn(self.pixels, self.orientation))


def read_image(path: str | Path, orientation: Orientation = "apply") -> Pixels:
    """Decodes an image to (H, W, 3) RGB.

    Grey images of 16 bits (PNG, TIFF, PGM) are scaled, 0..65535 to 0..255; transparency is dropped.

    Args:
        path: The file.
        orientation: ``"apply"`` turns the image by its EXIF orientation, as viewers and most annotation tools
            do; ``"ignore"`` reads it as it is stored.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not an image, is damaged or truncated, or is of a mode without a range of its
            own (32-bit integers, floats) or without RGB.
    """
    stored = read_stored(Path(path))
    return stored.turned() if orientation == "apply" else stored.pixels


def read_stored(path: Path) -> StoredImage:
    """Decodes an image as it is stored; raises as `read_image`."""
    try:
        # Given a path, Pillow maps uncompressed TIFFs into memory, with wrong rows where height and width change.
        with path.open("rb") as file, Image.open(file) as image:
            # Pillow turns TIFFs, and only these, when it loads them; and it finds a PNG's EXIF only then.
            before = _orientation(image) if isinstance(image, TiffImageFile) else None
            image.load()
            after = _orientation(image)
            if not _is_readable(image):
                raise _RefusedMode(image.mode)
            pixels = _sixteen_bits(image) if _is_wide(image) else _eight_bits(image)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such file") from None
    except _RefusedMode as refused:
        raise ValueError(f"{path}: has the mode {refused} ({_why(str(refused))}); convert it to 8-bit RGB") from None
    except DECODING_ERRORS as error:
        raise undecodable(path, error) from error
    if before is not None and before != after:
        return StoredImage(np.ascontiguousarray(_turn_back(pixels, before)), before)
    return StoredImage(pixels, after)


def undecodable(path: Path, error: Exception) -> ValueError:
    """Return the error of a file that Pillow has failed to read, which it may name by its own objects."""
    why = "of no known format" if isinstance(error, UnidentifiedImageError) else str(error)
    return ValueError(f"{path}: cannot be decoded ({why}); the file is damaged or not an image")


class _RefusedMode(Exception):
    """Not among the decoding errors, whose message would call the file damaged."""


def _why(mode: str) -> str:
    if mode in ("I", "F"):
        kind = "32-bit integers" if mode == "I" else "floats"
        return f"{kind}, whose range from black to white no file states"
    return "which has no conversion to RGB"


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation; 0 where it is no number or the EXIF cannot be read."""
    try:
        # In a TIFF they are the same tags, but only these tell whether Pillow has turned it.
        tags = image.tag_v2 if isinstance(image, TiffImageFile) else image.getexif()
        value = tags.get(ExifTags.Base.Orientation, UPRIGHT)
    except DECODING_ERRORS:
        return 0
    return value if isinstance(value, int) else 0


def _is_readable(image: Image.Image) -> bool:
    return image.mode in _EIGHT_BITS or _is_wide(image)


def _is_wide(image: Image.Image) -> bool:
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format in _SIXTEEN_BITS_AS_I)


def _eight_bits(image: Image.Image) -> Pixels:
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))  # which would copy it


def _sixteen_bits(image: Image.Image) -> Pixels:
    """Scales grey values of 16 bits, or of fewer in TIFFs that say so, to 0..255, rounded."""
    tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    brightest = 2 ** tags.get(ExifTags.Base.BitsPerSample, (16,))[0] - 1
    values = np.array(image).astype(np.int64)
    if tags.get(ExifTags.Base.PhotometricInterpretation) == 0:
        values = brightest - values  # "white is zero", which Pillow inverts for 8 bits only
    grey = ((values * 510 + brightest) // (2 * brightest)).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


# Whether rows and columns are exchanged, then whether the rows, then the columns run backwards (Exif 2.32, 4.6.4).
_TURNS = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def _turn(pixels: Pixels, orientation: int) -> Pixels:
    """Turns stored pixels, (H, W, 3), as an orientation says; one that means nothing leaves them."""
    exchanged, rows_back, columns_back = _TURNS.get(orientation, _TURNS[UPRIGHT])
    turned = pixels.swapaxes(0, 1) if exchanged else pixels
    return turned[:: -1 if rows_back else 1, :: -1 if columns_back else 1]


def _turn_back(pixels: Pixels, orientation: int) -> Pixels:
    """The inverse of `_turn`."""
    return _turn(pixels, {6: 8, 8: 6}.get(orientation, orientation))
