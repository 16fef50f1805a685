"""The number of pixels that each pair of a truth's and a prediction's segment has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autopanoptic.panoptic.data.segments import IdMap, PanopticMap

if TYPE_CHECKING:
    import torch

DENSE = 1024
"""Segments up to which a table of all pairs is counted in; with more, only the pairs that occur are kept."""
TABLE = 2**16
"""Pairs up to which a device counts in a table of all of them, for which the host waits once."""


class PairCounts(NamedTuple):
    """The pairs of T and S segments that have pixels in common, by rows and then columns.

    Row 0 and column 0 are void, then come the segments in their order; row T + 1 and column S + 1 are ids
    that belong to no segment.

    Attributes:
        rows: (N,)
        columns: (N,)
        pixels: (N,), each at least 1.
        shape: T + 2 and S + 2.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    pixels: NDArray[np.int64]
    shape: tuple[int, int]

    def truth_areas(self) -> NDArray[np.int64]:
        """(T + 2,) pixels of each row."""
        return _sums(self.rows, self.pixels, self.shape[0])

    def prediction_areas(self) -> NDArray[np.int64]:
        """(S + 2,) pixels of each column."""
        return _sums(self.columns, self.pixels, self.shape[1])


def _sums(places: NDArray[np.int64], pixels: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    # Floats are exact up to 2^53 pixels.
    return np.bincount(places, weights=pixels, minlength=length).astype(np.int64)


def pair_counts(truth: PanopticMap, prediction: PanopticMap) -> PairCounts:
    """Counts the common pixels of all pairs of segments.

    Maps on a CPU are counted by a compiled kernel. When one lies on another device, both are counted
    there by torch, and only the counts are transferred. Time and memory grow with the pixels and the
    segments, not with the product of the segments.

    Args:
        truth: T segments.
        prediction: S segments, of the same size in pixels.
    """
    shape = (len(truth.segments) + 2, len(prediction.segments) + 2)
    device = _device(prediction.ids) or _device(truth.ids)
    if device is not None:
        return PairCounts(*_count_with_torch(truth, prediction, device), shape)
    # One width for both, so that few kernels are compiled.
    width = max(truth.numpy().itemsize, prediction.numpy().itemsize)
    maps = _flat(truth, width), _flat(prediction, width)
    from autopanoptic.panoptic.quality.kernels import count_pairs
    from autopanoptic.panoptic.quality.runs import limits_of_runs

    count = count_pairs if max(shape) <= DENSE else _count_sparsely
    return PairCounts(*count(*maps, limits_of_runs(*maps), _known(truth), _known(prediction)), shape)


def _device(ids: IdMap) -> torch.device | None:
    """Where a tensor lies, if not in the memory of the host."""
    if isinstance(ids, np.ndarray) or ids.device.type == "cpu":
        return None
    return ids.device


def _known(panoptic: PanopticMap) -> NDArray[np.int64]:
    return np.array([0, *[segment.id for segment in panoptic.segments]], dtype=np.int64)


def _flat(panoptic: PanopticMap, width: int) -> NDArray[np.unsignedinteger[Any]]:
    """The ids as a contiguous array of unsigned integers of width bytes.

    Negative ids become large ones, which belong to no segment either.
    """
    ids = panoptic.numpy()
    if ids.dtype.kind == "u" and ids.dtype.isnative and ids.itemsize == width and ids.flags.c_contiguous:
        return ids.reshape(-1).view(f"u{width}")
    signed = ids.dtype.kind == "i"
    return np.ascontiguousarray(ids, dtype=f"{'i' if signed else 'u'}{width}").reshape(-1).view(f"u{width}")


def _count_sparsely(
    truth: NDArray[np.unsignedinteger[Any]],
    prediction: NDArray[np.unsignedinteger[Any]],
    limits: NDArray[np.int64],
    truth_ids: NDArray[np.int64],
    prediction_ids: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows, columns and pixels, by sorting the runs of equal pixels."""
    starts, columns = limits[:-1], len(prediction_ids) + 1
    keys = _places(truth_ids, truth[starts]) * columns + _places(prediction_ids, prediction[starts])
    order = np.argsort(keys)
    keys = keys[order]
    firsts = np.flatnonzero(np.diff(keys, prepend=-1))
    pixels = np.add.reduceat(np.diff(limits)[order], firsts) if len(firsts) else firsts
    return keys[firsts] // columns, keys[firsts] % columns, pixels


def _places(known: NDArray[np.int64], ids: NDArray[np.unsignedinteger[Any]]) -> NDArray[np.int64]:
    """The position of every id among those that are known, or one past their end."""
    order = np.argsort(known)
    # Unsigned, because numpy compares int64 with uint64 as floats.
    ordered = known[order].astype(np.uint64)
    places = np.searchsorted(ordered, ids.astype(np.uint64)).clip(max=len(known) - 1)
    return np.where(ordered[places] == ids, order[places], len(known))


def _count_with_torch(
    truth: PanopticMap, prediction: PanopticMap, device: torch.device
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    import torch

    from autopanoptic.panoptic.data.transfers import count_values

    shape = len(truth.segments) + 2, len(prediction.segments) + 2
    keys = _ranks(truth, device) * shape[1] + _ranks(prediction, device)
    if shape[0] * shape[1] <= TABLE:
        table: NDArray[np.int64] = count_values(keys, shape[0] * shape[1]).cpu().numpy()
        (found,) = table.nonzero()
        return found // shape[1], found % shape[1], table[found]
    values, pixels = torch.unique(keys, return_counts=True)
    pairs: NDArray[np.int64] = torch.stack([values // shape[1], values % shape[1], pixels]).cpu().numpy()
    return pairs[0], pairs[1], pairs[2]


def _ranks(panoptic: PanopticMap, device: torch.device) -> torch.Tensor:
    """The (P,) position of every pixel's id in `_known`, or one past its end."""
    import torch

    from autopanoptic.panoptic.data.transfers import on_device, send

    known = _known(panoptic)
    order = np.argsort(known)
    keys, ranks = on_device(known[order], device), on_device(order, device)
    ids = panoptic.ids
    # Copied, because torch warns about sharing the memory of read-only arrays.
    pixels = torch.tensor(ids.astype(np.int64)) if isinstance(ids, np.ndarray) else ids
    pixels = send(pixels, device).long().flatten()
    place = torch.searchsorted(keys, pixels).clamp_(max=len(known) - 1)
    return torch.where(keys[place] == pixels, ranks[place], len(known))
