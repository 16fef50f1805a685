"""The number of pixels that each pair of a truth's and a prediction's segment has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autopanoptic.panoptic.data.segments import IdMap, PanopticMap

if TYPE_CHECKING:
    import torch


def pair_counts(truth: PanopticMap, prediction: PanopticMap) -> NDArray[np.int64]:
    """Counts the common pixels of all pairs of segments.

    Maps on a CPU are counted by a compiled kernel. When one lies on another device, both are counted
    there by torch, and only the counts are transferred.

    Args:
        truth: T segments.
        prediction: S segments, of the same size in pixels.

    Returns:
        (T + 2, S + 2) pixels: row 0 and column 0 are void, then come the segments in their order; the
        last row and column are ids that belong to no segment.
    """
    device = _device(prediction.ids) or _device(truth.ids)
    if device is not None:
        return _count_with_torch(truth, prediction, device)
    from autopanoptic.panoptic.quality.kernels import count_pairs

    # One width for both, so that few kernels are compiled.
    width = max(truth.numpy().itemsize, prediction.numpy().itemsize)
    counts: NDArray[np.int64] = count_pairs(
        _flat(truth, width), _flat(prediction, width), _known(truth), _known(prediction)
    )
    return counts


def _device(ids: IdMap) -> torch.device | None:
    """Where a tensor lies, if not in the memory of the host."""
    if isinstance(ids, np.ndarray) or ids.device.type == "cpu":
        return None
    return ids.device


def _known(panoptic: PanopticMap) -> NDArray[np.int64]:
    return np.array([0, *(segment.id for segment in panoptic.segments)], dtype=np.int64)


def _flat(panoptic: PanopticMap, width: int) -> NDArray[np.unsignedinteger[Any]]:
    """The ids as a contiguous array of unsigned integers of width bytes.

    Negative ids become large ones, which belong to no segment either.
    """
    ids = panoptic.numpy()
    signed = np.issubdtype(ids.dtype, np.signedinteger)
    return np.ascontiguousarray(ids, dtype=f"{'i' if signed else 'u'}{width}").reshape(-1).view(f"u{width}")


def _count_with_torch(truth: PanopticMap, prediction: PanopticMap, device: torch.device) -> NDArray[np.int64]:
    import torch

    rows, columns = _ranks(truth, device), _ranks(prediction, device)
    shape = (len(truth.segments) + 2, len(prediction.segments) + 2)
    pairs = torch.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1])
    counts: NDArray[np.int64] = pairs.reshape(shape).cpu().numpy()
    return counts


def _ranks(panoptic: PanopticMap, device: torch.device) -> torch.Tensor:
    """The (P,) position of every pixel's id in `_known`, or one past its end."""
    import torch

    known = _known(panoptic)
    order = np.argsort(known)
    keys, ranks = torch.tensor(known[order], device=device), torch.tensor(order, device=device)
    ids = panoptic.ids
    # Copied, because torch warns about sharing the memory of read-only arrays.
    pixels = torch.tensor(ids.astype(np.int64)) if isinstance(ids, np.ndarray) else ids
    pixels = pixels.to(device, torch.int64).flatten()
    place = torch.searchsorted(keys, pixels).clamp_(max=len(known) - 1)
    return torch.where(keys[place] == pixels, ranks[place], len(known))
