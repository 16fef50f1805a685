"""From a folder of images to batches, each a function of the seed and its number alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
from autopanoptic.panoptic.data.loading.normalization import IMAGENET
from autopanoptic.panoptic.data.loading.sampler import Draw, StepBatches
from autopanoptic.panoptic.pretraining.recipe import PretrainingRecipe
from autopanoptic.panoptic.training.hardware import Hardware

ImageBatch = tuple[Tensor, Tensor]
"""Images (B, 3, S, S) float32, normalised, and labels (B,) int64."""


class _Images(Dataset[tuple[Tensor, int]]):
    """Images of a split: by index the centre, by `Draw` a random part."""

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
            return IMAGENET(self._centre(image)), label
        with drawing_from(key.seed):
            return IMAGENET(self._random(image)), label


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
    workers: int = 0, pin_memory: bool = False,
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
    """
    unsorted = np.ones((len(folder.samples), 2), dtype=np.int64)
    sampler = StepBatches(
        unsorted, recipe.batch_size, seed, start=start, stop=stop, group=False, rank=rank, world=world
    )  # fmt: skip
    return DataLoader(
        cast("Dataset[ImageBatch]", _Images(folder, recipe)), batch_sampler=sampler, num_workers=workers,
        pin_memory=pin_memory,
    )  # fmt: skip


def ordered_batches(folder: ImageFolder, recipe: PretrainingRecipe, workers: int = 0) -> DataLoader[ImageBatch]:
    """Return every image once, in order: its centre, as large as in training, resized by 256 / 224."""
    return DataLoader(
        cast("Dataset[ImageBatch]", _Images(folder, recipe)), batch_size=recipe.batch_size, num_workers=workers
    )


class ImageBatches(lightning.LightningDataModule):
    """The batches of a training, a chunk an epoch, so that checkpoints lie between epochs and resume exactly.

    Args:
        folder: The training split.
        recipe: Passes, size of a batch and augmentation.
        hardware: Loading processes, and passes between two checkpoints.
        seed: Non-negative.
    """

    def __init__(self, folder: ImageFolder, recipe: PretrainingRecipe, hardware: Hardware, seed: int) -> None:
        super().__init__()
        self.folder, self.recipe, self.hardware, self.seed = folder, recipe, hardware, seed

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
            workers=self.hardware.workers, pin_memory=self.hardware.on_gpu,
        )  # fmt: skip
