"""A run of the panoptic search as one validated value; loads no torch.

It is read from YAML by `autopanoptic.panoptic.configs.config.load_config`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.config_checks import SEARCHED_BACKBONE
from autopanoptic.panoptic.model.merge.rules import MergeRules
from autopanoptic.panoptic.pretraining.settings import PretrainingSettings
from autopanoptic.panoptic.settings.checks import require_at_least, require_options
from autopanoptic.panoptic.settings.data import DataSettings
from autopanoptic.panoptic.settings.machine import MachineSettings
from autopanoptic.panoptic.settings.search import SearchSettings
from autopanoptic.panoptic.training.recipe import Recipe

if TYPE_CHECKING:
    from autopanoptic.panoptic.data.loading.transforms import Transform

STARTS = ("scratch", "supernet", "pretrained")
"""Values of `Settings.init` that name no file."""
LARGEST_SEED = 2**63 - 1
"""Torch's generators take hardly more."""


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
        require_options(self)
        require_at_least(0, self, "seed", "random_paths")
        if self.seed > LARGEST_SEED:
            raise ValueError(f"seed must be at most {LARGEST_SEED}, not {self.seed}")
        if not self.sandwich:
            require_at_least(1, self, "random_paths")
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
