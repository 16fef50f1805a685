"""What kinds of parts there are, each one object under a name; loads no torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from autopanoptic.panoptic.model.operators.options import (
    BLOCK_OPTIONS,
    BOX_HEADS,
    FUSION_OPTIONS,
    FUSIONS,
    HEAD_OPTIONS,
    MASK_HEADS,
    NECK_OPTIONS,
    PANOPTIC_HEADS,
    SEMANTIC_HEADS,
)

if TYPE_CHECKING:
    from collections.abc import Sequence  # noqa: F401 - in the types of `build`

    from torch import nn  # noqa: F401 - in the types of `build`

    from autopanoptic.nas import Size  # noqa: F401
    from autopanoptic.panoptic.model.backbone.inheritance import TrainedBlock  # noqa: F401
    from autopanoptic.panoptic.model.config import PanopticConfig  # noqa: F401
    from autopanoptic.panoptic.model.fusion.connections import Connections  # noqa: F401
    from autopanoptic.panoptic.model.fusion.fusion import FusionUnit  # noqa: F401
    from autopanoptic.panoptic.model.neck.fpn import FPN  # noqa: F401
    from autopanoptic.panoptic.model.operators.kernels import TrainedKernel  # noqa: F401
    from autopanoptic.panoptic.model.panoptic_head.head import PanopticLogits  # noqa: F401
    from autopanoptic.panoptic.model.semantic.head import SegmentationBranch  # noqa: F401
    from autopanoptic.panoptic.model.shapes import FeatureShape  # noqa: F401

Build = TypeVar("Build", bound=Callable[..., Any])
Learned = TypeVar("Learned")

SEARCH = "search"
"""What the config's ``neck`` says instead of a name, where it is a choice."""
_NAME = r"[A-Za-z][A-Za-z0-9_-]{0,31}"


@dataclass(frozen=True)
class Part(Generic[Build, Learned]):
    """A part of the network under a name; `register` makes it known, and a config names it.

    What `build` makes need not be drawn in any special way, and its parameters are trained as all others. It must run
    on torch's meta device, on which costs are counted; `check_parts` tries that, and the shapes.

    Attributes:
        name: The option's name in an architecture: at most 32 letters, digits, ``-`` and ``_``, a letter first.
        build: Makes the layer; what it is given and what the layer must do is said by each kind.
        inherit: Takes a layer that `build` has made and what the plain option has learned, and copies that as well as
            it can, so that a supernet of which one path has been trained begins with all options warm. None leaves the
            layer as it was drawn.
        elastic: Whether `build` takes sizes that are choices (`autopanoptic.nas.Width`), in the elastic space, as
            elastic layers do. A part that does not is refused there.
        flops: Floating-point operations of torch operators that torch's ``FlopCounterMode`` does not know, by operator,
            as its ``custom_mapping`` takes them: two for a multiply-add. An operator that neither knows counts as 0.

    Raises:
        ValueError: If there can be no such name.
    """

    name: str
    build: Build
    inherit: Callable[[Any, Learned], None] | None = None
    elastic: bool = False
    flops: Mapping[Any, Callable[..., int]] = field(default_factory=dict, compare=False)

    what: ClassVar[str] = "part"
    """The kind, in words."""
    shipped: ClassVar[tuple[str, ...]] = ()
    """Names of those that ship."""
    home: ClassVar[str] = ""
    """The module that registers them."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(_NAME, self.name) or self.name == SEARCH:
            raise ValueError(
                f"the name of a {self.what} must be a letter and at most 31 more letters, digits, - or _, and not "
                f"{SEARCH!r}; it is {self.name!r}"
            )


@dataclass(frozen=True)
class HeadOperator(Part["Callable[[Size, Size], nn.Module]", "TrainedKernel"]):
    """An operator of the mask head's and the segmentation branch's layers; the config's ``head_operators`` name it.

    `build` takes the channels of input and output, and makes a layer (B, C_in, H, W) to (B, C_out, H, W), with a bias
    and without norm or activation, which all options share. `inherit` gets the kernels of ``dw3``.
    """

    what = "head operator"
    shipped = HEAD_OPTIONS
    home = "autopanoptic.panoptic.model.operators.published"


@dataclass(frozen=True)
class BackboneBlock(Part["Callable[[Size, Size, int, PanopticConfig], nn.Module]", "TrainedBlock"]):
    """An option of a backbone's block; the config's ``blocks``, in the elastic space ``elastic_blocks``, name it.

    `build` takes the channels of input and output, the stride and the config, and makes a block (B, C_in, H, W) to
    (B, C_out, H / stride, W / stride). With stride 1 both channels are the same, with stride 2, in the first block of a
    stage, the output has more. Batch norms belong here; take `autopanoptic.panoptic.model.padding.batch_norm` and the
    config's ``batch_norm_momentum``. `inherit` gets the trained ``shuffle3``.
    """

    what = "backbone block"
    shipped = BLOCK_OPTIONS
    home = "autopanoptic.panoptic.model.backbone.published"


@dataclass(frozen=True)
class PyramidNeck(Part["Callable[[Sequence[Size], Size, PanopticConfig], nn.Module]", "FPN"]):
    """A neck; the config's ``neck`` names it, or ``necks`` do, where ``neck`` is ``"search"``.

    `build` takes the channels of C2..C5, those of every level of the pyramid, and the config. The neck takes a
    dictionary of ``"c2"`` to ``"c5"`` and gives one of ``"p2"`` to ``"p6"`` in that order, at strides 4, 8, 16, 32 and
    64, where sizes are rounded up. `inherit` gets the trained ``fpn``.
    """

    what = "neck"
    shipped = NECK_OPTIONS
    home = "autopanoptic.panoptic.model.neck.published"


@dataclass(frozen=True)
class FusionOperator(Part["Callable[[Size, Size, PanopticConfig], nn.Module]", "FusionUnit"]):
    """An option of a fusion unit between the branches; the config's ``fusion_units`` name it.

    `build` takes the channels of the branch that speaks, of all levels together, and of a level of the one that
    listens, and the config. The unit takes the first one's pooled features (B, C_in) and gives a factor a for each
    channel of the second, (B, C_out), which is applied as x + a x. `inherit` gets the trained ``r4``.
    """

    what = "fusion unit"
    shipped = FUSION_OPTIONS
    home = "autopanoptic.panoptic.model.fusion.published"


STUFF_SCORES = "scores of stuff and of any thing"
CLASS_SCORES = "scores of every class"
LEVEL_FEATURES = "features of stuff at P2 to P5"
PIXEL_FEATURES = "features of pixels side by side"
REGION_FEATURES = "a vector of features for each region"
BOTH = "classes of things and of stuff"
"""What a component may give and need."""


COMPONENTS_HOME = "autopanoptic.panoptic.model.parts.components"


@dataclass(frozen=True)
class Component(Part[Build, Any]):
    """A part of which a network has one, beside those of the other kinds.

    Attributes:
        gives: What others may need of it.
        needs: What others must give.
        losses: What its losses weigh in the total where components are chosen (the space ``published``), by their
            names, as its paper says; those that are not named weigh as the config says. Losses of which the config
            knows nothing weigh so in every space, or 1 where they are not named.
    """

    gives: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    losses: Mapping[str, float] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class SemanticHead(Component["Callable[[PanopticConfig, Mapping[str, FeatureShape]], SegmentationBranch]"]):
    """The background branch; the config's ``semantic_head`` names it.

    `build` takes the config and the shapes of P2..P6, and makes a `SegmentationBranch`.
    """

    what = "semantic head"
    shipped = SEMANTIC_HEADS
    home = COMPONENTS_HOME


@dataclass(frozen=True)
class BoxHead(Component["Callable[[PanopticConfig, Size], nn.Module]"]):
    """The layers of the box head before its predictors of classes and boxes; the config's ``box_head`` names it.

    `build` takes the config and the channels of the pooled features, and makes a module (N, C, M, M) to
    (N, ``box_hidden``), M the config's ``box_roi_size``.
    """

    what = "box head"
    shipped = BOX_HEADS
    home = COMPONENTS_HOME


@dataclass(frozen=True)
class MaskHead(Component["Callable[[PanopticConfig, Size, Size], nn.Module]"]):
    """The layers of the mask head before its predictor; the config's ``mask_head`` names it.

    `build` takes the config and the channels of input and output, and makes a module (N, C_in, M, M) to (N, C, M, M),
    whose children are its layers.
    """

    what = "mask head"
    shipped = MASK_HEADS
    home = COMPONENTS_HOME


@dataclass(frozen=True)
class BranchFusion(
    Component["Callable[[PanopticConfig, Mapping[str, FeatureShape], Mapping[str, FeatureShape]], Connections]"]
):
    """What connects the branches of things and of stuff; the config's ``fusion`` names it.

    `build` takes the config, the shapes of P2..P6 and those of the semantic head's features, and makes `Connections`.
    """

    what = "fusion"
    shipped = FUSIONS
    home = COMPONENTS_HOME


@dataclass(frozen=True)
class PanopticHead(Component["Callable[[PanopticConfig], PanopticLogits | None]"]):
    """What makes one map of things and stuff; the config's ``panoptic_head`` names it.

    `build` takes the config, and makes `PanopticLogits`, or None where they are merged by rules.

    Attributes:
        rules: Fields of `MergeRules` and their values, by which it makes a map where components are chosen, as its
            paper says; for the others those of the run hold.
    """

    rules: Mapping[str, Any] = field(default_factory=dict, compare=False)

    what = "panoptic head"
    shipped = PANOPTIC_HEADS
    home = COMPONENTS_HOME


AnyPart = Part[Any, Any]
COMPONENTS: dict[str, type[Component[Any]]] = {
    "semantic_head": SemanticHead,
    "box_head": BoxHead,
    "mask_head": MaskHead,
    "fusion": BranchFusion,
    "panoptic_head": PanopticHead,
}
"""The config's fields that name a component, and their kinds."""
OPERATORS: tuple[type[AnyPart], ...] = (HeadOperator, BackboneBlock, PyramidNeck, FusionOperator)
"""Kinds of which a choice has several."""
KINDS: tuple[type[AnyPart], ...] = (*OPERATORS, *COMPONENTS.values())
