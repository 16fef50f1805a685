"""Batches for the panoptic network, and the loaders that make them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypedDict, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from autopanoptic.panoptic.data.categories import VOID
from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.data.image_id import ImageId
from autopanoptic.panoptic.data.loading.sampler import Draw, StepBatches
from autopanoptic.panoptic.data.loading.transforms import Example, Size, Transform


class Target(TypedDict):
    """The things of one image of size h x w, in pixels of the resized image.

    Attributes:
        boxes: (N, 4) float32, x1, y1, x2, y2.
        labels: (N,) int64 in 1..T.
        masks: (N, h, w) bool, without padding.
    """

    boxes: Tensor
    labels: Tensor
    masks: Tensor


@dataclass(frozen=True)
class Batch:
    """B images, padded at the right and the bottom to a common size H x W.

    Attributes:
        images: (B, 3, H, W) float32, normalised; the padding is 0. H and W are multiples of the divisor.
        sizes: Height and width of each image without padding.
        original_sizes: Height and width of each image before resizing.
        targets: The things of each image.
        semantic: (B, H, W) uint8: stuff labels 1..S, 0 for things, 255 for void and padding.
        image_ids: The ids in the JSON.
    """

    images: Tensor
    sizes: list[Size]
    original_sizes: list[Size]
    targets: list[Target]
    semantic: Tensor
    image_ids: list[ImageId]

    def __len__(self) -> int:
        return len(self.image_ids)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """Returns the batch with all tensors on a device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """Returns the batch in page-locked memory; loaders call this."""
        return self._map(lambda tensor: tensor.pin_memory())

    def _map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        targets: list[Target] = [
            {"boxes": function(t["boxes"]), "labels": function(t["labels"]), "masks": function(t["masks"])}
            for t in self.targets
        ]
        images, semantic = function(self.images), function(self.semantic)
        return replace(self, images=images, semantic=semantic, targets=targets)


def collate(examples: Sequence[Example], divisor: int) -> Batch:
    """Pads examples to a common size, a multiple of ``divisor``, and stacks them.

    Raises:
        ValueError: If there are no examples, or the divisor is not positive.
    """
    if not examples or divisor < 1:
        raise ValueError(f"{len(examples)} examples, divisor={divisor}: both must be at least 1")
    sizes = [(int(e.semantic.shape[0]), int(e.semantic.shape[1])) for e in examples]
    height, width = (-(-max(sides) // divisor) * divisor for sides in zip(*sizes, strict=True))
    images = examples[0].image.new_zeros((len(examples), 3, height, width))
    semantic = examples[0].semantic.new_full((len(examples), height, width), VOID)
    for k, (example, (h, w)) in enumerate(zip(examples, sizes, strict=True)):
        images[k, :, :h, :w] = example.image
        semantic[k, :h, :w] = example.semantic
    return Batch(
        images=images,
        sizes=sizes,
        original_sizes=[e.original_size for e in examples],
        targets=[{"boxes": e.boxes, "labels": e.labels, "masks": e.masks} for e in examples],
        semantic=semantic,
        image_ids=[e.image_id for e in examples],
    )


class _Examples(Dataset[Example]):
    """Transformed samples: by index without randomness, by `Draw` with the draw's own."""

    def __init__(self, dataset: CocoPanoptic, transform: Transform) -> None:
        self._dataset, self._transform = dataset, transform

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, key: int | Draw) -> Example:
        if isinstance(key, Draw):
            return self._transform(self._dataset[key.image], np.random.default_rng(key.seed))
        return self._transform(self._dataset[key])


def training_batches(
    dataset: CocoPanoptic,
    transform: Transform,
    *,
    batch_size: int,
    divisor: int,
    seed: int = 0,
    start: int = 0,
    stop: int | None = None,
    group: bool = True,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
    pin_memory: bool = False,
) -> DataLoader[Batch]:
    """Returns the batches of steps ``start`` to ``stop`` (None: endless) of a training run.

    Batch k depends on (seed, k) only, whatever the number of workers and the step the loader starts at. For
    several processes, pass rank and world, and keep Lightning from replacing the sampler
    (``use_distributed_sampler=False``).

    Args:
        dataset: Where samples come from.
        transform: What is done to them; its flip is random.
        batch_size: Images in a batch, over all processes.
        divisor: Images are padded to a multiple of this.
        seed: Decides order and flips; non-negative.
        start: The first step.
        stop: One past the last step.
        group: Whether to keep landscape and portrait images in separate batches.
        rank: This process.
        world: Number of processes.
        workers: Worker processes; 0 loads in this one.
        pin_memory: Whether to load into page-locked memory, for copies to a GPU.

    Raises:
        ValueError: If an argument is out of range.
    """
    sampler = StepBatches(dataset.sizes, batch_size, seed, start=start, stop=stop, group=group, rank=rank, world=world)
    return DataLoader(
        cast("Dataset[Batch]", _Examples(dataset, transform)),
        batch_sampler=sampler,
        collate_fn=partial(collate, divisor=divisor),
        num_workers=workers,
        pin_memory=pin_memory,
    )


def evaluation_batches(
    dataset: CocoPanoptic,
    transform: Transform,
    *,
    batch_size: int,
    divisor: int,
    workers: int = 0,
    pin_memory: bool = False,
) -> DataLoader[Batch]:
    """Returns every image once, in order and without randomness; arguments as of `training_batches`."""
    return DataLoader(
        cast("Dataset[Batch]", _Examples(dataset, transform)),
        batch_size=batch_size,
        collate_fn=partial(collate, divisor=divisor),
        num_workers=workers,
        pin_memory=pin_memory,
    )
