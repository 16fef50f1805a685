"""From bytes to what a network takes; loads no torch by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Channels = tuple[float, float, float]
_MEAN, _STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class Normalization:
    """How the pixels of an image, 0 to 255, become what a network takes: (x - mean) / std, channel by channel.

    Attributes:
        mean: What is subtracted from each channel, in values of 0 to 255 and in the order of `order`; by default
            ImageNet's of red, green and blue, 0.485, 0.456 and 0.406 of 255.
        std: What each is divided by then, likewise; positive. By default 0.229, 0.224 and 0.225 of 255.
        order: Of the channels, as the network takes them: ``"rgb"``, or ``"bgr"`` for weights of Caffe's and
            Detectron's kind.

    Raises:
        ValueError: If the order is neither, a deviation is not positive, or a default is in the wrong order.
    """

    mean: Channels = _MEAN
    std: Channels = _STD
    order: Literal["rgb", "bgr"] = "rgb"

    def __post_init__(self) -> None:
        if self.order not in ("rgb", "bgr"):
            raise ValueError(f"order must be one of rgb, bgr, not {self.order!r}")
        if len(self.mean) != 3 or len(self.std) != 3:
            raise ValueError(f"mean and std must hold 3 numbers each, not {list(self.mean)} and {list(self.std)}")
        if min(self.std) <= 0:
            raise ValueError(f"std must hold positive numbers, not {list(self.std)}")
        for name, own, imagenets in (("mean", self.mean, _MEAN), ("std", self.std, _STD)):
            if self.order == "bgr" and tuple(own) == imagenets:
                raise ValueError(
                    f"{name} {list(own)} is ImageNet's of red, green and blue, but order is bgr: give mean and std in "
                    f"that order, such as {list(reversed(own))}"
                )

    def __call__(self, images: Tensor) -> Tensor:
        """Returns float32 (..., 3, H, W), in `order`, for RGB (..., 3, H, W) in 0..255, on the same device.

        The channels of a pixel lie side by side in its memory (torch's ``channels_last``).
        """
        import torch

        from autopanoptic.panoptic.data.transfers import on_device

        pixels = images.movedim(-3, -1)
        width = pixels.shape[-2]
        # Rows of three numbers a pixel are computed at once; over three channels torch would loop pixel by pixel.
        rows = (pixels.flip(-1) if self.order == "bgr" else pixels).flatten(-2).to(torch.float32, copy=True)
        mean, std = (on_device(values, images.device, torch.float32).repeat(width) for values in (self.mean, self.std))
        return rows.sub_(mean).div_(std).view(pixels.shape).movedim(-1, -3)


IMAGENET = Normalization()
"""Of torchvision's ImageNet models."""
CAFFE_BGR = Normalization((102.9801, 115.9465, 122.7717), (1.0, 1.0, 1.0), "bgr")
"""Of Detectron's and the Auto-Panoptic reference's models: BGR minus the mean."""
