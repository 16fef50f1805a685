import io
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from autopanoptic.panoptic.data.coco.images import read_image, read_stored

ORIENTATION = 0x0112
# Each format with the modes that Pillow writes in it without loss.
LOSSLESS = [
    *(("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    *(("TIFF", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16")),
    *(("WEBP", mode) for mode in ("RGB", "RGBA")),
]


def an_image(rng, mode, height, width):
    if mode == "I;16":
        return Image.fromarray(rng.integers(0, 65536, (height, width), dtype=np.uint16))
    rgb = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    image = rgb.convert("P", palette=Image.Palette.ADAPTIVE) if mode == "P" else rgb.convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.fromarray(rng.integers(0, 256, (height, width), dtype=np.uint8)))
    return image


def saved(path, image, kind, orientation=None):
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    if orientation is not None:
        options["exif"] = exif_of(orientation)
    image.save(path, format=kind, **options)
    return path


def exif_of(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def plain(image):
    """The RGB of an image in memory, 16 bits scaled to 8 by floating point."""
    if image.mode == "I;16":
        grey = np.floor(np.array(image) / 65535 * 255 + 0.5).astype(np.uint8)
        return np.stack([grey] * 3, axis=2)
    return np.array(image.convert("RGB"))


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kind=st.sampled_from(LOSSLESS),
    orientation=st.sampled_from([None, *range(0, 10), 200]),
)
def test_images_of_every_mode_and_orientation(tmp_path_factory, seed, size, kind, orientation):
    image = an_image(np.random.default_rng(seed), kind[1], *size)
    path = saved(tmp_path_factory.mktemp("image") / "a", image, kind[0], orientation)
    upright = image.copy()
    upright.getexif()[ORIENTATION] = orientation or 1
    turned = ImageOps.exif_transpose(upright)
    np.testing.assert_array_equal(read_image(path), plain(turned))
    np.testing.assert_array_equal(read_image(path, "apply"), plain(turned))
    np.testing.assert_array_equal(read_image(path, "ignore"), plain(image))
    stated = 1 if orientation is None else orientation
    assert read_stored(path).orientation == stated


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpegs_are_turned(tmp_path, mode, orientation):
    image = an_image(np.random.default_rng(0), mode, 9, 17)
    bare = read_image(saved(tmp_path / "a.jpg", image, "JPEG"))
    path = saved(tmp_path / "b.jpg", image, "JPEG", orientation)
    np.testing.assert_array_equal(read_image(path, "ignore"), bare)
    by_pillow = Image.fromarray(bare)
    by_pillow.getexif()[ORIENTATION] = orientation
    np.testing.assert_array_equal(read_image(path), np.array(ImageOps.exif_transpose(by_pillow)))
    assert (read_image(path).shape == bare.shape) == (orientation < 5)


def test_a_photograph_upside_down_is_turned(tmp_path):
    image = Image.fromarray(np.repeat(np.array([[0, 255]], np.uint8), 8, 0))
    path = saved(tmp_path / "a.jpg", image, "JPEG", 3)
    assert read_image(path)[:, 0].min() > 200
    assert read_image(path, "ignore")[:, 0].max() < 55


def test_damaged_exif_does_not_cost_the_image(tmp_path):
    image = an_image(np.random.default_rng(0), "RGB", 4, 5)
    image.save(tmp_path / "a.png", exif=b"Exif\x00\x00no TIFF at all")
    stored = read_stored(tmp_path / "a.png")
    assert stored.orientation == 0
    np.testing.assert_array_equal(stored.turned(), np.array(image))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_a_ramp_of_16_bits_keeps_its_percentiles(tmp_path, kind):
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    path = saved(tmp_path / "ramp", Image.fromarray(ramp), kind)
    grey = read_image(path)
    assert np.percentile(grey, [0, 25, 50, 75, 100]).round().tolist() == [0, 64, 128, 191, 255]
    assert np.unique(grey).size == 256
    assert (np.diff(grey[:, :, 0].ravel().astype(int)) >= 0).all()


def test_tiffs_of_big_endian_16_bits(tmp_path):
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    image = Image.frombytes("I;16B", (256, 256), ramp.astype(">u2").tobytes())
    np.testing.assert_array_equal(
        read_image(saved(tmp_path / "b.tif", image, "TIFF")),
        read_image(saved(tmp_path / "l.tif", Image.fromarray(ramp), "TIFF")),
    )


def a_tiff(bits, photometric, data, width):
    """A little-endian TIFF of one row and one strip."""
    entries = [
        (256, width), (257, 1), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1), (278, 1),
        (279, len(data)),
    ]  # fmt: skip
    content = b"II*\x00" + (8 + len(data)).to_bytes(4, "little") + data + len(entries).to_bytes(2, "little")
    for tag, value in entries:
        content += b"".join(n.to_bytes(size, "little") for n, size in ((tag, 2), (4, 2), (1, 4), (value, 4)))
    return io.BytesIO(content + bytes(4)).getvalue()


def test_tiffs_of_12_bits_and_of_white_as_zero(tmp_path):
    twelve = tmp_path / "12.tif"
    twelve.write_bytes(a_tiff(12, 1, bytes([0x00, 0x0F, 0xFF, 0x80, 0x00, 0x00]), 4))
    assert read_image(twelve)[0, :, 0].tolist() == [0, 255, 128, 0]
    white = tmp_path / "white.tif"
    white.write_bytes(a_tiff(16, 0, np.array([0, 65535, 32768], "<u2").tobytes(), 3))
    assert read_image(white)[0, :, 0].tolist() == [255, 0, 127]


@pytest.mark.parametrize(
    ("pixels", "mode"), [(np.arange(6, dtype=np.int32), "I"), (np.linspace(0, 1, 6, dtype=np.float32), "F")]
)
def test_images_without_a_range_are_refused(tmp_path, pixels, mode):
    path = saved(tmp_path / "depth.tif", Image.fromarray(pixels.reshape(2, 3)), "TIFF")
    with pytest.raises(ValueError, match=rf"depth\.tif: has the mode {mode} \(.*convert it to 8-bit RGB"):
        read_image(path)


def test_modes_without_rgb_are_refused_by_name(tmp_path):
    path = saved(tmp_path / "lab.tif", Image.new("LAB", (3, 2)), "TIFF")
    with pytest.raises(ValueError, match=r"lab\.tif: has the mode LAB \(which has no conversion to RGB"):
        read_image(path)


def test_images_too_large_to_be_honest_are_named(tmp_path, monkeypatch):
    path = saved(tmp_path / "bomb.png", Image.new("L", (100, 100)), "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match=r"bomb\.png: cannot be decoded \(Image size \(10000 pixels\)"):
        read_image(path)


def test_missing_file():
    with pytest.raises(FileNotFoundError, match=r"none\.png: there is no such file"):
        read_image(Path("none.png"))


def test_a_text_is_refused_in_words(tmp_path):
    path = tmp_path / "text.jpg"
    path.write_text("hello")
    said = f"{path}: cannot be decoded (of no known format); the file is damaged or not an image"
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        read_image(path)
