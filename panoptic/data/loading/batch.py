"""Batches for the panoptic network: bytes, from which images, masks and maps are made on the device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import accumulate
from typing import Any, TypedDict, TypeVar

import torch
from torch import Tensor

from autopanoptic.panoptic.data.categories import VOID
from autopanoptic.panoptic.data.image_id import ImageId
from autopanoptic.panoptic.data.loading.masks import ThingMasks, window_of
from autopanoptic.panoptic.data.loading.normalization import Normalization
from autopanoptic.panoptic.data.loading.placement import Size
from autopanoptic.panoptic.data.loading.transforms import Example, LabelledExample

BatchT = TypeVar("BatchT", bound="Batch")


class Target(TypedDict):
    """The things of one image of size h x w, in pixels of the resized image.

    Attributes:
        boxes: (N, 4) float32, x1, y1, x2, y2.
        labels: (N,) int64 in 1..T.
        masks: Of the image without padding.
    """

    boxes: Tensor
    labels: Tensor
    masks: ThingMasks


@dataclass(frozen=True, eq=False)
class Batch:
    """B images, padded at the right and the bottom to a common size H x W.

    Attributes:
        pixels: (B, 3, H, W) uint8, RGB, in torch's ``channels_last`` memory format; the padding is 0. H and W are
            multiples of the divisor.
        sizes: Height and width of each image without padding.
        original_sizes: Height and width of each image before resizing.
        image_ids: The ids in the JSON.
        normalization: From pixels to images.
    """

    pixels: Tensor
    sizes: list[Size]
    original_sizes: list[Size]
    image_ids: list[ImageId]
    normalization: Normalization

    def __len__(self) -> int:
        return len(self.image_ids)

    @cached_property
    def images(self) -> Tensor:
        """(B, 3, H, W) float32, normalised, ``channels_last``, made where the batch is; the padding is 0."""
        images = self.normalization(self.pixels)
        for image, (height, width) in zip(images, self.sizes, strict=True):
            image[:, height:].zero_()
            image[:, :height, width:].zero_()
        return images

    def to(self: BatchT, device: torch.device | str) -> BatchT:
        """Returns the batch with all tensors on a device; waits for no copy to a GPU, whose later work does."""
        device = torch.device(device)
        return self._map(lambda tensor: tensor.to(device, non_blocking=device.type == "cuda"))

    def pin_memory(self: BatchT) -> BatchT:
        """Returns the batch in page-locked memory; loaders call this."""
        return self._map(lambda tensor: tensor.pin_memory())

    def owned(self: BatchT) -> BatchT:
        """Returns the batch in memory of its own, for one that is kept.

        What a loader's processes give lies in memory that they share, of which each tensor holds an open file.
        """
        return self._map(_owned)

    def _map(self: BatchT, function: Callable[[Tensor], Tensor]) -> BatchT:
        each = ((one.name, getattr(self, one.name)) for one in fields(self))
        moved: dict[str, Any] = {name: function(value) for name, value in each if isinstance(value, Tensor)}
        return replace(self, **moved)


@dataclass(frozen=True, eq=False)
class LabelledBatch(Batch):
    """B images with their segments, of which N are things, over all images.

    Attributes:
        numbers: (B, H, W) each pixel's segment, 0 for void and padding; uint8, or int32 where an image has more than
            255 segments.
        semantic_labels: (B, K) uint8, the semantic label of each image's segments by number.
        things: (N,) int64, numbers of the things.
        labels: (N,) int64 in 1..T.
        boxes: (N, 4) float32, x1, y1, x2, y2.
        counts: How many things each image has.
        windows: The size of each image's `ThingMasks.window`.
    """

    numbers: Tensor
    semantic_labels: Tensor
    things: Tensor
    labels: Tensor
    boxes: Tensor
    counts: list[int]
    windows: list[Size]

    def __getitem__(self, part: slice) -> LabelledBatch:
        """Returns some of the images, padded as they are here."""
        edges = [0, *accumulate(self.counts)]
        start, stop, _ = part.indices(len(self))
        own = {name: slice(edges[start], edges[stop]) for name in ("things", "labels", "boxes")}
        kept = {
            one.name: getattr(self, one.name)[own.get(one.name, slice(start, stop))]
            for one in fields(self)
            if one.name != "normalization"
        }
        return replace(self, **kept)

    @cached_property
    def semantic(self) -> Tensor:
        """(B, H, W) uint8: stuff labels 1..S, 0 for things, 255 for void and padding; made where the batch is."""
        labels = self.semantic_labels.gather(1, self.numbers.flatten(1).long())
        return labels.view(self.numbers.shape)

    @cached_property
    def targets(self) -> list[Target]:
        """The things of each image."""
        parts = (torch.split(values, self.counts) for values in (self.things, self.labels, self.boxes))
        each = zip(self.numbers, self.sizes, self.windows, *parts, strict=True)
        return [
            {"boxes": boxes, "labels": labels, "masks": ThingMasks(numbers[:h, :w], things, boxes, window)}
            for numbers, (h, w), window, things, labels, boxes in each
        ]


def _owned(tensor: Tensor) -> Tensor:
    shared: bool = tensor.is_shared()  # type: ignore[no-untyped-call]
    return tensor.clone() if shared and not tensor.is_cuda else tensor


def kept(batches: Iterable[BatchT]) -> list[BatchT]:
    """Returns all batches, to be gone through again and again; however many they are, they hold no open files."""
    return [batch.owned() for batch in batches]


def collate(examples: Sequence[Example], divisor: int, normalization: Normalization) -> Batch:
    """Pads images to a common size, a multiple of ``divisor``, and stacks them.

    Raises:
        ValueError: If there are no examples, or the divisor is not positive.
    """
    height, width = _padded_size(examples, divisor)
    pixels = torch.zeros((len(examples), height, width, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    for padded, example in zip(pixels, examples, strict=True):
        h, w = example.size
        padded[:, :h, :w] = example.image
    return Batch(
        pixels=pixels,
        sizes=[e.size for e in examples],
        original_sizes=[e.original_size for e in examples],
        image_ids=[e.image_id for e in examples],
        normalization=normalization,
    )


def collate_labelled(examples: Sequence[LabelledExample], divisor: int, normalization: Normalization) -> LabelledBatch:
    """Does as `collate`, with the segments."""
    batch, truths = collate(examples, divisor, normalization), [e.truth for e in examples]
    height, width = batch.pixels.shape[-2:]
    is_wide = any(truth.numbers.dtype != torch.uint8 for truth in truths)
    numbers = torch.zeros((len(truths), height, width), dtype=torch.int32 if is_wide else torch.uint8)
    semantic = torch.full((len(truths), max(len(truth.semantic_labels) for truth in truths)), VOID, dtype=torch.uint8)
    for padded, labels, truth, (h, w) in zip(numbers, semantic, truths, batch.sizes, strict=True):
        padded[:h, :w] = truth.numbers
        labels[: len(truth.semantic_labels)] = truth.semantic_labels
    return LabelledBatch(
        **{one.name: getattr(batch, one.name) for one in fields(batch)},
        numbers=numbers,
        semantic_labels=semantic,
        things=torch.cat([truth.things for truth in truths]),
        labels=torch.cat([truth.labels for truth in truths]),
        boxes=torch.cat([truth.boxes for truth in truths]),
        counts=[len(truth.things) for truth in truths],
        windows=[window_of(truth.boxes, truth.size) for truth in truths],
    )


def _padded_size(examples: Sequence[Example], divisor: int) -> Size:
    if not examples or divisor < 1:
        raise ValueError(f"{len(examples)} examples, divisor={divisor}: both must be at least 1")
    height, width = (-(-max(sides) // divisor) * divisor for sides in zip(*(e.size for e in examples), strict=True))
    return height, width
