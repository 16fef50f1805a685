"""The loaders of batches: those of a training, as functions of the seed and the step, and those of an evaluation."""

from __future__ import annotations

from functools import partial
from typing import Generic, Literal, TypeVar, cast, overload

import numpy as np
from torch.utils.data import DataLoader, Dataset

from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.data.loading.batch import Batch, LabelledBatch, collate, collate_labelled
from autopanoptic.panoptic.data.loading.sampler import Draw, StepBatches
from autopanoptic.panoptic.data.loading.transforms import Example, LabelledExample, Transform

ExampleT = TypeVar("ExampleT", bound=Example)


class _Examples(Dataset[ExampleT], Generic[ExampleT]):
    """Transformed images: by index without randomness, by `Draw` with the draw's own."""

    def __init__(self, dataset: CocoPanoptic, transform: Transform) -> None:
        self._dataset, self._transform = dataset, transform

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, key: int | Draw) -> ExampleT:
        if isinstance(key, Draw):
            return self._load(key.image, np.random.default_rng(key.seed))
        return self._load(key, None)

    def _load(self, index: int, rng: np.random.Generator | None) -> ExampleT:
        raise NotImplementedError


class _Images(_Examples[Example]):
    """Images alone: no PNG is read."""

    def _load(self, index: int, rng: np.random.Generator | None) -> Example:
        image_id = self._dataset.image_ids[index].item()
        return self._transform.image(self._dataset.pixels(index), image_id, rng)


class _Samples(_Examples[LabelledExample]):
    """Images with their segments."""

    def _load(self, index: int, rng: np.random.Generator | None) -> LabelledExample:
        return self._transform(self._dataset[index], rng)


@overload
def training_batches(
    dataset: CocoPanoptic, transform: Transform, *, batch_size: int, divisor: int, seed: int = 0, start: int = 0,
    stop: int | None = None, group: bool = True, rank: int = 0, world: int = 1, workers: int = 0,
    pin_memory: bool = False, labelled: Literal[True] = True,
) -> DataLoader[LabelledBatch]: ...  # fmt: skip


@overload
def training_batches(
    dataset: CocoPanoptic, transform: Transform, *, batch_size: int, divisor: int, seed: int = 0, start: int = 0,
    stop: int | None = None, group: bool = True, rank: int = 0, world: int = 1, workers: int = 0,
    pin_memory: bool = False, labelled: Literal[False],
) -> DataLoader[Batch]: ...  # fmt: skip


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
    labelled: bool = True,
) -> DataLoader[LabelledBatch] | DataLoader[Batch]:
    """Returns the batches of steps ``start`` to ``stop`` (None: endless) of a training run.

    Batch k depends on (seed, k) only, whatever the number of workers and the step the loader starts at; each of
    several processes gets its part of it, padded to the size that the part needs. Pass them rank and world, and keep
    Lightning from replacing the sampler (``use_distributed_sampler=False``).

    Args:
        dataset: Where samples come from.
        transform: What is done to them; its augmentation is random.
        batch_size: Images in a batch, over all processes.
        divisor: Images are padded to a multiple of this.
        seed: Decides order and augmentation; non-negative.
        start: The first step.
        stop: One past the last step.
        group: Whether to keep images of other aspect ratios in separate batches.
        rank: This process.
        world: Number of processes.
        workers: Worker processes; 0 loads in this one.
        pin_memory: Whether to load into page-locked memory, for copies to a GPU.
        labelled: Whether with the truth; without it, the same images come without reading it.

    Raises:
        ValueError: If an argument is out of range.
    """
    if workers and labelled:
        _load_kernels()
    sampler = StepBatches(dataset.sizes, batch_size, seed, start=start, stop=stop, group=group, rank=rank, world=world)
    examples = _Samples(dataset, transform) if labelled else _Images(dataset, transform)
    made = collate_labelled if labelled else collate
    return DataLoader(
        cast("Dataset[Batch]", examples),
        batch_sampler=sampler,
        collate_fn=partial(made, divisor=divisor, normalization=transform.normalization),
        num_workers=workers,
        pin_memory=pin_memory,
    )


def _load_kernels() -> None:
    """Load the compiled code that reads segments; workers are forked anew for each chunk, and would load it each."""
    from autopanoptic.panoptic.data.coco.png_filters import coded
    from autopanoptic.panoptic.data.extents import extents

    # Read-only, as the bytes of a file are: numba compiles for that apart.
    coded(np.frombuffer(bytes(4), np.uint8), 1, 1)
    extents(np.zeros((1, 1), np.uint8), 1)


def evaluation_batches(
    dataset: CocoPanoptic,
    transform: Transform,
    *,
    batch_size: int,
    divisor: int,
    workers: int = 0,
    pin_memory: bool = False,
) -> DataLoader[Batch]:
    """Returns every image once, in order and without randomness or truth; arguments as of `training_batches`."""
    return DataLoader(
        cast("Dataset[Batch]", _Images(dataset, transform)),
        batch_size=batch_size,
        collate_fn=partial(collate, divisor=divisor, normalization=transform.normalization),
        num_workers=workers,
        pin_memory=pin_memory,
    )
