import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from autopanoptic.panoptic.data.coco import panoptic_png
from autopanoptic.panoptic.data.coco.panoptic_png import read_ids
from autopanoptic.panoptic.data.segments import id_to_rgb, rgb_to_id


def a_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def a_png(rows, width, *, bits=8, color=2):
    """A PNG of these rows, each with its filter byte in front."""
    header = struct.pack(">IIBBBBB", width, len(rows), bits, color, 0, 0, 0)
    body = a_chunk(b"IHDR", header) + a_chunk(b"IDAT", zlib.compress(b"".join(rows))) + a_chunk(b"IEND", b"")
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


def by_pillow(content):
    with Image.open(io.BytesIO(content)) as image:
        return rgb_to_id(np.array(image.convert("RGB")))


def mostly_zero(rng, shape):
    """Differences as in maps of segments: whole stretches of zeros."""
    dense = rng.integers(0, 256, shape, dtype=np.uint8)
    kept = rng.random(shape) < rng.choice([0.0, 0.01, 0.1, 1.0])
    return np.where(kept, dense, 0).astype(np.uint8)


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    size=st.tuples(st.integers(1, 6), st.integers(1, 70)),
    filters=st.lists(st.integers(0, 4), min_size=6, max_size=6),
)
def test_every_filter_decodes_as_pillow_does(seed, size, filters):
    height, width = size
    rng = np.random.default_rng(seed)
    rows = [bytes([kind]) + mostly_zero(rng, 3 * width).tobytes() for kind in filters[:height]]
    content = a_png(rows, width)
    expected = by_pillow(content)
    coded = panoptic_png._decode_plain(content)
    colors = set(np.unique(expected).tolist()) | {0}
    assert (coded is None) == (len(colors) > 256)
    if coded is not None:
        assert (coded.codes.dtype, coded.ids.dtype, coded.ids[0]) == (np.uint8, np.uint32, 0)
        assert sorted(coded.ids.tolist()) == sorted(colors)
        np.testing.assert_array_equal(coded.decoded(), expected)
        np.testing.assert_array_equal(coded.ids[coded.codes], expected)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.tuples(st.integers(1, 40), st.integers(1, 90)), level=st.integers(0, 9))
def test_maps_of_segments_survive_pillow(tmp_path_factory, seed, size, level):
    rng = np.random.default_rng(seed)
    listed = rng.integers(0, 2**24, 5)
    ids = np.repeat(np.repeat(rng.choice(listed, size), 7, axis=0), 5, axis=1)[: size[0], : size[1]]
    path = tmp_path_factory.mktemp("png") / "a.png"
    Image.fromarray(id_to_rgb(ids)).save(path, compress_level=level, optimize=bool(level == 9))
    np.testing.assert_array_equal(panoptic_png.read_coded_ids(path).decoded(), ids)
    np.testing.assert_array_equal(read_ids(path), ids)


def a_plain_png(height=5, width=20):
    return a_png([b"\1" + bytes([1, 2, 3]) + bytes(3 * width - 3)] * height, width)


def test_rows_in_several_chunks_and_other_chunks_between(tmp_path):
    content = a_plain_png()
    start = content.index(b"IDAT") - 4
    (length,) = struct.unpack_from(">I", content, start)
    data = content[start + 8 : start + 8 + length]
    parts = [a_chunk(b"IDAT", data[i : i + 7]) for i in range(0, length, 7)]
    cut = content[:start] + a_chunk(b"tEXt", b"a\0b") + b"".join(parts) + content[start + 12 + length :]
    np.testing.assert_array_equal(panoptic_png._decode_plain(cut).decoded(), by_pillow(content))


@pytest.mark.parametrize(
    "image",
    [
        Image.new("RGBA", (20, 5), (1, 2, 3, 4)),
        Image.effect_noise((20, 5), 50).convert("RGB"),
    ],
    ids=["RGBA", "interlaced"],
)
def test_odd_files_are_left_to_pillow(tmp_path, image):
    path = tmp_path / "a.png"
    image.save(path)
    if image.mode == "RGB":
        path.write_bytes(interlaced(np.array(image)))
    assert panoptic_png._decode_plain(path.read_bytes()) is None
    np.testing.assert_array_equal(read_ids(path), rgb_to_id(np.array(image.convert("RGB"))))


def interlaced(pixels):
    """The seven passes of Adam7."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = []
    for top, left, down, right in passes:
        part = pixels[top::down, left::right]
        rows += [b"\0" + row.tobytes() for row in part] if part.shape[1] else []
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(a_chunk(*chunk) for chunk in chunks)


DAMAGES = {
    "an unknown filter": lambda content: a_png([b"\x07" + bytes(60)] * 5, 20),
    "rows missing": lambda content: content.replace(struct.pack(">I", 5), struct.pack(">I", 6), 1),
    "a wrong checksum": lambda content: content[:45] + bytes([content[45] ^ 1]) + content[46:],
    "cut in the rows": lambda content: content[:50],
    "cut in the header": lambda content: content[:20],
    "only a signature": lambda content: content[:8],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_files_are_refused_by_name(tmp_path, damage):
    path = tmp_path / "a.png"
    path.write_bytes(damage(a_plain_png()))
    assert panoptic_png._decode_plain(path.read_bytes()) is None
    with pytest.raises(ValueError, match=r"a\.png: cannot be decoded"):
        read_ids(path)


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, 200), value=st.integers(0, 255), length=st.integers(0, 200))
def test_any_damage_is_refused_or_read_as_pillow_reads_it(tmp_path_factory, place, value, length):
    content = bytearray(a_plain_png())
    content[place % len(content)] = value
    path = tmp_path_factory.mktemp("png") / "a.png"
    path.write_bytes(content[: max(length, len(content) - 4)])
    try:
        ids = read_ids(path)
    except ValueError:
        return
    np.testing.assert_array_equal(ids, by_pillow(path.read_bytes()))


@pytest.mark.parametrize("count", [255, 256, 257, 5000])
def test_more_segments_than_bytes_tell_apart(tmp_path, count):
    ids = np.random.default_rng(0).permutation(2**24 - 1)[:count] + 1
    ids = np.resize(ids, (80, 90))
    Image.fromarray(id_to_rgb(ids)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_ids(tmp_path / "a.png"), ids)
    assert (panoptic_png.read_coded_ids(tmp_path / "a.png") is None) == (count > 255)


def test_a_missing_file_is_named(tmp_path):
    for read in (read_ids, panoptic_png.read_coded_ids):
        with pytest.raises(FileNotFoundError, match=r"none\.png: there is no such file"):
            read(tmp_path / "none.png")
