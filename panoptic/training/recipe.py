"""How a panoptic network is trained: steps, optimizer and schedule, as values that can be saved."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeAlias

Schedule: TypeAlias = Literal["cosine", "steps"]


@dataclass(frozen=True)
class Recipe:
    """One training run.

    Attributes:
        passes: Forward passes, each on one batch (and, in a supernet, one path).
        batch_size: Images in a batch, over all devices.
        optimizer: ``"adamw"`` or ``"sgd"`` (momentum 0.9).
        learning_rate: Highest learning rate.
        weight_decay: Decay of weights; biases and norms have none.
        bias_factor: Biases learn so many times as fast.
        warmup: Updates over which the learning rate rises linearly.
        warmup_factor: Share of the learning rate at the first update.
        schedule: ``"cosine"`` to 0, or ``"steps"``: a tenth from each of `milestones` on.
        milestones: Updates, for ``"steps"``.
        clip: Largest norm of the gradient; None for no clipping.
        accumulate: In a supernet, whether a cycle of paths makes one update, with the learning rate of each
            parameter divided by the number of the cycle's paths that use it (the paper's way); the passes must
            then be a whole number of cycles. Else each path makes one.
        flip: Probability of a horizontal flip.

    Raises:
        ValueError: If a value is out of range.
    """

    passes: int
    batch_size: int = 8
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    bias_factor: float = 1.0
    warmup: int = 20
    warmup_factor: float = 0.05
    schedule: Schedule = "cosine"
    milestones: tuple[int, ...] = ()
    clip: float | None = 10.0
    accumulate: bool = False
    flip: float = 0.5

    def __post_init__(self) -> None:
        if self.passes < 1 or self.batch_size < 1 or self.warmup < 0:
            raise ValueError(
                f"passes={self.passes}, batch_size={self.batch_size}, warmup={self.warmup}: passes and batch_size "
                "must be at least 1, warmup not negative"
            )
        if self.optimizer not in ("adamw", "sgd") or self.schedule not in ("cosine", "steps"):
            raise ValueError(
                f"optimizer={self.optimizer!r}, schedule={self.schedule!r}: use 'adamw' or 'sgd', "
                "and 'cosine' or 'steps'"
            )
        if not self.learning_rate > 0 or not 0 < self.warmup_factor <= 1 or not 0 <= self.flip <= 1:
            raise ValueError(
                f"learning_rate={self.learning_rate}, warmup_factor={self.warmup_factor}, flip={self.flip}: the "
                "first must be positive, the second in (0, 1], the third in [0, 1]"
            )

    @classmethod
    def coco_supernet(cls) -> Recipe:
        """The paper's supernet training on COCO: 8 GPUs with 2 images each, 7,500 updates of 12 paths."""
        return cls(
            passes=90_000, batch_size=16, optimizer="sgd", learning_rate=0.02, bias_factor=2.0, warmup=250,
            warmup_factor=0.1, clip=None, accumulate=True,
        )  # fmt: skip

    @classmethod
    def coco_retrain(cls) -> Recipe:
        """The paper's training of a found network on COCO."""
        return cls(
            passes=90_000, batch_size=16, optimizer="sgd", learning_rate=0.02, bias_factor=2.0, warmup=500,
            warmup_factor=0.1, schedule="steps", milestones=(60_000, 80_000), clip=None,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """The fields as a JSON object."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Recipe:
        """The recipe that `to_json` gave.

        Raises:
            ValueError: A field is unknown, or its value is out of range.
        """
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"Recipe has no field {sorted(unknown)[0]!r}")
        found: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**found)

    def check_cycle(self, cycle: int) -> None:
        """Refuse passes whose last gradients would change nothing.

        Raises:
            ValueError: If gradients are accumulated over cycles and the passes are no whole number of them.
        """
        rest = self.passes % cycle
        if self.accumulate and rest:
            raise ValueError(
                f"passes={self.passes} is no multiple of the {cycle} paths of a cycle, over which the recipe "
                f"accumulates gradients: the last {rest} would change nothing. Take {self.passes - rest + cycle} "
                "passes, or accumulate=False"
            )

    def updates(self, cycle: int) -> int:
        """Return how often the optimizer steps, given the paths in a cycle."""
        return self.passes // cycle if self.accumulate else self.passes

    def factor(self, update: int, total: int) -> float:
        """Return the share of the learning rate at an update, from 0, of so many."""
        if update < self.warmup:
            return self.warmup_factor + (1 - self.warmup_factor) * update / self.warmup
        if self.schedule == "steps":
            return float(0.1 ** sum(update >= milestone for milestone in self.milestones))
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (update - self.warmup) / max(1, total - self.warmup))))
