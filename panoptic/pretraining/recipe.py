"""How a backbone learns to classify images: steps, optimizer and augmentation, as values that can be saved."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import chain, pairwise
from typing import Any, ClassVar, Literal

from autopanoptic.panoptic.settings.checks import kind_problems


@dataclass(frozen=True)
class PretrainingRecipe:
    """One training of a classifier; the learning rate falls linearly to 0.

    Attributes:
        passes: Forward passes, each on one batch (and, in a supernet, of one path), each an update.
        batch_size: Images in a batch, over all devices.
        optimizer: ``"sgd"`` (momentum 0.9) or ``"adamw"``.
        learning_rate: Highest learning rate.
        weight_decay: Decay of weights with more than one dimension; biases and norms have none.
        norm_factor: Weights and biases of norms learn so many times as fast.
        warmup: Updates over which the learning rate rises linearly from 0.
        label_smoothing: Share of the target that is spread over all classes, in [0, 1).
        image_size: Side of the square that the network sees, in pixels, a multiple of 32.
        least_area: Least share of an image's area that is cut out at random (torchvision's ``RandomResizedCrop``, whose
            aspect ratio lies in 3/4..4/3), in (0, 1].
        jitter: Brightness, contrast and saturation are multiplied by factors within 1 - jitter and 1 + jitter.
        flip: Probability of a horizontal flip.
        tail_width: Channels of the 1x1 convolution behind the backbone.
        dropout: Probability before the last layer.
        bins: Of FLOPs, among which a supernet's paths are spread evenly: how many, or their bounds in MFLOPs at
            `image_size`; see `BinnedPaths`. A found backbone has none.
        validate_every: Passes between two measurements on val; 0 for the end alone.
        validated_paths: How many fixed paths of a supernet are measured.
        recalibration_batches: Training batches that give each of them batch-norm statistics.

    Raises:
        ValueError: If a value is of another kind or out of range.
    """

    passes: int
    batch_size: int = 64
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.05
    weight_decay: float = 4e-5
    norm_factor: float = 1.0
    warmup: int = 0
    label_smoothing: float = 0.1
    image_size: int = 224
    least_area: float = 0.08
    jitter: float = 0.4
    flip: float = 0.5
    tail_width: int = 1728
    dropout: float = 0.2
    bins: int | tuple[float, ...] = 7
    validate_every: int = 0
    validated_paths: int = 4
    recalibration_batches: int = 100

    decay_norms: ClassVar[bool] = False
    bias_factor: ClassVar[float] = 1.0
    backbone_factor: ClassVar[float] = 1.0
    offset_factor: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        for problem in chain(kind_problems(self), _problems(self)):
            raise ValueError(f"PretrainingRecipe: {problem}")

    @classmethod
    def imagenet_supernet(cls) -> PretrainingRecipe:
        """DetNAS' training of the supernet on ImageNet: 300,000 passes on 1,024 images."""
        return cls(300_000, batch_size=1024, learning_rate=0.5, validate_every=10_000)

    @classmethod
    def imagenet(cls) -> PretrainingRecipe:
        """The paper's training of a found backbone on ImageNet: 600,000 passes on 512 images."""
        return cls(600_000, batch_size=512, learning_rate=0.25, validate_every=10_000)

    @classmethod
    def small(cls) -> PretrainingRecipe:
        """Minutes on a CPU, for small images and backbones, such as those of the scenes."""
        return cls(
            400, batch_size=32, optimizer="adamw", learning_rate=3e-3, weight_decay=1e-4, norm_factor=10.0, warmup=20,
            image_size=64, least_area=0.35, tail_width=256, bins=4, recalibration_batches=16,
        )  # fmt: skip

    @property
    def side(self) -> int:
        """The shorter side to which images are resized before their centre is measured, 256 for 224."""
        return round(self.image_size * 256 / 224)

    def factor(self, update: int) -> float:
        """Return the share of the learning rate at an update, from 0."""
        if update < self.warmup:
            return (update + 1) / self.warmup
        return max(0.0, 1 - (update - self.warmup) / (self.passes - self.warmup))

    def to_json(self) -> dict[str, Any]:
        """The fields as a JSON object."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def _problems(recipe: PretrainingRecipe) -> Iterator[str]:
    """Say what is out of range, each beginning with its field."""
    whole = {"passes": 1, "batch_size": 1, "warmup": 0, "tail_width": 1, "validate_every": 0, "validated_paths": 1}
    for name, least in {**whole, "recalibration_batches": 1}.items():
        if getattr(recipe, name) < least:
            yield f"{name} must be at least {least}, not {getattr(recipe, name)}"
    if recipe.warmup >= recipe.passes:
        yield f"warmup={recipe.warmup} must be less than the {recipe.passes} passes"
    if recipe.optimizer not in ("sgd", "adamw"):
        yield f"optimizer must be 'sgd' or 'adamw', not {recipe.optimizer!r}"
    if recipe.image_size < 32 or recipe.image_size % 32:
        yield f"image_size must be a multiple of 32, the stride of the backbone, not {recipe.image_size}"
    for name in ("learning_rate", "norm_factor"):
        if not 0 < getattr(recipe, name) < math.inf:
            yield f"{name} must be a positive number, not {getattr(recipe, name)}"
    if not 0 <= recipe.weight_decay < math.inf:
        yield f"weight_decay must be a number of at least 0, not {recipe.weight_decay}"
    for name in ("label_smoothing", "dropout"):
        if not 0 <= getattr(recipe, name) < 1:
            yield f"{name} must lie in [0, 1), not {getattr(recipe, name)}"
    for name in ("jitter", "flip"):
        if not 0 <= getattr(recipe, name) <= 1:
            yield f"{name} must lie in 0..1, not {getattr(recipe, name)}"
    if not 0 < recipe.least_area <= 1:
        yield f"least_area must lie in (0, 1], not {recipe.least_area}"
    if isinstance(recipe.bins, int) and recipe.bins < 1:
        yield f"bins must be at least 1, not {recipe.bins}"
    if isinstance(recipe.bins, tuple) and not _ascending(recipe.bins):
        yield f"bins are bounded by at least two ascending numbers, not {list(recipe.bins)}"


def _ascending(bounds: tuple[float, ...]) -> bool:
    return len(bounds) > 1 and all(map(math.isfinite, bounds)) and all(a < b for a, b in pairwise(bounds))
