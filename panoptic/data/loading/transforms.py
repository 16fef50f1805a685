"""From a decoded sample to what a network sees: augmentation, resizing, normalisation."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from autopanoptic.panoptic.data.coco.reader import Sample, mask_boxes
from autopanoptic.panoptic.data.image_id import ImageId
from autopanoptic.panoptic.data.loading.colors import jitter_colors
from autopanoptic.panoptic.data.loading.ranges import augmentation_problems

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True)
class Normalization:
    """Maps RGB in 0..255 to (x * scale - mean) / std, per channel.

    Attributes:
        mean: Mean per channel, in the order of the output and after scaling.
        std: Standard deviation per channel, likewise.
        scale: 1 / 255 for values in 0..1, 1 for values in 0..255.
        bgr: Whether the output's channels are blue, green, red.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    scale: float = 1 / 255
    bgr: bool = False

    def __post_init__(self) -> None:
        if min(self.std) <= 0 or self.scale <= 0:
            raise ValueError(f"std={self.std}, scale={self.scale}: both must be positive")

    def __call__(self, image: Tensor) -> Tensor:
        """Returns float32 (3, H, W) for (3, H, W) in 0..255."""
        pixels = (image.flip(0) if self.bgr else image).to(torch.float32)
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (self.mean, self.std))
        return (pixels * self.scale - mean) / std


IMAGENET = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Of torchvision's ImageNet models."""
CAFFE_BGR = Normalization((102.9801, 115.9465, 122.7717), (1.0, 1.0, 1.0), scale=1.0, bgr=True)
"""Of Detectron's and the Auto-Panoptic reference's models: BGR in 0..255 minus the mean."""


@dataclass(frozen=True)
class Example:
    """A transformed sample; h and w are its size.

    Attributes:
        image: (3, h, w) float32, normalised.
        boxes: (N, 4) float32, x1, y1, x2, y2 in pixels of the transformed image.
        labels: (N,) int64 in 1..T.
        masks: (N, h, w) bool.
        semantic: (h, w) uint8, 255 for void.
        image_id: The id in the JSON.
        original_size: Height and width before the transform.
    """

    image: Tensor
    boxes: Tensor
    labels: Tensor
    masks: Tensor
    semantic: Tensor
    image_id: ImageId
    original_size: Size


@dataclass(frozen=True)
class Transform:
    """Augments, resizes and normalises samples.

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
        normalization: From uint8 to float32.

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

    def __call__(self, sample: Sample, rng: np.random.Generator | None = None) -> Example:
        """Transforms a sample.

        Args:
            sample: The sample.
            rng: Decides the augmentation; None for none.
        """
        original = (int(sample.image.shape[1]), int(sample.image.shape[2]))
        size = self.size(*original)
        if rng is None:
            return _resized(sample, original, size, self.normalization)
        flips = rng.random() < self.flip
        scaled = self._scaled(size, rng)
        example = _resized(self._recolored(sample, rng), original, scaled, self.normalization)
        example = _cropped(example, size, rng)
        return _flipped(example) if flips else example

    def _scaled(self, size: Size, rng: np.random.Generator) -> Size:
        least, most = self.scale_jitter
        factor = least if least == most else float(rng.uniform(least, most))
        return max(round(size[0] * factor), 1), max(round(size[1] * factor), 1)

    def _recolored(self, sample: Sample, rng: np.random.Generator) -> Sample:
        image = jitter_colors(
            sample.image, rng, brightness=self.brightness, contrast=self.contrast, saturation=self.saturation,
            hue=self.hue,
        )  # fmt: skip
        return replace(sample, image=image)


def _resized(sample: Sample, original: Size, size: Size, normalization: Normalization) -> Example:
    image, masks, semantic, boxes = sample.image, sample.masks, sample.semantic, sample.boxes
    if size != original:
        # torch's fast kernel for uint8 fails on images that are one pixel wide or high.
        pixels = image.float() if 1 in (*original, *size) else image
        image = functional.resize(pixels, list(size), InterpolationMode.BILINEAR, antialias=True)
        masks, semantic = _nearest(masks, size), _nearest(semantic, size)
        (height, width), (new_height, new_width) = original, size
        boxes = boxes * boxes.new_tensor([new_width / width, new_height / height] * 2)
    kept = masks.flatten(1).any(dim=1)
    return Example(
        image=normalization(image),
        boxes=boxes[kept],
        labels=sample.labels[kept],
        masks=masks[kept],
        semantic=semantic,
        image_id=sample.image_id,
        original_size=original,
    )


def _nearest(planes: Tensor, size: Size) -> Tensor:
    """Resizes (..., H, W) of any type by taking the pixel under each new pixel's centre."""
    rows, columns = (
        ((torch.arange(new) + 0.5) * (old / new)).long().clamp(max=old - 1)
        for new, old in zip(size, planes.shape[-2:], strict=True)
    )
    return planes.index_select(-2, rows).index_select(-1, columns)


def _cropped(example: Example, size: Size, rng: np.random.Generator) -> Example:
    """Cuts at most a size out of an example, at a random place."""
    top, left = (int(rng.integers(max(side - most, 0) + 1)) for side, most in zip(_size(example), size, strict=True))
    rows, columns = slice(top, top + size[0]), slice(left, left + size[1])
    masks = example.masks[:, rows, columns]
    if masks.shape == example.masks.shape:
        return example
    kept = masks.flatten(1).any(dim=1)
    masks = masks[kept]
    return replace(
        example,
        image=example.image[:, rows, columns],
        # Of what is left of a thing, which may be less than what the crop leaves of its box.
        boxes=torch.from_numpy(mask_boxes(masks.numpy())),
        labels=example.labels[kept],
        masks=masks,
        semantic=example.semantic[rows, columns],
    )


def _size(example: Example) -> Size:
    return int(example.image.shape[1]), int(example.image.shape[2])


def _flipped(example: Example) -> Example:
    x1, y1, x2, y2 = example.boxes.unbind(1)
    width = example.image.shape[2]
    return replace(
        example,
        image=example.image.flip(2),
        boxes=torch.stack([width - x2, y1, width - x1, y2], dim=1),
        masks=example.masks.flip(2),
        semantic=example.semantic.flip(1),
    )
