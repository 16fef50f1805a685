"""Random changes of an image's colours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor
from torchvision.transforms.v2 import functional


def jitter_colors(
    image: Tensor,
    rng: np.random.Generator,
    *,
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
    hue: float = 0.0,
) -> Tensor:
    """Changes brightness, contrast, saturation and hue in random order, as torchvision's ``ColorJitter``.

    Args:
        image: (3, H, W) uint8.
        rng: All randomness comes from here.
        brightness: The factor is drawn within 1 - brightness and 1 + brightness; 0 for none.
        contrast: The same for the contrast.
        saturation: The same for the saturation.
        hue: Hues are turned by a part of the circle that is drawn within -hue and hue, at most 0.5.

    Returns:
        The image, of the same shape and type.
    """
    changes: list[tuple[Callable[[Tensor, float], Tensor], float, float]] = [
        (functional.adjust_brightness, 1.0, brightness),
        (functional.adjust_contrast, 1.0, contrast),
        (functional.adjust_saturation, 1.0, saturation),
        (functional.adjust_hue, 0.0, hue),
    ]
    wanted = [change for change in changes if change[2]]
    for index in rng.permutation(len(wanted)):
        adjust, center, spread = wanted[index]
        image = adjust(image, float(rng.uniform(center - spread, center + spread)))
    return image
