"""Compiled inversion of a PNG's filters, from the bytes of RGB rows to codes of their colours.

PNG specification (third edition), section 9: each row holds differences from a prediction that the row's filter
makes from the pixels to the left, above and above left. In maps of segments nearly all differences are 0, so
that pixels are done in blocks of 8, and a block of no difference is filled or copied: as codes, one byte for
each of at most 256 colours, it is a single word. A colour is packed as R + 256 G + 256^2 B; its three bytes are
added modulo 256 at once. Importing this module loads numba.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bytes: TypeAlias = NDArray[np.uint8]
Words: TypeAlias = NDArray[np.uint64]
Colors: TypeAlias = NDArray[np.uint32]
# The colour of every code; how many there are; a hash table: colours by slot, and their codes.
_Palette: TypeAlias = tuple[Colors, NDArray[np.int64], Colors, Bytes]

CODES = 256
_SLOT_BITS = 10
_KNUTH, _SHIFT, _LAST_SLOT = np.uint32(2654435761), np.uint32(32 - _SLOT_BITS), np.uint32((1 << _SLOT_BITS) - 1)
_LOW, _HIGH = np.uint32(0x7F7F7F), np.uint32(0x808080)
_PIXEL, _REPEAT = np.uint64(0xFFFFFF), np.uint64(0x0101010101010101)
_ONE, _TWO, _LAST = np.uint64(1), np.uint64(2), np.uint64(7)


@njit(cache=True, nogil=True)
def coded(raw: Bytes, height: int, width: int) -> tuple[Bytes, Colors, bool]:
    """Decodes an RGB image of 8 bits and at most 256 colours.

    Args:
        raw: (height * (1 + 3 * width),) inflated bytes: of every row its filter, then its differences.
        height: Rows, at least 1.
        width: Pixels of a row, at least 1.

    Returns:
        (height, width) codes; the packed colours of the codes, black first, in the order of appearance; and
        False if there are more colours, or a filter is none of 0 to 4.
    """
    blocks, stride = (width + 7) // 8, 1 + 3 * width
    codes = np.empty(height * width, np.uint8)
    palette = _empty_palette()
    # Whole blocks, whose last pixels may lie beyond the row; the first row has black above.
    above, own = np.zeros(blocks, np.uint64), np.zeros(blocks, np.uint64)
    differences = np.zeros(24 * blocks, np.uint8)
    block_differences, valid = np.zeros(8, np.uint32), True
    for y in range(height):
        kind = raw[y * stride]
        _copy(raw[y * stride + 1 : (y + 1) * stride], differences)
        words = differences.view(np.uint64)
        # A constant kind lets the compiler drop the branches on it from the loop over pixels.
        if kind == 0:
            _unfilter(0, width, words, above, own, block_differences, palette)
        elif kind == 1:
            _unfilter(1, width, words, above, own, block_differences, palette)
        elif kind == 2:
            _unfilter(2, width, words, above, own, block_differences, palette)
        elif kind == 3:
            _unfilter(3, width, words, above, own, block_differences, palette)
        else:
            _unfilter(4, width, words, above, own, block_differences, palette)
        if kind > 4 or palette[1][0] > CODES:
            valid = False
            break
        _copy(own.view(np.uint8)[:width], codes[y * width : (y + 1) * width])
        above, own = own, above
    return codes.reshape(height, width), palette[0][: palette[1][0]], valid


@njit(cache=True, nogil=True)
def decoded(codes: Bytes, colors: Colors) -> Colors:
    """Returns the packed colours, (H, W), of codes, (H, W)."""
    flat, found = codes.reshape(-1), np.empty(codes.size, np.uint32)
    for i in range(flat.size):
        found[i] = colors[flat[i]]
    return found.reshape(codes.shape)


@njit(cache=True, nogil=True)
def _empty_palette() -> _Palette:
    """Holds black, with code 0: so does every free slot of the table."""
    slots = 1 << _SLOT_BITS
    return np.zeros(CODES, np.uint32), np.ones(1, np.int64), np.zeros(slots, np.uint32), np.zeros(slots, np.uint8)


@njit(cache=True, nogil=True)
def _code(color: np.uint32, palette: _Palette) -> np.uint8:
    """The code of a colour, a new one if need be; 0 when there are too many."""
    colors, count, keys, codes = palette
    slot = np.uint32(color * _KNUTH) >> _SHIFT
    while keys[slot] != color:
        if keys[slot] == 0:
            if count[0] >= CODES:
                count[0] = CODES + 1
                return np.uint8(0)
            keys[slot], codes[slot], colors[count[0]] = color, count[0], color
            count[0] += 1
            break
        slot = (slot + np.uint32(1)) & _LAST_SLOT
    code: np.uint8 = codes[slot]
    return code


@njit(cache=True, nogil=True, inline="always")
def _unfilter(
    kind: int, width: int, words: Words, above: Words, own: Words, block_differences: Colors, palette: _Palette
) -> None:
    """Writes the codes of a row, given its differences and the codes above, by blocks of 8."""
    colors, _, keys, slot_codes = palette
    codes, codes_above = own.view(np.uint8), above.view(np.uint8)
    left = corner = np.uint32(0)
    left_code = corner_code = np.uint64(0)
    for block in range(np.uint64(own.size)):
        start = np.uint64(8) * block
        if _is_zero(words, block):
            if kind <= 1:
                own[block] = _REPEAT * left_code if kind == 1 else np.uint64(0)
                continue
            # Paeth predicts what is above where left and corner agree, and then they agree again.
            if kind == 2 or (kind == 4 and left == corner):
                own[block] = above[block]
                left_code = corner_code = np.uint64(codes_above[start + _LAST])
                left = corner = colors[left_code]
                continue
            # It predicts what is left where what is above agrees with the corner.
            if kind == 4 and above[block] == _REPEAT * corner_code:
                own[block] = _REPEAT * left_code
                continue
        _unpack(words, block, block_differences)
        for i in range(np.uint64(8)):
            up = colors[codes_above[start + i]]
            left = _add(_predicted(kind, left, up, corner), block_differences[i])
            corner = up
            slot = np.uint32(left * _KNUTH) >> _SHIFT
            if keys[slot] == left:
                codes[start + i] = slot_codes[slot]
            else:
                # What lies beyond the row gets no code of its own.
                codes[start + i] = _code(left, palette) if start + i < np.uint64(width) else np.uint8(0)
        left_code, corner_code = np.uint64(codes[start + _LAST]), np.uint64(codes_above[start + _LAST])


@njit(cache=True, nogil=True)
def _predicted(kind: int, left: np.uint32, up: np.uint32, corner: np.uint32) -> np.uint32:
    if kind == 4:
        return _paeth(left, up, corner)
    if kind == 2:
        return up
    if kind == 1:
        return left
    if kind == 3:
        # Of each byte (left + up) / 2, rounded down, without a ninth bit.
        return (left & up) + (((left ^ up) >> np.uint32(1)) & _LOW)
    return np.uint32(0)


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
def _unpack(words: Words, block: int, differences: Colors) -> None:
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
