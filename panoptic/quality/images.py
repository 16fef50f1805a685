"""What panoptic quality found on each image, which is what its error over images comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autopanoptic.panoptic.data.categories import Categories


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
