"""From bytes to what a network takes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autopanoptic.panoptic.data.transfers import on_device

Channels = tuple[float, float, float]


@dataclass(frozen=True)
class Normalization:
    """Maps RGB in 0..255 to (x * scale - mean) / std, per channel.

    Attributes:
        mean: Mean per channel, in the order of the output and after scaling.
        std: Standard deviation per channel, likewise.
        scale: 1 / 255 for values in 0..1, 1 for values in 0..255.
        bgr: Whether the output's channels are blue, green, red.
    """

    mean: Channels
    std: Channels
    scale: float = 1 / 255
    bgr: bool = False

    def __post_init__(self) -> None:
        if min(self.std) <= 0 or self.scale <= 0:
            raise ValueError(f"std={self.std}, scale={self.scale}: both must be positive")

    def __call__(self, images: Tensor) -> Tensor:
        """Returns float32 (..., 3, H, W) for (..., 3, H, W) in 0..255, on the same device.

        The channels of a pixel lie side by side in its memory (torch's ``channels_last``).
        """
        pixels = images.movedim(-3, -1)
        width = pixels.shape[-2]
        # Rows of three numbers a pixel are computed at once; over three channels torch would loop pixel by pixel.
        rows = (pixels.flip(-1) if self.bgr else pixels).flatten(-2).to(torch.float32)
        mean, std = (on_device(values, images.device).repeat(width) for values in (self.mean, self.std))
        return rows.mul_(self.scale).sub_(mean).div_(std).view(pixels.shape).movedim(-1, -3)


IMAGENET = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Of torchvision's ImageNet models."""
CAFFE_BGR = Normalization((102.9801, 115.9465, 122.7717), (1.0, 1.0, 1.0), scale=1.0, bgr=True)
"""Of Detectron's and the Auto-Panoptic reference's models: BGR in 0..255 minus the mean."""
