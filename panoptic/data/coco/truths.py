"""The annotations of a data set for measuring, decoded once however many networks are measured."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autopanoptic.panoptic.data.coco.panoptic_png import CodedIds
from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.data.segments import PanopticMap

MEMORY = 2**31
"""Bytes up to which decoded annotations are kept, a byte a pixel: some 7,000 images of COCO."""


class Truths:
    """The truth of each image of a data set, decoded when it is first needed and kept from then on.

    In bytes, that is: a pixel of an image with more than 255 segments takes four of them.

    Args:
        dataset: Whose annotations.
        memory: Bytes that may be kept; of a larger set, each truth is decoded again for each network.
    """

    def __init__(self, dataset: CocoPanoptic, memory: int = MEMORY) -> None:
        self.dataset = dataset
        self._is_kept = int(dataset.sizes.prod(axis=1).sum()) <= memory
        self._known: dict[int, CodedIds | npt.NDArray[np.uint32]] = {}

    def __getitem__(self, index: int) -> PanopticMap:
        """Return the same as ``dataset.truth(index)``; raises as that."""
        ids = self._known.get(index)
        if ids is None:
            ids = self.dataset.coded_ids(index)
        if self._is_kept:
            self._known[index] = ids
        decoded = ids.decoded() if isinstance(ids, CodedIds) else ids
        return PanopticMap(decoded, self.dataset.annotations.segments(index))
