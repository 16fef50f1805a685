"""What panoptic quality found on each image, which is what its error over images comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autopanoptic.nas.storage.files import whole
from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.image_id import ImageId


class FoundOnImage(NamedTuple):
    """The categories that were seen on one image, K of them, and what was found of each.

    Attributes:
        places: (K,) indices of the categories.
        iou: (K,) sums of the IoU of true positives.
        hits: (K, 3) true positives, false positives, false negatives.
    """

    places: NDArray[np.int64]
    iou: NDArray[np.float64]
    hits: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ImageCounts:
    """What was found on each of N images, in the order in which they were measured.

    Attributes:
        categories: C of them.
        images: N.
    """

    categories: Categories
    images: Sequence[FoundOnImage]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, part: slice) -> ImageCounts:
        """Return what was found on some of the images."""
        return ImageCounts(self.categories, self.images[part])

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """(N, C, 4) sums of IoU, true positives, false positives and false negatives."""
        values = np.zeros((len(self.images), len(self.categories), 4))
        for row, found in zip(values, self.images, strict=True):
            row[found.places, 0] = found.iou
            row[found.places, 1:] = found.hits
        return values

    @cached_property
    def pq(self) -> NDArray[np.float64]:
        """(N,) PQ of each image alone in percent: the mean over the categories seen there, NaN where none was."""
        segments = self.values[..., 1] + self.values[..., 2:].sum(axis=2) / 2
        seen = segments > 0
        shares = np.divide(self.values[..., 0], segments, out=np.zeros_like(segments), where=seen)
        count = seen.sum(axis=1)
        found: NDArray[np.float64] = np.divide(
            100 * shares.sum(axis=1), count, out=np.full(len(self), np.nan), where=count > 0
        )
        return found

    @cached_property
    def category_pq(self) -> NDArray[np.float64]:
        """(C,) PQ of each category over all images in percent, NaN where it was neither there nor found."""
        iou, true, *wrong = self.values.sum(axis=0).T
        segments = true + sum(wrong) / 2
        found: NDArray[np.float64] = np.divide(
            100 * iou, segments, out=np.full_like(segments, np.nan), where=segments > 0
        )
        return found

    def save(self, path: Path, image_ids: Sequence[ImageId]) -> None:
        """Write what was found on each image as JSON, by the ids of images and categories."""
        ids = [category.id for category in self.categories]
        images = [
            {"id": name, "found": {str(ids[place]): [iou, *hits] for place, iou, hits in _plain(one)}}
            for name, one in zip(image_ids, self.images, strict=True)
        ]
        with whole(path) as partial:
            partial.write_text(json.dumps({"images": images}) + "\n")

    @classmethod
    def load(cls, path: Path, categories: Categories) -> tuple[ImageCounts, list[ImageId]]:
        """Read what `save` wrote.

        Args:
            path: The file.
            categories: Of the data set.

        Returns:
            The counts, and the ids of the images in their order.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is damaged or names other categories; names the file.
        """
        places = {str(category.id): place for place, category in enumerate(categories)}
        try:
            images = json.loads(path.read_bytes())["images"]
            return cls(categories, [_found(one["found"], places) for one in images]), [one["id"] for one in images]
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            raise ValueError(f"{path} does not say what was found on images of these classes: {error!r}") from error


def _plain(found: FoundOnImage) -> Iterator[tuple[int, float, list[int]]]:
    return zip(found.places.tolist(), found.iou.tolist(), found.hits.tolist(), strict=True)


def _found(values: Mapping[str, Any], places: Mapping[str, int]) -> FoundOnImage:
    rows = np.array([values[name] for name in values], dtype=np.float64).reshape(len(values), 4)
    known = np.array([places[name] for name in values], dtype=np.int64)
    return FoundOnImage(known, rows[:, 0], rows[:, 1:].astype(np.int64))
