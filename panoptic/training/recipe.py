"""How a panoptic network is trained: steps, optimizer, schedule and augmentation, as values that can be saved."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from autopanoptic.panoptic.configs.layers import shipped_section
from autopanoptic.panoptic.data.loading.ranges import augmentation_problems
from autopanoptic.panoptic.settings.checks import kind_problems

if TYPE_CHECKING:
    from autopanoptic.panoptic.data.loading.transforms import Transform

Schedule: TypeAlias = Literal["cosine", "steps"]


@dataclass(frozen=True)
class Recipe:
    """One training run.

    Attributes:
        passes: Forward passes, each on one batch (and, in a supernet, one path).
        batch_size: Images in a batch, over all devices.
        optimizer: ``"adamw"`` or ``"sgd"`` (momentum 0.9).
        learning_rate: Highest learning rate.
        weight_decay: Decay of weights; biases have none, and scales of norms have it with SGD alone, as in the
            published code.
        bias_factor: Biases learn so many times as fast.
        backbone_factor: The backbone learns so many times as fast. A config with a fixed backbone and AdamW that leaves
            it out gets 0.1, as Mask2Former (Cheng et al. 2022) and DETR take for pretrained ones.
        norm_factor: Weights and biases of norms learn so many times as fast. They begin at 1 and 0, and steps of
            Adam's size, which suit kernels, move them by a few percent in a short training.
        offset_factor: The convolutions that predict the offsets of deformable convolutions learn so many times as
            fast; Dai et al. (2017) and Zhu et al. (2021) take 0.1.
        warmup: Updates over which the learning rate rises linearly.
        warmup_factor: Share of the learning rate at the first update.
        schedule: ``"cosine"`` to 0, or ``"steps"``: a tenth from each of `milestones` on.
        milestones: Updates, for ``"steps"``.
        clip: Largest norm of the gradient; None for no clipping.
        accumulate: In a supernet, whether a cycle of paths makes one update, with the learning rate of each
            parameter divided by the number of the cycle's paths that use it (the paper's way); the passes must
            then be a whole number of cycles. Else each path makes one.
        distillation: In a supernet trained by the sandwich rule, how far the other paths of a step learn from what the
            largest says of classes, masks and pixels (`soft_losses`) instead of the true labels, 0 to 1: 0 for true
            labels alone, 1 for soft ones alone, as in BigNAS (Yu et al. 2020). The largest learns from the true ones.
        ema: Decay, per update, of the exponential moving average of the weights, in [0, 1), which is what is measured
            and kept then; 0 for none. Over the first updates it is (1 + n) / (10 + n) where that is less, so that
            the average forgets how the weights were drawn. Batch norms' statistics are averaged likewise.
        flip: Probability of a horizontal flip.
        scale_jitter: Least and largest factor by which images are resized further; what is larger than without it is
            cropped to that size, at random (Ghiasi et al. 2021).
        brightness: Pixels are multiplied by a factor drawn within 1 - brightness and 1 + brightness; 0 for none.
        contrast: The same for the contrast.
        saturation: The same for the saturation.
        hue: Hues are turned by up to this part of the circle, at most 0.5.
        validate_every: Passes between two measurements of the panoptic quality, of which the last follows the last
            pass; 0 for none. The weights with the best are kept beside the checkpoints.
        keep: Which weights a training ends with: the ``"last"`` ones, or those with the ``"best"`` panoptic quality,
            which need `validate_every`. A choice of the best is part of the training: measure the network on other
            images afterwards.

    Raises:
        ValueError: If a value is of another kind or out of range.
    """

    passes: int
    batch_size: int = 8
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    bias_factor: float = 1.0
    backbone_factor: float = 1.0
    norm_factor: float = 10.0
    offset_factor: float = 1.0
    warmup: int = 20
    warmup_factor: float = 0.05
    schedule: Schedule = "cosine"
    milestones: tuple[int, ...] = ()
    clip: float | None = 10.0
    accumulate: bool = False
    distillation: float = 0.0
    ema: float = 0.0
    flip: float = 0.5
    scale_jitter: tuple[float, float] = (1.0, 1.0)
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    validate_every: int = 0
    keep: Literal["last", "best"] = "last"

    def __post_init__(self) -> None:
        for problem in chain(kind_problems(self), _problems(self)):
            raise ValueError(f"Recipe: {problem}")

    @property
    def decay_norms(self) -> bool:
        """Whether weights of one dimension decay, which are scales of norms but for a few."""
        return self.optimizer == "sgd"

    @classmethod
    def coco_supernet(cls) -> Recipe:
        """The paper's supernet training on COCO: 8 GPUs with 2 images each, 7,500 updates of 12 paths."""
        return cls.from_json(shipped_section("coco", "supernet"))

    @classmethod
    def coco_retrain(cls) -> Recipe:
        """The paper's training of a found network on COCO."""
        return cls.from_json(shipped_section("coco", "retrain"))

    def to_json(self) -> dict[str, Any]:
        """The fields as a JSON object."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Recipe:
        """The recipe that `to_json` gave.

        Raises:
            ValueError: A field is unknown, `passes` is missing, or a value is out of range.
        """
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"Recipe has no field {sorted(unknown)[0]!r}")
        if "passes" not in values:
            raise ValueError("Recipe lacks the field 'passes'")
        found: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**found)

    def augmented(self, transform: Transform) -> Transform:
        """Return a transform with the recipe's augmentation instead of its own."""
        return replace(
            transform, flip=self.flip, scale_jitter=self.scale_jitter, brightness=self.brightness,
            contrast=self.contrast, saturation=self.saturation, hue=self.hue,
        )  # fmt: skip

    def shortened(self, passes: int) -> Recipe:
        """Return a shorter training, whose learning rate falls to 0 as well and whose last weights are kept."""
        return replace(
            self, passes=passes, warmup=min(self.warmup, passes // 3), schedule="cosine", milestones=(),
            validate_every=0, keep="last",
        )  # fmt: skip

    def check_cycle(self, cycle: int, *, same_batch: bool = False) -> None:
        """Refuse passes whose last gradients would change nothing, measurements inside of a step, and teachers alone.

        Args:
            cycle: Paths in a cycle.
            same_batch: Whether a cycle's paths run on one batch, as one step.

        Raises:
            ValueError: If a cycle makes one update and the passes are no whole number of them, or if it makes one step
                and `validate_every` is no whole number of them; or if there is a distillation and no shared batch.
        """
        if self.distillation and not same_batch:
            raise ValueError(
                f"distillation={self.distillation} is for a supernet trained by the sandwich rule, whose largest path "
                "teaches the others of a batch (search.space: elastic); take 0 here"
            )
        rest = self.passes % cycle
        if same_batch and (rest or self.validate_every % cycle):
            name = "passes" if rest else "validate_every"
            value = getattr(self, name)
            raise ValueError(
                f"{name}={value} is no multiple of the {cycle} paths of a cycle, which run on one batch as one step; "
                f"take {value + cycle - value % cycle}"
            )
        if self.accumulate and rest:
            raise ValueError(
                f"passes={self.passes} is no multiple of the {cycle} paths of a cycle, over which the recipe "
                f"accumulates gradients: the last {rest} would change nothing. Take {self.passes - rest + cycle} "
                "passes, or accumulate=False"
            )

    def updates(self, cycle: int, *, same_batch: bool = False) -> int:
        """Return how often the optimizer steps, given the paths in a cycle and whether they share a batch."""
        return self.passes // cycle if self.accumulate or same_batch else self.passes

    def factor(self, update: int, total: int) -> float:
        """Return the share of the learning rate at an update, from 0, of so many."""
        if update < self.warmup:
            return self.warmup_factor + (1 - self.warmup_factor) * update / self.warmup
        if self.schedule == "steps":
            return float(0.1 ** sum(update >= milestone for milestone in self.milestones))
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (update - self.warmup) / max(1, total - self.warmup))))


def _problems(recipe: Recipe) -> Iterator[str]:
    """Say what is out of range, each beginning with its field."""
    for name, least in (("passes", 1), ("batch_size", 1), ("warmup", 0)):
        if getattr(recipe, name) < least:
            yield f"{name} must be at least {least}, not {getattr(recipe, name)}"
    if recipe.optimizer not in ("adamw", "sgd"):
        yield f"optimizer must be 'adamw' or 'sgd', not {recipe.optimizer!r}"
    if recipe.schedule not in ("cosine", "steps"):
        yield f"schedule must be 'cosine' or 'steps', not {recipe.schedule!r}"
    if not 0 < recipe.learning_rate < math.inf:
        yield f"learning_rate must be a positive number, not {recipe.learning_rate}"
    if not 0 <= recipe.weight_decay < math.inf:
        yield f"weight_decay must be a number of at least 0, not {recipe.weight_decay}"
    if not 0 < recipe.warmup_factor <= 1:
        yield f"warmup_factor must lie in (0, 1], not {recipe.warmup_factor}"
    if recipe.clip is not None and not recipe.clip > 0:
        yield f"clip must be positive, or None for no clipping, not {recipe.clip}"
    if any(update < 1 for update in recipe.milestones) or list(recipe.milestones) != sorted(set(recipe.milestones)):
        yield f"milestones must be updates from 1 on, each later than the one before, not {list(recipe.milestones)}"
    if recipe.schedule == "steps" and not recipe.milestones:
        yield "schedule='steps' needs milestones, the updates from which on the learning rate is a tenth"
    yield from augmentation_problems(recipe)
    for name in ("bias_factor", "backbone_factor", "norm_factor", "offset_factor"):
        if not 0 < getattr(recipe, name) < math.inf:
            yield f"{name} must be a positive number, not {getattr(recipe, name)}"
    if not 0 <= recipe.ema < 1:
        yield f"ema is a decay in [0, 1), 0 for no average, not {recipe.ema}"
    if not 0 <= recipe.distillation <= 1:
        yield f"distillation must lie in 0..1, from true labels alone to soft ones alone, not {recipe.distillation}"
    if recipe.validate_every < 0:
        yield f"validate_every must be a number of passes, or 0 for none, not {recipe.validate_every}"
    if recipe.keep not in ("last", "best"):
        yield f"keep must be 'last' or 'best', not {recipe.keep!r}"
    if recipe.keep == "best" and not recipe.validate_every:
        yield "keep='best' needs validate_every, the passes after which the panoptic quality is measured"
