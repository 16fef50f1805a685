"""Parts of a batch: what a device computes at a time, and what several devices compute of one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist

from autopanoptic.panoptic.data.loading.batch import LabelledBatch
from autopanoptic.panoptic.model.heads.regions import Regions
from autopanoptic.panoptic.model.shares import Counts, Shares


@dataclass(frozen=True)
class BatchPart:
    """Images of a batch, and what their losses are of the whole batch's.

    Attributes:
        batch: The images.
        places: Of the images in the whole batch, over all devices.
        last: Whether no other part of the batch follows on this device.
        regions: Their RoIs, where they are drawn already.
        shares: See `PanopticNetwork.losses`; None where this is the whole batch.
    """

    batch: LabelledBatch
    places: Sequence[int]
    last: bool = True
    regions: Regions | None = None
    shares: Shares | None = None


def parts_of(batch: LabelledBatch, size: int | None, rank: int, world: int) -> list[BatchPart]:
    """Cut what a device has of a batch into parts of at most so many images; None leaves it whole.

    The device has every world-th image of the batch, beginning with that of its rank, as `StepBatches` deals them.
    """
    step = len(batch) if size is None else size
    places = range(rank, rank + world * len(batch), world)
    starts = range(0, len(batch), step)
    return [
        BatchPart(batch[start : start + step], places[start : start + step], start == starts[-1]) for start in starts
    ]


def of_devices(world: int) -> Shares:
    """Return what makes the mean of the devices' losses that of the whole batch; all devices take part in it."""
    return lambda counts: of_whole(summed(counts), world)(counts)


def of_whole(whole: Counts, world: int) -> Shares:
    """Return the shares of parts whose losses are added up on each of so many devices, and averaged over them."""
    return lambda counts: {name: count * world / whole[name].clamp(min=1) for name, count in counts.items()}


def summed(counts: Counts) -> Counts:
    """Return the counts of all devices together."""
    whole = torch.stack(list(counts.values()))
    dist.all_reduce(whole)
    return dict(zip(counts, whole.unbind(), strict=True))


def added(each: Sequence[Counts]) -> Counts:
    """Return the counts of all parts together."""
    return {name: torch.stack([counts[name] for counts in each]).sum() for name in each[0]}
