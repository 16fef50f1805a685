"""Which images form batch k of a training run, as a function of the seed and k alone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler

WINDOW = 32
"""Batches within which images are grouped by aspect."""
ASPECTS = 2.0 ** (np.arange(-3, 4) / 3)
"""Width / height at which one group ends and the next begins."""


class Draw(NamedTuple):
    """An image's place in a training run, which also decides its augmentation.

    Attributes:
        image: The image's index in the data set.
        seed: Entropy for ``numpy.random.default_rng``.
    """

    image: int
    seed: tuple[int, ...]


class StepBatches(Sampler[list[Draw]]):
    """Batches of a training run, counted in steps: batch k depends on the seed and k alone.

    So a run resumes at any step, with any number of workers, and sees what it would have seen. The images come in
    a new random order each epoch, without gaps between epochs: after m batches, any two images have been drawn
    equally often, give or take one window. Within windows of 32 batches, images of other aspect ratios are kept
    apart (but for a mixed batch between two groups), which saves padding. The groups are those of torchvision's
    detection training: thirds of a doubling of width / height, from 1/2 to 2.

    Args:
        sizes: (n, 2) height and width of every image.
        batch_size: Images in a batch, over all processes.
        seed: Non-negative.
        start: The first step.
        stop: One past the last step; None for no end.
        group: Whether to keep aspect ratios apart.
        rank: This process, of `world`; it gets every world-th image of each batch.
        world: Processes that share the batches.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        sizes: npt.NDArray[np.int64],
        batch_size: int,
        seed: int = 0,
        *,
        start: int = 0,
        stop: int | None = None,
        group: bool = True,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if len(sizes) == 0 or batch_size < 1 or seed < 0:
            raise ValueError(
                f"{len(sizes)} images, batch_size={batch_size}, seed={seed}: "
                "at least one image, a batch of at least 1 and a seed of at least 0 are needed"
            )
        if start < 0 or (stop is not None and stop < start):
            raise ValueError(f"start={start}, stop={stop}: 0 <= start <= stop is needed")
        if not 0 <= rank < world or batch_size % world:
            raise ValueError(
                f"rank={rank}, world={world}, batch_size={batch_size}: "
                "rank must lie in 0..world - 1, and the processes must share a batch evenly"
            )
        self._aspect = np.searchsorted(ASPECTS, sizes[:, 1] / sizes[:, 0], side="right")
        self._batch_size, self._seed, self._group = batch_size, seed, group
        self._start, self._stop = start, stop
        self._rank, self._world = rank, world
        self._cached: tuple[int, npt.NDArray[np.int64]] | None = None

    def __iter__(self) -> Iterator[list[Draw]]:
        steps = count(self._start) if self._stop is None else range(self._start, self._stop)
        return (self.batch(step) for step in steps)

    def __len__(self) -> int:
        """Steps from start to stop; TypeError if there is no end."""
        if self._stop is None:
            raise TypeError("a run without `stop` has no length")
        return self._stop - self._start

    def batch(self, step: int) -> list[Draw]:
        """Returns this process's part of batch ``step``."""
        row = self._window(step // WINDOW)[step % WINDOW].tolist()
        draws = [Draw(image, (self._seed, step, place)) for place, image in enumerate(row)]
        return draws[self._rank :: self._world]

    def _window(self, window: int) -> npt.NDArray[np.int64]:
        if self._cached is None or self._cached[0] != window:
            self._cached = window, self._draw_window(window)
        return self._cached[1]

    def _draw_window(self, window: int) -> npt.NDArray[np.int64]:
        """Returns the images of 32 batches, (32, batch_size)."""
        length = WINDOW * self._batch_size
        images = self._stream(window * length, length)
        if not self._group:
            return images.reshape(WINDOW, -1)
        grouped = images[np.argsort(self._aspect[images], kind="stable")].reshape(WINDOW, -1)
        return np.random.default_rng([self._seed, 1, window]).permutation(grouped)

    def _stream(self, start: int, length: int) -> npt.NDArray[np.int64]:
        """Returns a part of the endless row of shuffled epochs."""
        n = len(self._aspect)
        first, last = start // n, (start + length - 1) // n
        epochs = [np.random.default_rng([self._seed, 0, e]).permutation(n) for e in range(first, last + 1)]
        return np.concatenate(epochs)[start - first * n :][:length]
