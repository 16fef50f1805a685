"""The picture of a map: its legend says what is there, and its colors are those of the image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from autopanoptic.panoptic.data.categories import Categories, Category
from autopanoptic.panoptic.data.segments import PanopticMap, Segment
from autopanoptic.panoptic.results.overlay import overlay
from autopanoptic.panoptic.trained.pictures import LEGEND, draw_picture, legend

CATEGORIES = Categories(
    [Category(1, "dog", True, (250, 0, 0)), Category(2, "a cat of $2 or $3 and a long name", True, (0, 250, 0)),
     Category(7, "grass", False, (0, 0, 250)), Category(8, "sky", False, (0, 250, 250))]
)  # fmt: skip


def a_map() -> PanopticMap:
    ids = np.full((20, 30), 9, np.uint32)
    ids[:5] = 0
    ids[19, 29] = 8
    segments = [Segment(9, 7, 15 * 30 - 6), Segment(8, 8, 1), Segment(7, 2, 0, score=0.99)]
    for number in range(1, 6):
        ids[10, number] = number
        segments.append(Segment(number, 1, 1, score=number / 10))
    ids[12, 3] = 7
    return PanopticMap(ids, tuple(segments))


def test_the_legend() -> None:
    assert [tuple(row) for row in legend(a_map(), CATEGORIES)] == [
        ((0, 250, 0), "a cat of $2 or $3 a...", "0.99"),
        ((250, 0, 0), "dog x 5", "0.50 0.40 0.30 0.20 ..."),
        ((0, 0, 250), "grass", "74%"),
        ((0, 250, 250), "sky", "<1%"),
        ((255, 255, 255), "void", "25%"),
    ]


def test_the_picture_holds_the_segments_and_the_legend(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    draw_picture(image, a_map(), CATEGORIES, tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as drawn:
        pixels = np.asarray(drawn.convert("RGB"))
    assert pixels.shape == (320, 480 + LEGEND, 3)  # 16 times the image
    expected = overlay(image, a_map(), CATEGORIES, contours=False)
    np.testing.assert_allclose(pixels[320 - 8, 8], expected[19, 0], atol=2)
    np.testing.assert_allclose(pixels[8, 480 - 8], image[0, 29], atol=2)  # void keeps the image
    assert (pixels[:, 480:] == (0, 250, 0)).all(axis=2).any()


def test_many_classes_make_the_picture_higher(tmp_path: Path) -> None:
    many = Categories([Category(i, f"class {i}", False, (i, i, i)) for i in range(1, 61)])
    ids = np.repeat(np.arange(1, 61, dtype=np.uint32), 4).reshape(12, 20)
    draw_picture(
        np.zeros((12, 20, 3), np.uint8), PanopticMap(ids, tuple(Segment(i, i, 4) for i in range(1, 61))), many,
        tmp_path / "x.png",
    )  # fmt: skip
    with Image.open(tmp_path / "x.png") as drawn:
        assert drawn.height > 60 * 20
