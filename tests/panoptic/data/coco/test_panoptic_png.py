import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from autopanoptic.panoptic.data.coco.panoptic_png import read_ids
from autopanoptic.panoptic.data.segments import id_to_rgb


def a_png(rows, width, *, bits=8, color=2, extra=b""):
    """A PNG of these rows, each with its filter byte in front."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, len(rows), bits, color, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(("color", "channels"), [(2, 3), (6, 4)])
def test_16_bits_a_channel_are_refused_as_such(tmp_path, color, channels):
    path = tmp_path / "deep.png"
    path.write_bytes(a_png([bytes([0]) + bytes(2 * channels * 3)] * 2, 3, bits=16, color=color))
    with pytest.raises(ValueError, match=r"deep\.png: holds 16 bits a channel; a panoptic PNG is RGB of 8 bits"):
        read_ids(path)


@pytest.mark.parametrize(("mode", "message"), [("L", "has the mode L"), ("P", "has the mode P"), ("I;16", "mode I;16")])
def test_other_modes_are_refused(tmp_path, mode, message):
    Image.new(mode, (3, 2)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=rf"a\.png: .*{message}; a panoptic PNG is RGB"):
        read_ids(tmp_path / "a.png")


def test_a_jpeg_holds_no_ids(tmp_path):
    Image.new("RGB", (3, 2)).save(tmp_path / "a.png", format="JPEG")
    with pytest.raises(ValueError, match=r"a\.png: is a JPEG file, not a PNG"):
        read_ids(tmp_path / "a.png")


def test_an_orientation_does_not_turn_ids(tmp_path):
    ids = np.array([[1, 2, 70000], [3, 0, 256]])
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(id_to_rgb(ids)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_ids(tmp_path / "a.png"), ids)


def test_transparency_is_no_part_of_an_id(tmp_path):
    ids = np.array([[1, 2, 70000], [3, 0, 256]])
    image = Image.fromarray(id_to_rgb(ids))
    image.putalpha(Image.fromarray(np.array([[0, 1, 2], [3, 255, 128]], np.uint8)))
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_ids(tmp_path / "a.png"), ids)
