"""Which images of a training split are set aside for the search."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LARGEST_CUT = 5000
"""Images of COCO's train split that the paper sets aside for the search."""


def default_cut(images: int) -> int:
    """Returns how many of so many images are set aside for the search: a tenth, at least 1 and at most 5,000."""
    return min(LARGEST_CUT, max(images // 10, 1))


def drawn(image_ids: npt.NDArray[np.int64] | npt.NDArray[np.str_], count: int, seed: int) -> list[int]:
    """Draws images, as positions in the list of their ids.

    The draw depends on the seed and the ids, not on their order.
    """
    by_id = np.argsort(image_ids)
    chosen: list[int] = np.random.default_rng(seed).permutation(by_id)[:count].tolist()
    return chosen
