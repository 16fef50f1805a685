"""From a folder of images to batches, each a function of the seed and its number alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import cast

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from autopanoptic.panoptic.data.coco.images import read_image
from autopanoptic.panoptic.data.loading.normalization import IMAGENET, Normalization
from autopanoptic.panoptic.data.loading.sampler import Draw, StepBatches
from autopanoptic.panoptic.pretraining.recipe import PretrainingRecipe
from autopanoptic.panoptic.training.hardware import Hardware


@dataclass(frozen=True, eq=False)
class ImageBatch:
    """B images of one size with their classes; bytes travel, and are normalised where the batch is.

    Attributes:
        pixels: (B, 3, S, S) uint8, RGB, in torch's ``channels_last`` memory format.
        labels: (B,) int64.
        normalization: From pixels to images.
    """

    pixels: Tensor
    labels: Tensor
    normalization: Normalization

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def images(self) -> Tensor:
        """(B, 3, S, S) float32, normalised, ``channels_last``, made where the batch is."""
        return self.normalization(self.pixels)

    def to(self, device: torch.device | str) -> ImageBatch:
        """Returns the batch on a device; waits for no copy to a GPU, whose later work does."""
        waits_not = torch.device(device).type == "cuda"
        pixels, labels = (one.to(device, non_blocking=waits_not) for one in (self.pixels, self.labels))
        return ImageBatch(pixels, labels, self.normalization)

    def pin_memory(self) -> ImageBatch:
        """Returns the batch in page-locked memory; loaders call this."""
        return ImageBatch(self.pixels.pin_memory(), self.labels.pin_memory(), self.normalization)


def _collate(examples: Sequence[tuple[Tensor, int]], normalization: Normalization) -> ImageBatch:
    pixels = torch.stack([image.permute(1, 2, 0) for image, _ in examples]).permute(0, 3, 1, 2)
    return ImageBatch(pixels, torch.tensor([label for _, label in examples]), normalization)


class _Images(Dataset[tuple[Tensor, int]]):
    """Images of a split, (3, S, S) uint8: by index the centre, by `Draw` a random part."""

    def __init__(self, folder: ImageFolder, recipe: PretrainingRecipe) -> None:
        self._samples: list[tuple[str, int]] = folder.samples
        size, jitter = recipe.image_size, recipe.jitter
        self._random = v2.Compose([
            v2.RandomResizedCrop(size, scale=(recipe.least_area, 1.0), antialias=True),
            v2.ColorJitter(brightness=jitter, contrast=jitter, saturation=jitter),
            v2.RandomHorizontalFlip(recipe.flip),
        ])  # fmt: skip
        self._centre = v2.Compose([v2.Resize(recipe.side, antialias=True), v2.CenterCrop(size)])

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, key: int | Draw) -> tuple[Tensor, int]:
        path, label = self._samples[key.image if isinstance(key, Draw) else key]
        image = torch.from_numpy(read_image(Path(path))).permute(2, 0, 1)
        if not isinstance(key, Draw):
            return self._centre(image), label
        with drawing_from(key.seed):
            return self._random(image), label


@contextmanager
def drawing_from(seed: tuple[int, ...]) -> Iterator[None]:
    """Have torchvision's transforms draw from a seed, and leave torch's generator as it was."""
    # They take no generator of their own. The CPU's is all that they draw from.
    before = torch.default_generator.get_state()
    try:
        torch.default_generator.manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1))
        yield
    finally:
        torch.default_generator.set_state(before)


def random_batches(
    folder: ImageFolder, recipe: PretrainingRecipe, seed: int, start: int, stop: int, *, rank: int = 0, world: int = 1,
    workers: int = 0, pin_memory: bool = False, normalization: Normalization = IMAGENET,
) -> DataLoader[ImageBatch]:  # fmt: skip
    """Return batches ``start`` to ``stop`` of a training: augmented, in a new order each epoch.

    Batch k depends on (seed, k) alone, whatever the number of workers and the step that the loader starts at.

    Args:
        folder: The training split.
        recipe: Size of a batch and augmentation.
        seed: Non-negative.
        start: The first step.
        stop: One past the last step.
        rank: This process, of `world`; it gets every world-th image of each batch.
        world: Processes that share the batches.
        workers: Processes that load images; 0 loads in this one.
        pin_memory: Whether to load into page-locked memory.
        normalization: Of the images.
    """
    unsorted = np.ones((len(folder.samples), 2), dtype=np.int64)
    sampler = StepBatches(
        unsorted, recipe.batch_size, seed, start=start, stop=stop, group=False, rank=rank, world=world
    )  # fmt: skip
    return DataLoader(
        cast("Dataset[ImageBatch]", _Images(folder, recipe)), batch_sampler=sampler, num_workers=workers,
        pin_memory=pin_memory, collate_fn=partial(_collate, normalization=normalization),
    )  # fmt: skip


def ordered_batches(
    folder: ImageFolder, recipe: PretrainingRecipe, workers: int = 0, normalization: Normalization = IMAGENET
) -> DataLoader[ImageBatch]:
    """Return every image once, in order: its centre, as large as in training, resized by 256 / 224."""
    return DataLoader(
        cast("Dataset[ImageBatch]", _Images(folder, recipe)), batch_size=recipe.batch_size, num_workers=workers,
        collate_fn=partial(_collate, normalization=normalization),
    )  # fmt: skip


class ImageBatches(lightning.LightningDataModule):
    """The batches of a training, a chunk an epoch, so that checkpoints lie between epochs and resume exactly.

    Args:
        folder: The training split.
        recipe: Passes, size of a batch and augmentation.
        hardware: Loading processes, and passes between two checkpoints.
        seed: Non-negative.
        normalization: Of the images.
    """

    def __init__(
        self, folder: ImageFolder, recipe: PretrainingRecipe, hardware: Hardware, seed: int,
        normalization: Normalization = IMAGENET,
    ) -> None:  # fmt: skip
        super().__init__()
        self.folder, self.recipe, self.hardware, self.seed = folder, recipe, hardware, seed
        self.normalization = normalization

    @property
    def epochs(self) -> int:
        """Chunks of the whole training."""
        return -(-self.recipe.passes // self.hardware.checkpoint_every)

    def train_dataloader(self) -> DataLoader[ImageBatch]:
        """Return the batches of the chunk that Lightning takes for an epoch."""
        trainer = cast("lightning.Trainer", self.trainer)
        start = trainer.current_epoch * self.hardware.checkpoint_every
        stop = min(start + self.hardware.checkpoint_every, self.recipe.passes)
        return random_batches(
            self.folder, self.recipe, self.seed, start, stop, rank=trainer.global_rank, world=trainer.world_size,
            workers=self.hardware.workers, pin_memory=self.hardware.on_gpu, normalization=self.normalization,
        )  # fmt: skip
