"""What was found on each image: its PQ, and as a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autopanoptic.panoptic.data.categories import Categories, Category
from autopanoptic.panoptic.quality.bootstrap import bootstrap
from autopanoptic.panoptic.quality.images import FoundOnImage, ImageCounts

KNOWN = Categories([Category(number, f"c{number}", number < 5, (0, 0, 0)) for number in (2, 3, 7)])


def found(**rows: list[float]) -> FoundOnImage:
    values = np.array(list(rows.values()), dtype=float).reshape(len(rows), 4)
    places = np.array([int(name[1:]) for name in rows], dtype=np.int64)
    return FoundOnImage(places, values[:, 0], values[:, 1:].astype(np.int64))


COUNTS = ImageCounts(KNOWN, [found(p0=[0.8, 1, 0, 0], p2=[0.7, 1, 1, 1]), found(p1=[0, 0, 1, 0]), found()])


def test_pq_of_an_image_is_the_mean_over_its_categories() -> None:
    np.testing.assert_allclose(COUNTS.pq, [100 * (0.8 + 0.35) / 2, 0, np.nan])


def test_a_file_gives_back_what_was_found(tmp_path: Path) -> None:
    path = tmp_path / "a" / "images.json"
    COUNTS.save(path, [5, "frankfurt_1", 7])
    counts, ids = ImageCounts.load(path, KNOWN)
    assert ids == [5, "frankfurt_1", 7]
    np.testing.assert_array_equal(counts.values, COUNTS.values)
    assert bootstrap(counts) == bootstrap(COUNTS)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"images": [{"id": 1}]}', '{"images": [{"id": 1, "found": {"4": [1, 1, 0, 0]}}]}',
             '{"images": [{"id": 1, "found": {"3": [1, 1]}}]}'],
)  # fmt: skip
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "images.json").write_text(text)
    with pytest.raises(ValueError, match=r"images\.json does not say"):
        ImageCounts.load(tmp_path / "images.json", KNOWN)
