"""From a decoded sample to what travels to a network: augmentation and resizing."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from autopanoptic.panoptic.data.coco.reader import Sample
from autopanoptic.panoptic.data.image_id import ImageId
from autopanoptic.panoptic.data.label_map import LabelMap
from autopanoptic.panoptic.data.loading.colors import jitter_colors
from autopanoptic.panoptic.data.loading.normalization import IMAGENET, Normalization
from autopanoptic.panoptic.data.loading.placement import Placement, Size
from autopanoptic.panoptic.data.loading.ranges import augmentation_problems


@dataclass(frozen=True, eq=False)
class Example:
    """A transformed image; h and w are its size.

    Attributes:
        image: (3, h, w) uint8, RGB.
        image_id: The id in the JSON.
        original_size: Height and width before the transform.
    """

    image: Tensor
    image_id: ImageId
    original_size: Size

    @property
    def size(self) -> Size:
        """H and w."""
        return int(self.image.shape[1]), int(self.image.shape[2])


@dataclass(frozen=True, eq=False)
class LabelledExample(Example):
    """A transformed sample.

    Attributes:
        truth: Its segments, without the things of which no pixel is left.
    """

    truth: LabelMap


@dataclass(frozen=True)
class Transform:
    """Augments and resizes samples, and says how a network wants them normalised.

    Augmentation is done where randomness is given: colours, then the scale, then a flip.

    Attributes:
        short_side: Length of the shorter side after resizing, in pixels; None keeps the size.
        long_side: The longer side is at most this; it wins over `short_side`. None for no limit.
        flip: Probability of a horizontal flip.
        scale_jitter: Least and largest factor by which images are resized further. An image that is larger than
            `size` says is cropped to it at a random place, and its things lose what lies outside (Ghiasi et al. 2021);
            one that is smaller stays so.
        brightness: Factors are drawn within 1 - brightness and 1 + brightness.
        contrast: Likewise.
        saturation: Likewise.
        hue: Turns by a part of the circle are drawn within -hue and hue, at most 0.5.
        normalization: From uint8 to float32, which is done where the network is.

    Raises:
        ValueError: If a value is out of range.
    """

    short_side: int | None = 800
    long_side: int | None = 1333
    flip: float = 0.5
    scale_jitter: tuple[float, float] = (1.0, 1.0)
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    normalization: Normalization = field(default=IMAGENET)

    def __post_init__(self) -> None:
        for problem in augmentation_problems(self):
            raise ValueError(problem)
        for name, side in (("short_side", self.short_side), ("long_side", self.long_side)):
            if side is not None and side < 1:
                raise ValueError(f"{name}={side}: a length in pixels of at least 1, or None, is needed")

    def size(self, height: int, width: int) -> Size:
        """Returns the size that an image of this size is resized to."""
        scale = 1.0 if self.short_side is None else self.short_side / min(height, width)
        if self.long_side is not None:
            scale = min(scale, self.long_side / max(height, width))
        return max(round(height * scale), 1), max(round(width * scale), 1)

    def __call__(self, sample: Sample, rng: np.random.Generator | None = None) -> LabelledExample:
        """Transforms a sample.

        Args:
            sample: The sample.
            rng: Decides the augmentation; None for none.
        """
        placement, image = self._drawn(sample.image, rng)
        return LabelledExample(
            placement.image(image), sample.image_id, placement.original, placement.label_map(sample.truth)
        )

    def image(self, image: Tensor, image_id: ImageId, rng: np.random.Generator | None = None) -> Example:
        """Transforms an image as that of a sample, with the same draws.

        Args:
            image: (3, H, W) uint8.
            image_id: The id in the JSON.
            rng: Decides the augmentation; None for none.
        """
        placement, image = self._drawn(image, rng)
        return Example(placement.image(image), image_id, placement.original)

    def _drawn(self, image: Tensor, rng: np.random.Generator | None) -> tuple[Placement, Tensor]:
        """Where the pixels go, and the image in its new colours."""
        original = (int(image.shape[1]), int(image.shape[2]))
        size = self.size(*original)
        if rng is None:
            return Placement(original, size, (0, 0), size, flips=False), image
        flips = rng.random() < self.flip
        scaled = self._scaled(size, rng)
        image = self._recolored(image, rng)
        top, left = (int(rng.integers(max(side - most, 0) + 1)) for side, most in zip(scaled, size, strict=True))
        kept = (min(scaled[0], size[0]), min(scaled[1], size[1]))
        return Placement(original, scaled, (top, left), kept, flips=flips), image

    def _scaled(self, size: Size, rng: np.random.Generator) -> Size:
        least, most = self.scale_jitter
        factor = least if least == most else float(rng.uniform(least, most))
        return max(round(size[0] * factor), 1), max(round(size[1] * factor), 1)

    def _recolored(self, image: Tensor, rng: np.random.Generator) -> Tensor:
        return jitter_colors(
            image, rng, brightness=self.brightness, contrast=self.contrast, saturation=self.saturation, hue=self.hue
        )
