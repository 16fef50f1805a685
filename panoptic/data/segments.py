"""Panoptic maps: every pixel's segment id, and what each segment is.

In files, the COCO panoptic format stores a segment id as the color of a PNG pixel:
``id = R + 256 * G + 256 ** 2 * B``, and id 0 is void.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

MAX_ID = 256**3 - 1
"""The largest segment id that three color channels can hold."""

IdMap: TypeAlias = "NDArray[np.integer[Any]] | torch.Tensor"


@dataclass(frozen=True)
class Segment:
    """One segment of a panoptic map.

    Attributes:
        id: The value of its pixels in the map, 1 to 2**24 - 1.
        category_id: The id of its category, as in the data set's JSON.
        area: Its size in pixels, as its source states it (a truth's JSON may be wrong about it).
        iscrowd: Whether it covers a group of things that are not told apart.
        score: The confidence of a predicted thing, 0 to 1; None for stuff and truths.
    """

    id: int
    category_id: int
    area: float
    iscrowd: bool = False
    score: float | None = None


@dataclass(frozen=True, eq=False)
class PanopticMap:
    """The panoptic segmentation of one image.

    Attributes:
        ids: (H, W) integers, each pixel's segment id; 0 is void. A numpy array or a torch tensor.
        segments: The segments, each id once. Their agreement with the pixels is checked where maps
            are read or measured, not here.

    Raises:
        ValueError: When ids is not a two-dimensional map of integers, or a segment's id is out of
            range or occurs twice.
    """

    ids: IdMap
    segments: tuple[Segment, ...]

    def __post_init__(self) -> None:
        if self.ids.ndim != 2 or not _holds_integers(self.ids):
            raise ValueError(f"ids must be an (H, W) map of integers, not {tuple(self.ids.shape)} of {self.ids.dtype}")
        seen = [segment.id for segment in self.segments]
        if len(set(seen)) != len(seen):
            twice = next(value for value, count in Counter(seen).items() if count > 1)
            raise ValueError(f"segment id {twice} occurs more than once; give every segment its own id")
        if seen and not 1 <= min(seen) <= max(seen) <= MAX_ID:
            wrong = next(value for value in seen if not 1 <= value <= MAX_ID)
            raise ValueError(f"segment id {wrong} is not in 1..{MAX_ID} (0 is void)")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.ids.shape
        return int(height), int(width)

    def numpy(self) -> NDArray[np.integer[Any]]:
        """The ids as a numpy array, (H, W); shares memory with a tensor on the CPU."""
        if isinstance(self.ids, np.ndarray):
            return self.ids
        array: NDArray[np.integer[Any]] = self.ids.detach().cpu().numpy()
        return array


def rgb_to_id(rgb: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Decodes the colors of a COCO panoptic PNG.

    Args:
        rgb: (H, W, 3) colors.

    Returns:
        (H, W) segment ids, R + 256 * G + 256**2 * B.

    Raises:
        ValueError: When rgb is not an (H, W, 3) array of uint8.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"colors must be (H, W, 3) of uint8, not {rgb.shape} of {rgb.dtype}")
    red, green, blue = (rgb[:, :, channel].astype(np.uint32) for channel in range(3))
    return (red | green << 8 | blue << 16).astype(np.uint32, copy=False)


def id_to_rgb(ids: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """Encodes segment ids as the colors of a COCO panoptic PNG.

    Args:
        ids: (H, W) segment ids, 0 to 2**24 - 1.

    Returns:
        (H, W, 3) colors.

    Raises:
        ValueError: When ids is not two-dimensional or not of integers, or an id does not fit.
    """
    if ids.ndim != 2 or not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(f"ids must be an (H, W) map of integers, not {ids.shape} of {ids.dtype}")
    if ids.size and (ids.min() < 0 or ids.max() > MAX_ID):
        raise ValueError(f"ids range over {ids.min()}..{ids.max()}, but a PNG holds 0..{MAX_ID} only")
    wide = ids.astype(np.uint32)
    return np.stack([wide & 255, wide >> 8 & 255, wide >> 16], axis=2).astype(np.uint8)


def _holds_integers(ids: IdMap) -> bool:
    if isinstance(ids, np.ndarray):
        return bool(np.issubdtype(ids.dtype, np.integer))
    return not (ids.is_floating_point() or ids.is_complex() or str(ids.dtype) == "torch.bool")
