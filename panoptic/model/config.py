"""The panoptic network's widths, depths, channels, classes and thresholds, as one validated value."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from itertools import pairwise
from typing import Any

from autopanoptic.panoptic.configs.layers import shipped_section
from autopanoptic.panoptic.model.operators.options import HEAD_OPTIONS

NECKS = ("fpn", "panet", "bifpn", "search")
"""Necks to build; ``"search"`` makes the neck a choice among the other three."""

INITS = ("published", "fan_in")
"""How kernels are drawn: as the published code does, or by their fan-in."""

PYRAMID_STRIDES = (4, 8, 16, 32, 64)
"""Strides of the pyramid's levels P2 to P6, in pixels of the input image."""


@dataclass(frozen=True)
class PanopticConfig:
    """Everything that fixes a panoptic search space, so that equal configs build equal networks.

    The defaults are those of the Auto-Panoptic supernet (NeurIPS 2020) for COCO, but that padding is ignored. The
    presets `coco` and `scenes` are those of the configs of these names.

    Attributes:
        num_things: Thing classes T; the network predicts labels 1..T. With 0 there are no proposals, boxes and masks,
            and no fusion, because one of its branches is missing.
        num_stuff: Stuff classes S (at most 254); the semantic map holds 1..S, and 0 for any thing. With 0 there is no
            segmentation branch and no fusion, and what is no thing stays void. One class at least is needed.
        stem_width: Channels after the stem (stride 2).
        stage_widths: Channels of C2..C5, even numbers.
        stage_depths: Blocks in each of the four stages; each block is a choice.
        batch_norm_momentum: Momentum of the backbone's batch norms, in (0, 1].
        backbone_init: Standard deviation of the kernels behind the stem, for groups of C input channels and kernels
            of k x k: ``"fan_in"`` 1 / (C k^2); ``"published"`` 1 / C, as in the code of single-path one-shot, so that
            depthwise kernels have 1. Steps of Adam's size hardly change those, for the batch norm takes their
            scale out of the gradient.
        neck: ``"fpn"``, ``"panet"``, ``"bifpn"``, or ``"search"``, which makes the neck a choice among the three.
        pyramid_channels: Channels of P2..P6.
        norm_groups: Groups of every group norm; divides the pyramid's, the segmentation branch's and the box
            head's channels.
        segmentation_channels: Channels inside the segmentation branch; no fewer than the largest fusion reduction.
        segmentation_layers: Searched layers of the segmentation branch (shared over P2..P5).
        segmentation_align_corners: Whether the coarser levels' scores are upsampled so that the corners' centres fall
            on each other, as in the published code; then they shift with the size of the padded batch.
        segmentation_loss_weight: Weight of the segmentation loss in the total; the other losses weigh 1.
        fusion_reductions: What the fusion units' options r4, r8 and r16 divide their channels by. The paper's code
            reads r16 as 6; (4, 8, 6) gives the shapes of its published weights.
        head_operators: Names of the operators among which the layers of both heads choose; see `add_operator`.
        mask_layers: Searched layers of the mask head.
        mask_roi_size: Side of the mask head's RoIAlign; masks come out at twice that.
        mask_init: Standard deviation of the mask predictor's last kernels, 1 x 1 over C channels: ``"fan_in"``
            1 / sqrt(C); ``"published"`` sqrt(2 / (1 + T)), by their fan-out, which with few classes is so much that
            steps of Adam's size hardly change them.
        mask_threshold: Probability above which a pixel belongs to a predicted mask.
        box_roi_size: Side of the box head's RoIAlign.
        box_hidden: Width of the box head's two hidden layers.
        box_norm: Whether group norms follow them, instead of biases.
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

    Raises:
        ValueError: A field is out of range; the message names it, its value and what it may be.
    """

    num_things: int = 80
    num_stuff: int = 53
    stem_width: int = 48
    stage_widths: tuple[int, int, int, int] = (96, 240, 480, 960)
    stage_depths: tuple[int, int, int, int] = (8, 8, 16, 8)
    batch_norm_momentum: float = 0.1
    backbone_init: str = "published"
    neck: str = "fpn"
    pyramid_channels: int = 256
    norm_groups: int = 32
    segmentation_channels: int = 128
    segmentation_layers: int = 3
    segmentation_align_corners: bool = False
    segmentation_loss_weight: float = 0.3
    fusion_reductions: tuple[int, int, int] = (4, 8, 16)
    head_operators: tuple[str, ...] = HEAD_OPTIONS
    mask_layers: int = 4
    mask_roi_size: int = 14
    mask_init: str = "published"
    mask_threshold: float = 0.5
    box_roi_size: int = 7
    box_hidden: int = 1024
    box_norm: bool = True
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

    def __post_init__(self) -> None:
        for name in _SEQUENCES:
            object.__setattr__(self, name, _as_tuple(name, getattr(self, name)))
        problems = list(_problems(self))
        if problems:
            raise ValueError("PanopticConfig: " + "; ".join(problems))

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


_REAL = ("anchor_ratios", "box_regression_weights", "rpn_regression_weights")
_SEQUENCES = (*_REAL, "stage_widths", "stage_depths", "fusion_reductions", "anchor_sizes", "head_operators")
_MAY_BE_ZERO = ("num_things", "num_stuff")
_LENGTHS = {"stage_widths": 4, "stage_depths": 4, "fusion_reductions": 3, "anchor_sizes": len(PYRAMID_STRIDES),
    "box_regression_weights": 4, "rpn_regression_weights": 4}  # fmt: skip
_FRACTIONS = tuple(
    field.name for field in fields(PanopticConfig) if field.name.endswith(("_iou", "_fraction", "_threshold"))
)


def _as_tuple(name: str, value: object) -> tuple[Any, ...]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise ValueError(f"PanopticConfig: {name} must be a sequence, not {value!r}")
    return tuple(value)


def _problems(config: PanopticConfig) -> Iterator[str]:
    unusable = list(_number_problems(config))
    yield from unusable
    if not unusable:
        yield from _shape_problems(config)
        yield from _threshold_problems(config)


def _number_problems(config: PanopticConfig) -> Iterator[str]:
    """Every field alone: its type, length and sign."""
    for field in fields(config):
        value = getattr(config, field.name)
        least = 0 if field.name in _MAY_BE_ZERO else 1
        if field.name == "head_operators":
            yield from _name_problems(field.name, value)
        elif field.name in _SEQUENCES:
            yield from _sequence_problems(field.name, value)
        elif field.type == "int" and not _is_count(value, least):
            yield f"{field.name} must be an integer of at least {least}, not {value!r}"
        elif field.type == "bool" and not isinstance(value, bool):
            yield f"{field.name} must be true or false, not {value!r}"
        elif field.type == "float" and not _is_number(value):
            yield f"{field.name} must be a finite number, not {value!r}"


def _sequence_problems(name: str, value: tuple[object, ...]) -> Iterator[str]:
    if len(value) != _LENGTHS.get(name, len(value)) or not value:
        yield f"{name} must hold {_LENGTHS.get(name, 'at least 1')} numbers, not {list(value)}"
    for item in value:
        if name not in _REAL and not _is_count(item):
            yield f"{name} must hold integers of at least 1, not {item!r}"
        elif not _is_number(item) or float(item) <= 0:  # type: ignore[arg-type]
            yield f"{name} must hold positive numbers, not {item!r}"


def _name_problems(name: str, value: tuple[object, ...]) -> Iterator[str]:
    if not value or not all(isinstance(item, str) for item in value) or len(set(value)) < len(value):
        yield f"{name} must hold at least one name, each once, not {list(value)}"


def _is_count(value: object, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _shape_problems(config: PanopticConfig) -> Iterator[str]:
    if config.neck not in NECKS:
        yield f"neck must be one of {', '.join(NECKS)}, not {config.neck!r}"
    for name in ("backbone_init", "mask_init"):
        if getattr(config, name) not in INITS:
            yield f"{name} must be one of {', '.join(INITS)}, not {getattr(config, name)!r}"
    if config.num_things + config.num_stuff == 0:
        yield "num_things and num_stuff are both 0; a network needs at least one class"
    if config.num_stuff > 254:
        yield f"num_stuff must be at most 254 (255 is void in the semantic map), not {config.num_stuff}"
    for width in config.stage_widths:
        if width % 2:
            yield f"stage_widths must be even (blocks split the channels in halves), not {width}"
    widths = (config.stem_width, *config.stage_widths)
    if any(narrow >= wide for narrow, wide in pairwise(widths)):
        yield f"stage_widths must grow from stem_width {config.stem_width} on, not {list(config.stage_widths)}"
    for name in ("pyramid_channels", "segmentation_channels", "box_hidden"):
        width, groups = getattr(config, name), config.norm_groups
        if width % groups:
            yield f"{name} must be a multiple of norm_groups {groups}, not {width}"
    for name in ("pyramid_channels", "segmentation_channels"):
        channels, most = getattr(config, name), max(config.fusion_reductions)
        if channels < most:
            yield f"{name} must be at least the largest of fusion_reductions, {most}, not {channels}"
    if config.image_divisor % 32:
        yield f"image_divisor must be a multiple of the stride 32, not {config.image_divisor}"


def _threshold_problems(config: PanopticConfig) -> Iterator[str]:
    for name in _FRACTIONS:
        if not 0 <= getattr(config, name) <= 1:
            yield f"{name} must lie in [0, 1], not {getattr(config, name)}"
    for part in ("rpn", "box"):
        low, high = getattr(config, f"{part}_background_iou"), getattr(config, f"{part}_foreground_iou")
        if low > high:
            yield f"{part}_background_iou {low} must not exceed {part}_foreground_iou {high}"
    if not 0 < config.batch_norm_momentum <= 1:
        yield f"batch_norm_momentum must lie in (0, 1], not {config.batch_norm_momentum}"
    if config.segmentation_loss_weight < 0:
        yield f"segmentation_loss_weight must not be negative, not {config.segmentation_loss_weight}"
