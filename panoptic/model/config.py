"""The panoptic network's widths, depths, channels, classes and thresholds, as one validated value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from typing import Any

from autopanoptic.panoptic.configs.layers import shipped_section
from autopanoptic.panoptic.model import config_checks
from autopanoptic.panoptic.model.operators.options import (
    BLOCK_OPTIONS,
    FUSION_OPTIONS,
    FUSIONS,
    HEAD_OPTIONS,
    MASK_HEADS,
    NECK_OPTIONS,
    PANOPTIC_HEADS,
    SEMANTIC_HEADS,
)
from autopanoptic.panoptic.model.parts.fitting import OPTIONS, PUBLISHED
from autopanoptic.panoptic.model.parts.imports import import_modules
from autopanoptic.panoptic.model.parts.kinds import (
    COMPONENTS,
    SEARCH,
    AnyPart,
    BackboneBlock,
    FusionOperator,
    HeadOperator,
    PyramidNeck,
)

PYRAMID_STRIDES = (4, 8, 16, 32, 64)
"""Strides of the pyramid's levels P2 to P6, in pixels of the input image."""


@dataclass(frozen=True)
class PanopticConfig:
    """Everything that fixes a panoptic search space, so that equal configs build equal networks.

    The defaults are those of the Auto-Panoptic supernet (NeurIPS 2020) for COCO, but that padding is ignored. The
    presets `coco` and `scenes` are those of the configs of these names.

    Attributes:
        space: One of `SPACES`: the published operators; or these and widths and depths (``elastic``); or these and the
            components themselves (``published``).
        sizes: In the space published, whether widths and depths are choices, ``"elastic"``, or those of the space
            auto-panoptic, ``"fixed"``.
        num_things: Thing classes T; the network predicts labels 1..T. With 0 there are no proposals, boxes and masks,
            and no fusion, because one of its branches is missing.
        num_stuff: Stuff classes S (at most 254); the semantic map holds 1..S, and 0 for any thing. With 0 there is no
            segmentation branch and no fusion, and what is no thing stays void. One class at least is needed.
        imports: Modules that register parts of your own (see `register`), by their names in Python's import. They are
            imported when the config is made, from Python's path or the working folder.
        backbone: ``"search"``, whose blocks are choices; or a fixed one, beside which the rest is searched:
            ``"resnet50"``, ``"efficientnet-lite0"``, or a file of weights: a state dict of either, or what `pretrain`
            has written, whose architecture and widths it then has.
        backbone_blocks: The operators of a fixed backbone that `pretrain` has written, in their order.
        backbone_freeze_at: How many parts of a fixed backbone are not trained: 0 none, 1 the stem, 2 C2 as well, and
            so on to 5, all; None for 2. Not for the searched one, which is trained as a whole.
        backbone_frozen_norms: Whether the batch norms of a fixed backbone keep their statistics, scales and shifts;
            those of the parts that are not trained do in any case. None for true; not for the searched one.
        backbone_stride_in_1x1: Whether the first 1x1 convolution of a ``resnet50``'s blocks has the stride instead of
            the 3x3 one, as in the ResNets of He et al. 2016 and in weights that Caffe has trained.
        stem_width: Channels after the stem (stride 2).
        stage_widths: Channels of C2..C5, even numbers.
        stage_depths: Blocks in each of the four stages; each block is a choice.
        blocks: Names of the blocks among which each of them chooses; see `BackboneBlock`.
        batch_norm_momentum: Momentum of the backbone's batch norms, in (0, 1].
        backbone_init: Standard deviation of the kernels behind the stem, for groups of C input channels and kernels
            of k x k: ``"fan_in"`` 1 / (C k^2); ``"published"`` 1 / C, as in the code of single-path one-shot, so that
            depthwise kernels have 1. Steps of Adam's size hardly change those, for the batch norm takes their
            scale out of the gradient.
        neck: ``"fpn"``, ``"panet"``, ``"bifpn"`` or one of your own (see `PyramidNeck`); or ``"search"``, which makes
            the neck a choice.
        necks: Among these, where ``neck`` is ``"search"``.
        semantic_head: Name of the background branch; see `SemanticHead`.
        box_head: Name of the box head's layers; see `BoxHead`.
        mask_head: Name of the mask head's layers; see `MaskHead`.
        fusion: Name of what connects the branches of things and of stuff; see `BranchFusion`.
        panoptic_head: Name of what makes a map of things and stuff; see `PanopticHead`.
        semantic_heads: In the space published, the names among which it chooses in place of ``semantic_head``.
        mask_heads: The same in place of ``mask_head``.
        fusions: The same in place of ``fusion``, beside each semantic head among those that fit it.
        panoptic_heads: Likewise in place of ``panoptic_head``.
        pyramid_channels: Channels of P2..P6.
        norm_groups: Groups of every group norm; divides the pyramid's, the segmentation branch's and the box
            head's channels.
        segmentation_channels: Channels inside the segmentation branch; no fewer than the largest fusion reduction.
        segmentation_layers: Searched layers of the segmentation branch (shared over P2..P5).
        segmentation_align_corners: Whether the coarser levels' scores are upsampled so that the corners' centres fall
            on each other, as in the published code; then they shift with the size of the padded batch.
        segmentation_loss_weight: Weight of the segmentation loss in the total; losses of things weigh 1.
        roi_segmentation_loss_weight: The same of UPSNet's loss of pixels within the boxes of things; 0 leaves it out.
        panoptic_loss_weight: The same of the loss of panoptic logits.
        relation_loss_weight: The same of SOGNet's loss of relations.
        pixel_loss_factor: What the first three are multiplied by, whatever the model: short trainings end before stuff
            is learned with the papers' weights.
        fusion_units: Names of the fusion units among which each chooses; see `FusionOperator`.
        fusion_reductions: What the fusion units' options r4, r8 and r16 divide their channels by. The paper's code
            reads r16 as 6; (4, 8, 6) gives the shapes of its published weights.
        head_operators: Names of the operators among which the layers of both heads choose; see `HeadOperator`.
        mask_layers: Searched layers of the mask head.
        mask_roi_size: Side of the mask head's RoIAlign; masks come out at twice that.
        mask_init: Standard deviation of the mask predictor's last kernels, 1 x 1 over C channels: ``"fan_in"``
            1 / sqrt(C); ``"published"`` sqrt(2 / (1 + T)), by their fan-out, which with few classes is so much that
            steps of Adam's size hardly change them.
        mask_threshold: Probability above which a pixel belongs to a predicted mask.
        box_roi_size: Side of the box head's RoIAlign.
        box_hidden: Width of the box head's hidden layers, and so of a region's features.
        roi_sampling_ratio: Samples per RoIAlign bin and axis.
        roi_aligned: Whether RoIAlign takes a cell's centre to lie half a cell from its edge, as boxes do; else, as in
            the published code, features are read half a cell off.
        mask_aligned: Whether mask targets are cut out and predicted masks put in place in the boxes' own
            coordinates; else, as in the published code, targets are shifted by half a pixel and boxes are cut to
            whole pixels, and perfect masks of 28 x 28 reach an IoU of 0.92 on things of 30 pixels.
        roi_canonical_size: Side in pixels of the RoI that is pooled from P4 (Lin et al. 2017, equation 1).
        anchor_sizes: Anchor side in pixels, one for each of P2..P6.
        anchor_ratios: Height over width of the anchors.
        rpn_foreground_iou: Anchors that overlap a box at least so much are positive.
        rpn_background_iou: Anchors that overlap every box less than this are negative.
        rpn_samples: Anchors per image that enter the RPN's loss.
        rpn_positive_fraction: Highest share of positives among them.
        rpn_pre_nms_train: Proposals kept per level before non-maximum suppression (NMS) in training.
        rpn_pre_nms_test: The same at test time.
        rpn_post_nms_train: Proposals kept per image after NMS in training.
        rpn_post_nms_test: The same at test time; also the number of RoIs in a FLOPs count.
        rpn_regression_weights: Factors on the RPN's box targets (dx, dy, dw, dh).
        rpn_nms_iou: NMS threshold of the proposals.
        box_foreground_iou: RoIs that overlap a box at least so much are positive.
        box_background_iou: RoIs that overlap every box less than this are negative.
        box_samples: RoIs per image that enter the box head's loss.
        box_positive_fraction: Highest share of positives among them.
        box_regression_weights: Factors on the box head's targets (dx, dy, dw, dh); those of the paper give the
            targets of the scenes a standard deviation of 1.
        box_score_threshold: Detections below this score are dropped.
        box_nms_iou: NMS threshold of the detections, per class.
        detections_per_image: Most detections kept; also the number of masks in a FLOPs count.
        padding_ignored: Whether norms are computed over the cells that images cover, which leaves zeros beside them,
            and there are no proposals in the padding, so that what is seen in an image does not depend on the others of
            its batch; else, as in the published code, padding is seen like an image.
        image_divisor: Images are padded to multiples of this; a multiple of 32.
        elastic_blocks: In the elastic space, in place of ``blocks``.
        c2_widths: In the elastic space, the channels that C2 may have, multiples of 4, in place of ``stage_widths``.
        c3_widths: The same of C3.
        c4_widths: The same of C4.
        c5_widths: The same of C5.
        c2_depths: In the elastic space, the fewest and the most blocks of C2, in place of ``stage_depths``.
        c3_depths: The same of C3.
        c4_depths: The same of C4.
        c5_depths: The same of C5.
        pyramid_widths: In the elastic space, the channels that P2..P6 may have, in place of ``pyramid_channels``; there
            ``norm_groups`` are the groups of the largest width, and those of a smaller one are as large, but fewer.
        pyramid_depths: In the elastic space, the fewest and the most residual layers that refine each level.
        segmentation_widths: As ``pyramid_widths``, in place of ``segmentation_channels``.
        segmentation_depths: In place of ``segmentation_layers``.
        mask_widths: Channels that the mask head may have; where widths are fixed it has the pyramid's.
        mask_depths: In place of ``mask_layers``.

    Raises:
        ValueError: A field is out of range; the message names it, its value and what it may be.
    """

    space: str = "auto-panoptic"
    sizes: str = config_checks.ELASTIC
    num_things: int = 80
    num_stuff: int = 53
    imports: tuple[str, ...] = ()
    backbone: str = config_checks.SEARCHED_BACKBONE
    backbone_blocks: tuple[str, ...] = ()
    backbone_freeze_at: int | None = None
    backbone_frozen_norms: bool | None = None
    backbone_stride_in_1x1: bool = False
    stem_width: int = 48
    stage_widths: tuple[int, int, int, int] = (96, 240, 480, 960)
    stage_depths: tuple[int, int, int, int] = (8, 8, 16, 8)
    blocks: tuple[str, ...] = BLOCK_OPTIONS
    batch_norm_momentum: float = 0.1
    backbone_init: str = "published"
    neck: str = "fpn"
    necks: tuple[str, ...] = NECK_OPTIONS
    semantic_head: str = "searched"
    box_head: str = "two-fc-norm"
    mask_head: str = "searched"
    fusion: str = "attention"
    panoptic_head: str = "merge"
    semantic_heads: tuple[str, ...] = SEMANTIC_HEADS
    mask_heads: tuple[str, ...] = MASK_HEADS
    fusions: tuple[str, ...] = FUSIONS
    panoptic_heads: tuple[str, ...] = PANOPTIC_HEADS
    pyramid_channels: int = 256
    norm_groups: int = 32
    segmentation_channels: int = 128
    segmentation_layers: int = 3
    segmentation_align_corners: bool = False
    segmentation_loss_weight: float = 0.3
    roi_segmentation_loss_weight: float = 0.04
    panoptic_loss_weight: float = 0.1
    relation_loss_weight: float = 1.0
    pixel_loss_factor: float = 1.0
    fusion_units: tuple[str, ...] = FUSION_OPTIONS
    fusion_reductions: tuple[int, int, int] = (4, 8, 16)
    head_operators: tuple[str, ...] = HEAD_OPTIONS
    mask_layers: int = 4
    mask_roi_size: int = 14
    mask_init: str = "published"
    mask_threshold: float = 0.5
    box_roi_size: int = 7
    box_hidden: int = 1024
    roi_sampling_ratio: int = 2
    roi_aligned: bool = False
    mask_aligned: bool = False
    roi_canonical_size: int = 224
    anchor_sizes: tuple[int, int, int, int, int] = (32, 64, 128, 256, 512)
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    rpn_foreground_iou: float = 0.7
    rpn_background_iou: float = 0.3
    rpn_samples: int = 256
    rpn_positive_fraction: float = 0.5
    rpn_pre_nms_train: int = 2000
    rpn_pre_nms_test: int = 1000
    rpn_post_nms_train: int = 2000
    rpn_post_nms_test: int = 1000
    rpn_regression_weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    rpn_nms_iou: float = 0.7
    box_foreground_iou: float = 0.5
    box_background_iou: float = 0.5
    box_samples: int = 512
    box_positive_fraction: float = 0.25
    box_regression_weights: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)
    box_score_threshold: float = 0.05
    box_nms_iou: float = 0.5
    detections_per_image: int = 100
    padding_ignored: bool = True
    image_divisor: int = 32
    elastic_blocks: tuple[str, ...] = BLOCK_OPTIONS
    c2_widths: tuple[int, ...] = (64, 96, 144, 192)
    c3_widths: tuple[int, ...] = (160, 240, 360, 480)
    c4_widths: tuple[int, ...] = (320, 480, 720, 960)
    c5_widths: tuple[int, ...] = (640, 960, 1440, 1920)
    c2_depths: tuple[int, int] = (6, 12)
    c3_depths: tuple[int, int] = (6, 12)
    c4_depths: tuple[int, int] = (12, 24)
    c5_depths: tuple[int, int] = (6, 12)
    pyramid_widths: tuple[int, ...] = (192, 256, 384, 512)
    pyramid_depths: tuple[int, int] = (0, 1)
    segmentation_widths: tuple[int, ...] = (96, 128, 192, 256)
    segmentation_depths: tuple[int, int] = (2, 5)
    mask_widths: tuple[int, ...] = (192, 256, 384, 512)
    mask_depths: tuple[int, int] = (3, 6)

    def __post_init__(self) -> None:
        for name in config_checks.SEQUENCES:
            object.__setattr__(self, name, config_checks.as_tuple(name, getattr(self, name)))
        problems = list(config_checks.import_problems(self))
        if not problems:
            try:
                import_modules(self.imports)
            except ValueError as error:
                raise ValueError(f"PanopticConfig: {error}") from error
            problems = list(config_checks.problems(self))
        if problems:
            raise ValueError("PanopticConfig: " + "; ".join(problems))

    @property
    def frozen_parts(self) -> int:
        """How many parts of the backbone are not trained, the stem and C2 to C5; 0 for the searched one."""
        if self.backbone == config_checks.SEARCHED_BACKBONE:
            return 0
        return 2 if self.backbone_freeze_at is None else self.backbone_freeze_at

    @property
    def has_frozen_norms(self) -> bool:
        """Whether all batch norms of the backbone are frozen; those of the searched one never are."""
        return self.backbone != config_checks.SEARCHED_BACKBONE and self.backbone_frozen_norms is not False

    @property
    def elastic(self) -> bool:
        """Whether widths and depths are choices."""
        return self.space == config_checks.ELASTIC or (self.space == PUBLISHED and self.sizes == config_checks.ELASTIC)

    @property
    def block_options(self) -> tuple[str, ...]:
        """Names of the blocks of the config's space."""
        return self.elastic_blocks if self.elastic else self.blocks

    @property
    def neck_options(self) -> tuple[str, ...]:
        """Names of the necks: several where the neck is a choice."""
        return self.necks if self.neck == SEARCH else (self.neck,)

    def loss_weights(self, own: Mapping[str, float] | None = None) -> dict[str, float]:
        """Return the weights in the total of the losses that do not weigh 1.

        Args:
            own: What components say of theirs: in place of the config's, and of losses of which it knows nothing.
        """
        own = own or {}
        pixels = {
            "segmentation": self.segmentation_loss_weight,
            "roi_segmentation": self.roi_segmentation_loss_weight,
            "panoptic": self.panoptic_loss_weight,
        }
        found = {name: own.get(name, weight) * self.pixel_loss_factor for name, weight in pixels.items()}
        found["relation"] = own.get("relation", self.relation_loss_weight)
        found |= {name: weight for name, weight in own.items() if name not in found}
        behind = ("panoptic", "relation")  # a graph, before which each loss of the semantic head is taken once more
        return found | {f"first_{name}": weight for name, weight in found.items() if name not in behind}

    def field_of(self, kind: type[AnyPart]) -> str:
        """Return the name of the field that names the parts of a kind."""
        if kind is BackboneBlock:
            return "elastic_blocks" if self.elastic else "blocks"
        if kind is PyramidNeck:
            return "necks" if self.neck == SEARCH else "neck"
        operators = {HeadOperator: "head_operators", FusionOperator: "fusion_units"}
        return operators.get(kind) or next(field for field, one in COMPONENTS.items() if one is kind)

    def parts(self) -> Iterator[tuple[type[AnyPart], tuple[str, ...]]]:
        """Yield each kind of parts of which a choice has several, with the names of those that the network has."""
        yield BackboneBlock, self.block_options
        yield PyramidNeck, self.neck_options
        yield HeadOperator, self.head_operators
        yield FusionOperator, self.fusion_units

    def components(self) -> Iterator[tuple[type[AnyPart], tuple[str, ...]]]:
        """Yield each kind of parts of which a network has one, with its name, or where it is a choice with all."""
        for field, kind in COMPONENTS.items():
            chosen = self.space == PUBLISHED and field in OPTIONS
            yield kind, getattr(self, OPTIONS[field]) if chosen else (getattr(self, field),)

    @classmethod
    def coco(cls, num_things: int = 80, num_stuff: int = 53, *, searched: bool = False) -> PanopticConfig:
        """The paper's network: 40 backbone, 7 head and 9 fusion choices.

        Args:
            num_things: Thing classes (ADE20K: 100).
            num_stuff: Stuff classes (ADE20K: 50).
            searched: Take the widths and batch-norm momentum with which found networks are retrained ("3.8G")
                instead of the supernet's ("1.3G").
        """
        values = shipped_section("coco", "network") | (shipped_section("coco", "retrained_network") if searched else {})
        return cls.from_json(values | {"num_things": num_things, "num_stuff": num_stuff})

    @classmethod
    def scenes(cls, num_things: int, num_stuff: int) -> PanopticConfig:
        """A small network for images of about 100 pixels a side: 19 choices, trained on a CPU in minutes."""
        return cls.from_json(shipped_section("scenes", "network") | {"num_things": num_things, "num_stuff": num_stuff})

    def to_json(self) -> dict[str, Any]:
        """The fields as a JSON object, read back by `from_json`."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> PanopticConfig:
        """The config that `to_json` gave; fields that are left out keep their defaults.

        Raises:
            ValueError: A field is unknown, or its value is out of range.
        """
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                close = get_close_matches(name, known, n=1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                raise ValueError(f"PanopticConfig has no field {name!r}{hint}")
        return cls(**values)
