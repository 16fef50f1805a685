"""Compiled inversion of a PNG's filters, from the bytes of RGB rows to packed colours.

PNG specification (third edition), section 9: each row holds differences from a prediction that the row's filter
makes from the pixels to the left, above and above left. In maps of segments nearly all differences are 0, so
that pixels are done in blocks of 8, and blocks of no difference are copied or filled. A pixel is packed as
R + 256 G + 256^2 B; its three bytes are added modulo 256 at once. Importing this module loads numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]
Row = NDArray[np.uint32]

_LOW, _HIGH = np.uint32(0x7F7F7F), np.uint32(0x808080)
_PIXEL = np.uint64(0xFFFFFF)
_ONE, _TWO = np.uint64(1), np.uint64(2)


@njit(cache=True, nogil=True)
def packed(raw: Bytes, height: int, width: int) -> tuple[NDArray[np.uint32], bool]:
    """Returns the packed colours of an RGB image of 8 bits, and whether all filters are known.

    Args:
        raw: (height * (1 + 3 * width),) inflated bytes: of every row its filter, then its differences.
        height: Rows, at least 1.
        width: Pixels of a row, at least 1.

    Returns:
        (height, width) colours, R + 256 G + 256^2 B; and False if a filter is none of 0 to 4.
    """
    blocks, stride = (width + 7) // 8, 1 + 3 * width
    # Rows are done in whole blocks; what the last one writes beyond its row, the next row overwrites.
    colors = np.empty(height * width + 8, np.uint32)
    above = np.zeros(8 * blocks, np.uint32)
    padded = np.zeros(24 * blocks, np.uint8)
    words, differences = padded.view(np.uint64), np.zeros(8, np.uint32)
    for y in range(height):
        _copy(raw[y * stride + 1 : (y + 1) * stride], padded)
        own = colors[y * width : y * width + 8 * blocks]
        kind = raw[y * stride]
        if kind == 0:
            _unfilter_none(words, own, differences)
        elif kind == 1:
            _unfilter_sub(words, own, differences)
        elif kind == 2:
            _unfilter_up(words, own, above, differences)
        elif kind == 3:
            _unfilter_average(words, own, above, differences)
        elif kind == 4:
            _unfilter_paeth(words, own, above, differences)
        else:
            return colors[: height * width].reshape(height, width), False
        above = own
    return colors[: height * width].reshape(height, width), True


@njit(cache=True, nogil=True)
def _copy(source: NDArray[Any], target: NDArray[Any]) -> None:
    # numba compiles this loop to vector instructions, an assignment of slices not.
    for i in range(source.size):
        target[i] = source[i]


@njit(cache=True, nogil=True)
def _is_zero(words: Words, block: int) -> bool:
    """Whether the 8 pixels of a block, three words, hold no difference."""
    first = np.uint64(3) * np.uint64(block)
    return bool(words[first] | words[first + _ONE] | words[first + _TWO] == 0)


@njit(cache=True, nogil=True)
def _unpack(words: Words, block: int, differences: Row) -> None:
    """Cuts the three words of a block into the packed differences of its 8 pixels."""
    first = np.uint64(3) * np.uint64(block)
    low, middle, high = words[first], words[first + _ONE], words[first + _TWO]
    differences[0] = low & _PIXEL
    differences[1] = (low >> np.uint64(24)) & _PIXEL
    differences[2] = (low >> np.uint64(48) | middle << np.uint64(16)) & _PIXEL
    differences[3] = (middle >> np.uint64(8)) & _PIXEL
    differences[4] = (middle >> np.uint64(32)) & _PIXEL
    differences[5] = (middle >> np.uint64(56) | high << np.uint64(8)) & _PIXEL
    differences[6] = (high >> np.uint64(16)) & _PIXEL
    differences[7] = high >> np.uint64(40)


@njit(cache=True, nogil=True)
def _add(color: np.uint32, difference: np.uint32) -> np.uint32:
    """Adds three bytes modulo 256; the upper bits are added without carry."""
    total: np.uint32 = ((color & _LOW) + (difference & _LOW)) ^ ((color ^ difference) & _HIGH)
    return total


@njit(cache=True, nogil=True)
def _unfilter_none(words: Words, own: Row, differences: Row) -> None:
    for block in range(np.uint64(own.size // 8)):
        start = np.uint64(8) * block
        _unpack(words, block, differences)
        for i in range(np.uint64(8)):
            own[start + i] = differences[i]


@njit(cache=True, nogil=True)
def _unfilter_sub(words: Words, own: Row, differences: Row) -> None:
    left = np.uint32(0)
    for block in range(np.uint64(own.size // 8)):
        start = np.uint64(8) * block
        if _is_zero(words, block):
            for i in range(np.uint64(8)):
                own[start + i] = left
            continue
        _unpack(words, block, differences)
        for i in range(np.uint64(8)):
            left = _add(left, differences[i])
            own[start + i] = left


@njit(cache=True, nogil=True)
def _unfilter_up(words: Words, own: Row, above: Row, differences: Row) -> None:
    for block in range(np.uint64(own.size // 8)):
        start = np.uint64(8) * block
        if _is_zero(words, block):
            for i in range(np.uint64(8)):
                own[start + i] = above[start + i]
            continue
        _unpack(words, block, differences)
        for i in range(np.uint64(8)):
            own[start + i] = _add(above[start + i], differences[i])


@njit(cache=True, nogil=True)
def _unfilter_average(words: Words, own: Row, above: Row, differences: Row) -> None:
    left = np.uint32(0)
    for block in range(np.uint64(own.size // 8)):
        start = np.uint64(8) * block
        _unpack(words, block, differences)
        for i in range(np.uint64(8)):
            up = above[start + i]
            # Of each byte (left + up) / 2, rounded down, without a ninth bit.
            average = (left & up) + (((left ^ up) >> np.uint32(1)) & _LOW)
            left = _add(average, differences[i])
            own[start + i] = left


@njit(cache=True, nogil=True)
def _unfilter_paeth(words: Words, own: Row, above: Row, differences: Row) -> None:
    left, corner = np.uint32(0), np.uint32(0)
    for block in range(np.uint64(own.size // 8)):
        start = np.uint64(8) * block
        if _is_zero(words, block):
            # Where left and corner agree, the prediction is what is above, and they agree again.
            if left == corner:
                for i in range(np.uint64(8)):
                    own[start + i] = above[start + i]
                left = corner = above[start + np.uint64(7)]
                continue
            # Where what is above agrees with the corner, it is what is left.
            change = np.uint32(0)
            for i in range(np.uint64(8)):
                change |= above[start + i] ^ corner
            if change == 0:
                for i in range(np.uint64(8)):
                    own[start + i] = left
                continue
        _unpack(words, block, differences)
        for i in range(np.uint64(8)):
            up = above[start + i]
            left = _add(_paeth(left, up, corner), differences[i])
            corner = up
            own[start + i] = left


@njit(cache=True, nogil=True)
def _paeth(left: np.uint32, up: np.uint32, corner: np.uint32) -> np.uint32:
    """Of each byte the one of three that is nearest to left + up - corner."""
    if (left == corner) | (up == corner) | (left == up):
        return up if left == corner else left
    color = np.uint32(0)
    for channel in range(3):
        shift = np.uint32(8 * channel)
        a, b, c = _byte(left, shift), _byte(up, shift), _byte(corner, shift)
        from_a, from_b, from_c = abs(b - c), abs(a - c), abs(a + b - 2 * c)
        nearest = a if from_a <= from_b and from_a <= from_c else (b if from_b <= from_c else c)
        color |= np.uint32(nearest) << shift
    return color


@njit(cache=True, nogil=True)
def _byte(color: np.uint32, shift: np.uint32) -> np.int32:
    return np.int32((color >> shift) & np.uint32(255))
