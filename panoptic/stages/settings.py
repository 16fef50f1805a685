"""Everything that fixes a run of the panoptic search, as one validated value."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

from autopanoptic.panoptic.data.coco.images import ORIENTATIONS, Orientation
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.model.merge.rules import MergeRules
from autopanoptic.panoptic.model.precision import PRECISIONS
from autopanoptic.panoptic.training.recipe import Recipe

NetworkName: TypeAlias = Literal["scenes", "photographs", "coco"]
NETWORKS: tuple[NetworkName, ...] = ("scenes", "photographs", "coco")
StrategyName: TypeAlias = Literal["path-priority", "evolution", "regularized-evolution", "random"]
STRATEGIES: tuple[StrategyName, ...] = ("path-priority", "evolution", "regularized-evolution", "random")
METRICS = tuple(f"{name}{group}" for group in ("", "_things", "_stuff") for name in ("pq", "sq", "rq"))


@dataclass(frozen=True)
class SceneCounts:
    """How many scenes to generate for each split."""

    train: int = 800
    nas_val: int = 40
    val: int = 100


@dataclass(frozen=True)
class Settings:
    """A run of the panoptic search.

    Attributes:
        network: One of `NETWORKS`: small ones for a CPU, for ``"scenes"`` of about 100 pixels a side or
            ``"photographs"`` of about 256, and the paper's, ``"coco"``.
        data: Folder in COCO panoptic format; None to generate scenes.
        orientation: Whether the data's images are turned by their EXIF orientation (``"apply"``) or read as they are
            stored (``"ignore"``); see `CocoPanoptic`.
        scenes: How many to generate.
        short_side: Images are resized to it, in pixels; None keeps their size.
        long_side: The longer side is at most this.
        strategy: One of `STRATEGIES`.
        trials: Candidates to evaluate.
        objective: One of `METRICS`.
        max_flops: Most GFLOPs of the network that a candidate stands for, in the widths in which it is retrained, for
            one image of the size of nas_val's first; None for no limit.
        warmup: Training of one path before the others join; None to start them all from scratch.
        supernet: Training of the supernet.
        retrain: Training of the networks that are compared.
        start: Weights with which they begin: ``"scratch"``, drawn from the seed, or ``"supernet"``, their paths'
            in the trained supernet, which the paper's cannot, because they are made wider.
        recalibration_batches: Training batches for each candidate's batch-norm statistics; 0 keeps those that the
            supernet gathered, which mix all paths.
        stuff_area: Stuff of fewer pixels stays void; see `MergeRules`.
        merge_order: See `MergeRules`.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        precision: Of training, evaluation and latency: ``"32-true"`` or ``"bf16-mixed"``.
        workers: Processes that evaluate candidates on a CPU. Regularized evolution proposes from what has ended, so
            that its candidates depend on this number; those of the other strategies do not.
        threads: Threads of a training on a CPU; the workers share as many.
        trainings: Threads over all the networks that are compared, which train side by side in a process each on a
            CPU; with 1 one trains after the other. The networks do not depend on it.
        loaders: Processes that load images; 0 loads in the process that computes.
        evaluation_batch: Images in a batch of an evaluation.
        checkpoint_every: Passes between two checkpoints of a training.
        memory: Bytes up to which the decoded images of a split are kept between evaluations.
        seed: Non-negative.

    Raises:
        ValueError: If a value is out of range.
    """

    network: NetworkName = "scenes"
    data: str | None = None
    orientation: Orientation = "apply"
    scenes: SceneCounts = field(default_factory=SceneCounts)
    short_side: int | None = None
    long_side: int | None = None
    strategy: StrategyName = "path-priority"
    trials: int = 61
    objective: str = "pq"
    max_flops: float | None = None
    warmup: Recipe | None = None
    supernet: Recipe = field(default_factory=Recipe.coco_supernet)
    retrain: Recipe = field(default_factory=Recipe.coco_retrain)
    start: Literal["scratch", "supernet"] = "scratch"
    recalibration_batches: int = 8
    stuff_area: int = 64 * 64
    merge_order: Literal["score", "reference"] = "score"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: str = "32-true"
    workers: int = 1
    threads: int = 1
    trainings: int = 1
    loaders: int = 0
    evaluation_batch: int = 8
    checkpoint_every: int = 24
    memory: int = 2**30
    seed: int = 0

    def __post_init__(self) -> None:
        if self.network not in NETWORKS or self.strategy not in STRATEGIES:
            raise ValueError(
                f"network={self.network!r}, strategy={self.strategy!r}: networks are {', '.join(NETWORKS)}, "
                f"strategies {', '.join(STRATEGIES)}"
            )
        if self.objective not in METRICS:
            raise ValueError(f"objective={self.objective!r} is none of {', '.join(METRICS)}")
        if self.network != "scenes" and self.data is None:
            raise ValueError(f"the {self.network} network needs data in COCO panoptic format: give its folder")
        if self.start not in ("scratch", "supernet"):
            raise ValueError(f"start={self.start!r}: networks start from scratch or from the supernet's weights")
        if self.network == "coco" and self.start == "supernet":
            raise ValueError(
                "the paper's networks are retrained wider than the supernet: they cannot start from its "
                "weights; take start='scratch'"
            )
        for name in ("trials", "workers", "threads", "trainings", "evaluation_batch", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("seed", "recalibration_batches", "loaders", "memory"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, as {getattr(self, name)} is")
        if self.device not in ("auto", "cpu", "cuda") or self.precision not in PRECISIONS:
            raise ValueError(
                f"device={self.device!r}, precision={self.precision!r}: devices are auto, cpu and cuda, "
                f"precisions {', '.join(PRECISIONS)}"
            )
        for side in (self.short_side, self.long_side):
            if side is not None and side < 32:
                raise ValueError(f"images must be resized to at least 32 pixels a side, not {side}")
        if self.orientation not in ORIENTATIONS:
            raise ValueError(f"orientation={self.orientation!r} is none of {', '.join(ORIENTATIONS)}")
        if self.max_flops is not None and not self.max_flops > 0:
            raise ValueError(f"max_flops must be positive, not {self.max_flops} GFLOPs")

    @classmethod
    def for_scenes(cls, *, quick: bool = False) -> Settings:
        """Generated scenes and the small network: minutes on a CPU, about one with `quick`."""
        small = Recipe(passes=24 if quick else 150)
        return cls(
            scenes=SceneCounts(48, 8, 8) if quick else SceneCounts(),
            trials=13 if quick else 61,
            warmup=small,
            supernet=replace(small, passes=12 if quick else 252),
            retrain=replace(small, passes=12 if quick else 200),
            start="supernet",
            recalibration_batches=2 if quick else 8,
            stuff_area=64,
            # All three at once, so that no core waits for the last one.
            trainings=3,
        )

    @classmethod
    def for_small_data(cls, data: str, *, overfit: bool = False, quick: bool = False) -> Settings:
        """The small network on real images, at 256 pixels a side.

        Args:
            data: Folder in COCO panoptic format.
            overfit: Whether networks shall memorise the images, seen as they are, two at a time.
            quick: Whether to show every stage only.
        """
        scenes = cls.for_scenes(quick=quick)
        found = replace(scenes, network="photographs", data=data, short_side=256, long_side=512, stuff_area=1024)
        if not overfit:
            # Eight images of this size in a batch take too much memory to train several networks at once.
            return replace(found, trainings=1)
        as_it_is = partial(replace, batch_size=2, flip=0.0)
        return replace(
            found,
            warmup=scenes.warmup and as_it_is(scenes.warmup),
            supernet=as_it_is(scenes.supernet),
            retrain=as_it_is(scenes.retrain, passes=scenes.retrain.passes if quick else 250),
        )

    @classmethod
    def for_coco(cls, data: str | None) -> Settings:
        """The paper's network, sizes and schedules; meant for GPUs."""
        return cls(
            network="coco", data=data, short_side=800, long_side=1333, recalibration_batches=63, loaders=4,
            evaluation_batch=2, checkpoint_every=960,
        )  # fmt: skip

    @property
    def rules(self) -> MergeRules:
        """How instances and stuff are merged."""
        return MergeRules(order=self.merge_order, stuff_area=self.stuff_area)

    def transform(self, recipe: Recipe | None = None) -> Transform:
        """What is done to images, for a training or for evaluation."""
        plain = Transform(self.short_side, self.long_side, flip=0.0)
        return plain if recipe is None else recipe.augmented(plain)

    def save(self, path: Path) -> None:
        """Write the settings as a JSON file, which is either whole or not there."""
        values = asdict(self)
        for name in ("warmup", "supernet", "retrain"):
            recipe: Recipe | None = getattr(self, name)
            values[name] = None if recipe is None else recipe.to_json()
        partial_path = path.with_suffix(".partial")
        partial_path.write_text(json.dumps(values, indent=2) + "\n")
        os.replace(partial_path, path)

    @classmethod
    def load(cls, path: Path) -> Settings:
        """Read the settings that `save` wrote.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It does not hold settings.
        """
        if not path.exists():
            raise FileNotFoundError(f"there is no run in {path.parent}: it has no {path.name}")
        try:
            values: dict[str, Any] = json.loads(path.read_bytes())
            for name in ("warmup", "supernet", "retrain"):
                values[name] = None if values[name] is None else Recipe.from_json(values[name])
            return cls(**{**values, "scenes": SceneCounts(**values["scenes"])})
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} does not hold the settings of a run: {error}") from error
