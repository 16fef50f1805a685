"""Everything that fixes a run of the panoptic search, as nested, validated values; loads no torch.

They are read from YAML by `autopanoptic.panoptic.configs.config.load_config`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args, get_type_hints

from autopanoptic.panoptic.data.coco.images import Orientation
from autopanoptic.panoptic.data.loading.normalization import IMAGENET, Normalization
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.config_checks import SEARCHED_BACKBONE
from autopanoptic.panoptic.model.merge.rules import MergeRules
from autopanoptic.panoptic.model.precision import Precision
from autopanoptic.panoptic.pretraining.settings import PretrainingSettings
from autopanoptic.panoptic.training.recipe import Recipe

if TYPE_CHECKING:
    from autopanoptic.panoptic.data.loading.transforms import Transform

StrategyName: TypeAlias = Literal[
    "path-priority", "evolution", "regularized-evolution", "nsga2", "random", "local-search", "bayesian"
]
STRATEGIES: tuple[StrategyName, ...] = get_args(StrategyName)
OF_ONE_OBJECTIVE: tuple[StrategyName, ...] = ("path-priority", "local-search")
"""Strategies that cannot search with a cost as a second objective."""
Metric: TypeAlias = Literal["pq", "sq", "rq", "pq_things", "sq_things", "rq_things", "pq_stuff", "sq_stuff", "rq_stuff"]
METRICS: tuple[Metric, ...] = get_args(Metric)
Device: TypeAlias = Literal["auto", "cpu", "cuda"]
Logger: TypeAlias = Literal["csv", "tensorboard"]
STARTS = ("scratch", "supernet", "pretrained")
"""Values of `Settings.init` that name no file."""
SMALLEST_SIDE = 32
"""Pixels to which images may be resized at least: the largest stride of the backbone."""
LARGEST_SEED = 2**63 - 1
"""Torch's generators take hardly more."""


@dataclass(frozen=True, kw_only=True)
class SceneSettings:
    """Which scenes to generate.

    Attributes:
        train: Scenes to train on, at least 1.
        nas_val: Scenes to compare candidates on, at least 1.
        val: Scenes to measure the found networks on, at least 1.
    """

    train: int = 1600
    nas_val: int = 400
    val: int = 300

    def __post_init__(self) -> None:
        _require_at_least(1, self, "train", "nas_val", "val")


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """The images of a run.

    Attributes:
        path: Folder in COCO panoptic format, relative to the working folder; None to generate scenes.
        scenes: What is generated where there is no path; None where the path is needed.
        orientation: Whether images are turned by their EXIF orientation (``"apply"``) or read as they are stored
            (``"ignore"``), see `CocoPanoptic`; None for what the folder of a converter says, and else ``"apply"``.
        short_side: Images are resized to it, in pixels, at least 32; None keeps their size.
        long_side: The longer side is at most this, in pixels, at least 32; None for no limit.
        normalization: What networks see of a pixel; by default RGB, normalised by ImageNet's mean and deviation.
    """

    path: str | None = None
    scenes: SceneSettings | None = None
    orientation: Orientation | None = None
    short_side: int | None = None
    long_side: int | None = None
    normalization: Normalization = IMAGENET

    def __post_init__(self) -> None:
        _require_options(self)
        _require_at_least(SMALLEST_SIDE, self, "short_side", "long_side")
        if self.path is not None and not self.path.strip():
            raise ValueError(f"path must name a folder, not {self.path!r}")

    def require_scenes(self) -> SceneSettings:
        """Return what to generate.

        Raises:
            ValueError: If the settings say neither which data to read nor which to generate.
        """
        if self.scenes is None:
            raise ValueError("data.path is missing: give a folder in COCO panoptic format, by --data DIR for example")
        return self.scenes


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """What is searched, how, and for what.

    Attributes:
        space: ``"auto-panoptic"``, the published operators; ``"elastic"``, with widths and depths besides; or
            ``"published"``, with the components of published models as well.
        strategy: How to search. ``"nsga2"`` is for two objectives; ``"path-priority"`` and ``"local-search"`` for one.
            A config that leaves it out gets nsga2 where there is a cost, else path-priority.
        trials: Candidates to evaluate, at least 2.
        objective: Metric on nas_val to maximise.
        cost: What to minimise beside it: ``"gflops"`` or ``"latency_ms"``; None for the metric alone. A config that
            leaves it out gets GFLOPs in the spaces elastic and published, where the strategy takes two objectives.
        max_gflops: Most GFLOPs of the network that a candidate stands for, in the widths in which it is retrained, for
            one image of the size of nas_val's first; None for no limit.
        racing: Whether candidates that fall behind on the first images of nas_val are given up; None for where there is
            a cost and nas_val has enough batches to look at a candidate on the way.
        recalibration_batches: Training batches for each candidate's batch-norm statistics; 0 keeps those that the
            supernet gathered, which mix all paths.
        warm_start: File of another search whose candidates are measured first, by this run's supernet: a journal, a log
            or a result file of Auto-Panoptic's code, or an architecture; see `first_candidates`. None for none.
        finalists: How many of the search's best candidates (of those within the budget, where there is a cost) are
            trained like the networks that are compared, at least 1; the best of them on nas_val is what was searched.
            With a cost the last of several is the network made by hand.
        random_draws: Whether a run measures as many random draws beside the search, and trains the best of them too.
        hand_made: Whether a run trains the network made by hand beside what was searched.
    """

    space: Literal["auto-panoptic", "elastic", "published"] = "auto-panoptic"
    strategy: StrategyName = "path-priority"
    trials: int = 61
    objective: Metric = "pq"
    cost: Literal["gflops", "latency_ms"] | None = None
    max_gflops: float | None = None
    racing: bool | None = None
    recalibration_batches: int = 8
    warm_start: str | None = None
    finalists: int = 1
    random_draws: bool = True
    hand_made: bool = True

    @property
    def compared(self) -> tuple[str, ...]:
        """The networks that a run trains beside what was searched, by their names."""
        return ("random",) * self.random_draws + ("hand-made",) * self.hand_made

    def __post_init__(self) -> None:
        _require_options(self)
        _require_at_least(2, self, "trials")
        _require_at_least(0, self, "recalibration_batches")
        _require_at_least(1, self, "finalists")
        if self.warm_start is not None and not self.warm_start.strip():
            raise ValueError(f"warm_start must name a file, not {self.warm_start!r}")
        if self.max_gflops is not None and not self.max_gflops > 0:
            raise ValueError(f"max_gflops must be positive, not {self.max_gflops}")
        if self.strategy == "nsga2" and self.cost is None:
            raise ValueError("strategy nsga2 is for two objectives: set cost to gflops or latency_ms")
        if self.strategy == "path-priority" and self.racing:
            raise ValueError(
                "racing: strategy path-priority ranks every candidate, so none may be given up; set it to false"
            )
        if self.strategy in OF_ONE_OBJECTIVE and self.cost is not None:
            raise ValueError(
                f"strategy {self.strategy} takes one objective, but cost is {self.cost}: set cost to null, "
                "or take nsga2"
            )


@dataclass(frozen=True, kw_only=True)
class MachineSettings:
    """What a run computes on; the results of a search do not depend on it but where it says so.

    Attributes:
        device: ``"auto"`` (a GPU where there is one), ``"cpu"`` or ``"cuda"``.
        precision: Of training, evaluation and latency: ``"32-true"`` or ``"bf16-mixed"``.
        devices: GPUs that train together, or on a CPU processes, at least 1; each takes an equal part of every batch.
            Where torchrun has started several processes, these are the devices, and this is 1 or those of a machine.
            Found networks are evaluated on one GPU, and candidates on all of this machine, one on each. Where
            widths are fixed batch norms take their statistics over all GPUs, else each device over its own part.
        batch_size: Images that a device computes at a time, at least 1; None for its whole part of a batch. Recipes
            keep their batches: gradients are accumulated over as many parts as it takes.
        workers: Processes that evaluate candidates on a CPU, at least 1. Regularized evolution proposes from what
            has ended, so that its candidates depend on this number; those of the other strategies do not.
        threads: Threads of a training on a CPU, at least 1; the workers share as many. Sums over several threads
            differ in their last bits from sums over one.
        supernet_processes: Processes on a CPU that train the supernet together, with `threads` each, at least 1, where
            `devices` is 1. They
            share the paths of a step, of which each has one at least; where the largest path teaches the others, one
            process trains.
            Sums over several processes differ in their last bits from sums over one.
        trainings: Threads over all the networks that are compared, which train side by side in a process each on a
            CPU, at least 1; with 1 one trains after the other. The networks do not depend on it.
        loaders: Processes that load images; 0 loads in the process that computes.
        evaluation_batch: Images in a batch of an evaluation, at least 1.
        checkpoint_every: Passes between two checkpoints of a training, at least 1.
        memory: Bytes up to which the decoded images of a split are kept between evaluations.
        logger: What writes the figures of a training: ``"csv"`` or ``"tensorboard"``.
    """

    device: Device = "auto"
    precision: Precision = "32-true"
    devices: int = 1
    batch_size: int | None = None
    workers: int = 2
    threads: int = 1
    supernet_processes: int = 1
    trainings: int = 1
    loaders: int = 0
    evaluation_batch: int = 8
    checkpoint_every: int = 24
    memory: int = 2**30
    logger: Logger = "csv"

    def __post_init__(self) -> None:
        _require_options(self)
        _require_at_least(1, self, "devices", "batch_size", "workers", "threads", "supernet_processes", "trainings")
        _require_at_least(1, self, "evaluation_batch", "checkpoint_every")
        _require_at_least(0, self, "loaders", "memory")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A run of the panoptic search.

    Attributes:
        data: The images.
        network: Widths, depths and thresholds of the supernet. Its classes come from the data.
        retrained_network: What differs in the networks that are retrained, which the paper makes wider; None for
            the same.
        warmup: Training of one path before the others join; None to start them all together. A config may leave out
            all but its passes: it then takes the values of the supernet's.
        largest: Training of the largest network of the space elastic before the others join, with which progressive
            shrinking begins (Cai et al. 2020, "Once-for-all", section 3.3): all others are parts of it; in the space
            published of the largest of each design, one drawn for each pass. None to start them all together. A config
            may leave out the same as for `warmup`. In auto-panoptic no network holds the others, and none is trained.
        supernet: Training of the supernet.
        supernet_init: Weights with which the supernet begins: ``"scratch"``, drawn from the seed, or a file of the
            weights of every option of it or of its backbone; see `autopanoptic.panoptic.search.supernet_start`.
        sandwich: Whether each step trains the largest path and the smallest beside the random ones, as in BigNAS (Yu et
            al. 2020): not in auto-panoptic. Without them, as in once-for-all, no path is trained more often than
            others.
        random_paths: Of a step, all on one batch: not in auto-panoptic. At least 0, and 1 without the sandwich. BigNAS
            takes 2.
        retrain: Training of the networks that are compared.
        init: Weights with which these networks begin: ``"scratch"``, drawn from the seed; ``"supernet"``, their paths'
            in the trained supernet; ``"pretrained"``, drawn from the seed but for the backbone, which has been trained
            by itself as `pretraining.found` says; or a file, see `autopanoptic.panoptic.stages.starts`.
        init_part: What of that file is taken: ``"all"`` or ``"backbone"``.
        pretraining: Classification of images before the panoptic trainings; none by default.
        search: What is searched, how, and for what.
        merge: How instances and stuff become one map.
        machine: What to compute on.
        seed: Decides everything that is drawn; not negative, and less than 2^63.

    Raises:
        ValueError: If a value is out of range.
    """

    data: DataSettings = field(default_factory=DataSettings)
    network: PanopticConfig = field(default_factory=PanopticConfig)
    retrained_network: PanopticConfig | None = None
    warmup: Recipe | None = None
    largest: Recipe | None = None
    supernet: Recipe
    supernet_init: str = "scratch"
    sandwich: bool = True
    random_paths: int = 2
    retrain: Recipe
    init: str = "scratch"
    init_part: Literal["all", "backbone"] = "all"
    pretraining: PretrainingSettings = field(default_factory=PretrainingSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    merge: MergeRules = field(default_factory=MergeRules)
    machine: MachineSettings = field(default_factory=MachineSettings)
    seed: int = 0

    def __post_init__(self) -> None:
        _require_options(self)
        _require_at_least(0, self, "seed", "random_paths")
        if self.seed > LARGEST_SEED:
            raise ValueError(f"seed must be at most {LARGEST_SEED}, not {self.seed}")
        if not self.sandwich:
            _require_at_least(1, self, "random_paths")
        if not self.init.strip():
            raise ValueError(f"init must be {', '.join(STARTS)} or a file of weights, not {self.init!r}")
        if not self.supernet_init.strip():
            raise ValueError(f"supernet_init must be scratch or a file of weights, not {self.supernet_init!r}")
        if self.init_part != "all" and self.init in STARTS:
            raise ValueError(f"init_part={self.init_part!r} is for weights of a file, but init is {self.init}")
        _require_students(self)
        _require_networks(self)
        _require_pretraining(self)

    def transform(self, recipe: Recipe | None = None) -> Transform:
        """Return what is done to images, for a training or for evaluation."""
        from autopanoptic.panoptic.data.loading.transforms import Transform

        data = self.data
        plain = Transform(data.short_side, data.long_side, flip=0.0, normalization=data.normalization)
        return plain if recipe is None else recipe.augmented(plain)

    def network_for(self, things: int, stuff: int, *, retrained: bool = False) -> PanopticConfig:
        """Return the network's config for so many classes.

        Args:
            things: Thing classes.
            stuff: Stuff classes.
            retrained: Whether of the networks that are retrained, instead of the supernet.
        """
        config = self.retrained_network if retrained and self.retrained_network is not None else self.network
        return replace(config, num_things=things, num_stuff=stuff, space=self.search.space)

    def backbone(self, *, retrained: bool = False) -> str:
        """Return the backbone of the supernet, or of the networks that are retrained: its name, or a file."""
        config = self.retrained_network if retrained and self.retrained_network is not None else self.network
        return config.backbone


def _require_students(settings: Settings) -> None:
    """Refuse a distillation where no path teaches others."""
    for name in ("warmup", "largest", "supernet", "retrain"):
        recipe: Recipe | None = getattr(settings, name)
        if recipe is None or not recipe.distillation:
            continue
        if name == "supernet" and settings.search.space == "elastic":
            if not settings.sandwich:
                raise ValueError(
                    f"supernet.distillation={recipe.distillation}: the largest path of a step teaches the others, but "
                    "sandwich is false, which leaves it out"
                )
            continue
        where = f"search.space is {settings.search.space}" if name == "supernet" else "one network trains"
        raise ValueError(
            f"{name}.distillation={recipe.distillation}: a largest path teaches others in the supernet of the space "
            f"elastic alone, here {where}"
        )


def _require_networks(settings: Settings) -> None:
    """Refuse what is wrong with the networks in the space that is searched, which their sections do not know."""
    for name in ("network", "retrained_network"):
        config: PanopticConfig | None = getattr(settings, name)
        try:
            if config is not None:
                replace(config, space=settings.search.space)
        except ValueError as error:
            raise ValueError(f"{name}.{str(error).removeprefix('PanopticConfig: ')}") from error


def _require_pretraining(settings: Settings) -> None:
    """Refuse a start from what is not trained, and a training from which nothing starts."""
    if settings.supernet_init != "scratch" and settings.pretraining.supernet is not None:
        raise ValueError(
            f"supernet_init is {settings.supernet_init}, but pretraining.supernet says what the supernet begins with; "
            "set one of them to scratch or null"
        )
    found = settings.backbone(retrained=True)
    if settings.init == "pretrained" and found != SEARCHED_BACKBONE:
        raise ValueError(
            f"init is pretrained, but the backbone is {found}, which brings its weights, and only the searched "
            "backbone is pretrained here; set init to scratch, which begins with those weights, or the backbone to "
            "search"
        )
    for name, retrained in (("supernet", False), ("found", True)):
        backbone = settings.backbone(retrained=retrained)
        if getattr(settings.pretraining, name) is not None and backbone != SEARCHED_BACKBONE:
            raise ValueError(
                f"pretraining.{name}: only the searched backbone is pretrained here, but the backbone is {backbone}, "
                f"which brings its weights; set pretraining.{name} to null, or the backbone to search"
            )
    if settings.init == "pretrained" and settings.pretraining.found is None:
        raise ValueError(
            "init is pretrained, but pretraining.found is null: it says how backbones are trained. Set it to {} for "
            "the usual recipe, or init to scratch"
        )
    if settings.init != "pretrained" and settings.pretraining.found is not None:
        raise ValueError(
            f"pretraining.found is for networks that start from it: set init to pretrained, not {settings.init}, or "
            "pretraining.found to null"
        )


def _require_at_least(least: int, settings: object, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if value is not None and value < least:
            raise ValueError(f"{name} must be at least {least}, not {value}")


def _require_options(settings: object) -> None:
    """Refuse what is none of the options of a field, which a program that is not type-checked may give."""
    hints = get_type_hints(type(settings))
    for one in fields(settings):  # type: ignore[arg-type]
        parts = (hints[one.name], *get_args(hints[one.name]))
        options = [option for part in parts for option in _literals(part)]
        value = getattr(settings, one.name)
        if options and value not in options and not (value is None and type(None) in parts):
            raise ValueError(f"{one.name} must be one of {', '.join(options)}, not {value!r}")


def _literals(hint: object) -> tuple[str, ...]:
    return get_args(hint) if getattr(hint, "__origin__", None) is Literal else ()
