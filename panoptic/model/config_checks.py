"""What may be wrong with a `PanopticConfig`, each problem as a sentence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from autopanoptic.panoptic.model.parts.fitting import OPTIONS, PUBLISHED, component_problems
from autopanoptic.panoptic.model.parts.imports import name_problem
from autopanoptic.panoptic.model.parts.kinds import (
    COMPONENTS,
    SEARCH,
    AnyPart,
    BackboneBlock,
    FusionOperator,
    HeadOperator,
    PyramidNeck,
)
from autopanoptic.panoptic.model.parts.registry import HOW, names_of, unknown

if TYPE_CHECKING:
    from autopanoptic.panoptic.model.config import PanopticConfig

ELASTIC = "elastic"
SPACES = ("auto-panoptic", ELASTIC, PUBLISHED)
"""Spaces of networks: the published operators; these and the widths and depths of every part; or with the components
of published models as well."""
SIZES = (ELASTIC, "fixed")
"""What widths and depths are in the space published."""

SEARCHED_BACKBONE = "search"
"""The backbone whose blocks are choices."""

KNOWN_BACKBONES = ("resnet50", "efficientnet-lite0")
"""Fixed backbones by name; any other name is that of a file of weights."""

FOUND_BACKBONES = ("shufflenet", "interleaved")
"""What a file of a backbone that a search has found holds: blocks of fixed widths, or of widths that were choices."""

_NO_RESNET = (SEARCHED_BACKBONE, "efficientnet-lite0", *FOUND_BACKBONES)

INITS = ("published", "fan_in")
"""How kernels are drawn: as the published code does, or by their fan-in."""

_REAL = ("anchor_ratios", "box_regression_weights", "rpn_regression_weights")
WIDTHS = ("c2_widths", "c3_widths", "c4_widths", "c5_widths", "pyramid_widths", "segmentation_widths", "mask_widths")
DEPTHS = ("c2_depths", "c3_depths", "c4_depths", "c5_depths", "pyramid_depths", "segmentation_depths", "mask_depths")
PARTS: dict[str, type[AnyPart]] = {
    "blocks": BackboneBlock,
    "elastic_blocks": BackboneBlock,
    "necks": PyramidNeck,
    "head_operators": HeadOperator,
    "fusion_units": FusionOperator,
    **{names: COMPONENTS[field] for field, names in OPTIONS.items()},
}
"""Fields that name parts, and their kinds."""
SEQUENCES = (
    *_REAL,
    *WIDTHS,
    *DEPTHS,
    "stage_widths",
    "stage_depths",
    "fusion_reductions",
    "anchor_sizes",
    "imports",
    "backbone_blocks",
    *PARTS,
)
_MAY_BE_ZERO = ("num_things", "num_stuff", "backbone_freeze_at")
_LENGTHS = {"stage_widths": 4, "stage_depths": 4, "fusion_reductions": 3, "anchor_sizes": 5,
    "box_regression_weights": 4, "rpn_regression_weights": 4, **dict.fromkeys(DEPTHS, 2)}  # fmt: skip
_FRACTIONS = ("_iou", "_fraction", "_threshold")


def as_tuple(name: str, value: object) -> tuple[Any, ...]:
    """Return a field's sequence as a tuple; ValueError for anything else."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise ValueError(f"PanopticConfig: {name} must be a sequence, not {value!r}")
    return tuple(value)


def problems(config: PanopticConfig) -> Iterator[str]:
    """Yield what is wrong with a config."""
    unusable = list(_number_problems(config))
    yield from unusable
    if not unusable:
        yield from _shape_problems(config)
        yield from _backbone_problems(config)
        yield from component_problems(config)
        yield from _elastic_problems(config) if config.elastic else _published_problems(config)
        yield from _threshold_problems(config)


def _number_problems(config: PanopticConfig) -> Iterator[str]:
    """Every field alone: its type, length and sign."""
    for field in fields(config):
        value, kind = getattr(config, field.name), str(field.type).removesuffix(" | None")
        if value is None and kind != field.type:
            continue
        least = 0 if field.name in _MAY_BE_ZERO else 1
        if field.name in PARTS:
            yield from _part_problems(field.name, value)
        elif field.name in ("imports", "backbone_blocks"):
            continue
        elif field.name in SEQUENCES:
            yield from _sequence_problems(field.name, value)
        elif kind == "int" and not _is_count(value, least):
            yield f"{field.name} must be an integer of at least {least}, not {value!r}"
        elif kind == "bool" and not isinstance(value, bool):
            yield f"{field.name} must be true or false, not {value!r}"
        elif kind == "float" and not _is_number(value):
            yield f"{field.name} must be a finite number, not {value!r}"


def _sequence_problems(name: str, value: tuple[object, ...]) -> Iterator[str]:
    if len(value) != _LENGTHS.get(name, len(value)) or not value:
        yield f"{name} must hold {_LENGTHS.get(name, 'at least 1')} numbers, not {list(value)}"
    for item in value:
        least = 0 if name == "pyramid_depths" else 1
        if name not in _REAL and not _is_count(item, least):
            yield f"{name} must hold integers of at least {least}, not {item!r}"
        elif name in _REAL and (not _is_number(item) or float(item) <= 0):  # type: ignore[arg-type]
            yield f"{name} must hold positive numbers, not {item!r}"


def import_problems(config: PanopticConfig) -> Iterator[str]:
    """Yield why the modules that a config names cannot be imported, before it is tried."""
    for name in config.imports:
        if problem := name_problem(name):
            yield f"imports {problem}"


def _part_problems(name: str, value: tuple[object, ...]) -> Iterator[str]:
    if not value or not all(isinstance(item, str) for item in value) or len(set(value)) < len(value):
        yield f"{name} must hold at least one name, each once, not {list(value)}"
        return
    known = names_of(PARTS[name])
    yield from (f"{name}: {unknown(PARTS[name], item)}" for item in value if item not in known)


def _is_count(value: object, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _shape_problems(config: PanopticConfig) -> Iterator[str]:
    if config.space not in SPACES:
        yield f"space must be one of {', '.join(SPACES)}, not {config.space!r}"
    if config.sizes not in SIZES:
        yield f"sizes must be one of {', '.join(SIZES)}, not {config.sizes!r}"
    if config.neck not in (SEARCH, *names_of(PyramidNeck)):
        yield f"neck must be one of {', '.join(names_of(PyramidNeck))}, {SEARCH}, not {config.neck!r}. {HOW}"
    for name in ("backbone_init", "mask_init"):
        if getattr(config, name) not in INITS:
            yield f"{name} must be one of {', '.join(INITS)}, not {getattr(config, name)!r}"
    if config.num_things + config.num_stuff == 0:
        yield "num_things and num_stuff are both 0; a network needs at least one class"
    if config.num_stuff > 254:
        yield f"num_stuff must be at most 254 (255 is void in the semantic map), not {config.num_stuff}"
    heads = config.semantic_heads if config.space == PUBLISHED else (config.semantic_head,)
    if "upsnet" in heads and config.num_things + config.num_stuff > 255:
        yield (
            "num_things and num_stuff must be at most 255 together for the semantic head upsnet, whose labels of all "
            f"classes are bytes, not {config.num_things} + {config.num_stuff}"
        )
    if config.image_divisor % 32:
        yield f"image_divisor must be a multiple of the stride 32, not {config.image_divisor}"


def _backbone_problems(config: PanopticConfig) -> Iterator[str]:
    if not isinstance(config.backbone, str) or not config.backbone.strip():
        yield f"backbone must be search, resnet50, efficientnet-lite0 or a file of weights, not {config.backbone!r}"
    if config.backbone_freeze_at is not None and config.backbone_freeze_at > 5:
        yield f"backbone_freeze_at counts the stem and C2 to C5, so it is 0 to 5, not {config.backbone_freeze_at}"
    for name in ("backbone_freeze_at", "backbone_frozen_norms"):
        if config.backbone == SEARCHED_BACKBONE and getattr(config, name) is not None:
            yield (
                f"{name} is for a fixed backbone, and the searched one is trained as a whole; leave it out, or take "
                f"backbone: {', '.join(KNOWN_BACKBONES)} or a file of weights"
            )
    if config.backbone_stride_in_1x1 and config.backbone in _NO_RESNET:
        yield (
            f"backbone_stride_in_1x1 is for the blocks of a resnet50, and the backbone is {config.backbone}; leave it "
            "out"
        )
    yield from _block_problems(config)


def _block_problems(config: PanopticConfig) -> Iterator[str]:
    blocks, needed = config.backbone_blocks, sum(config.stage_depths)
    if config.backbone not in FOUND_BACKBONES:
        if blocks:
            yield f"backbone_blocks are for {' and '.join(FOUND_BACKBONES)}, not for the backbone {config.backbone}"
        return
    known = names_of(BackboneBlock)
    if len(blocks) != needed or not all(isinstance(block, str) for block in blocks):
        yield (
            f"backbone_blocks must hold an operator for each of the {needed} blocks of a {config.backbone}, some of "
            f"{', '.join(known)}, not {list(blocks)}; give the file that pretrain has written as the backbone"
        )
        return
    odd = (block for block in dict.fromkeys(blocks) if block not in known)
    yield from (f"backbone_blocks: {unknown(BackboneBlock, block)}" for block in odd)


def _published_problems(config: PanopticConfig) -> Iterator[str]:
    if config.backbone in (SEARCHED_BACKBONE, "shufflenet"):
        yield from _width_problems(config)
    for name in ("pyramid_channels", "segmentation_channels", "box_hidden"):
        width, groups = getattr(config, name), config.norm_groups
        if width % groups:
            yield f"{name} must be a multiple of norm_groups {groups}, not {width}"
    for name in ("pyramid_channels", "segmentation_channels"):
        channels, most = getattr(config, name), max(config.fusion_reductions)
        if channels < most:
            yield f"{name} must be at least the largest of fusion_reductions, {most}, not {channels}"


def _width_problems(config: PanopticConfig) -> Iterator[str]:
    for width in config.stage_widths:
        if width % 2:
            yield f"stage_widths must be even (blocks split the channels in halves), not {width}"
    widths = (config.stem_width, *config.stage_widths)
    if any(narrow >= wide for narrow, wide in pairwise(widths)):
        yield f"stage_widths must grow from stem_width {config.stem_width} on, not {list(config.stage_widths)}"


def _elastic_problems(config: PanopticConfig) -> Iterator[str]:
    for name in WIDTHS:
        options = getattr(config, name)
        if len(set(options)) < len(options):
            yield f"{name} must hold each width once, not {list(options)}"
        if name.startswith("c") and any(width % 4 for width in options):
            yield f"{name} must be multiples of 4 (blocks split the channels in pairs), not {list(options)}"
    for name in DEPTHS:
        fewest, most = getattr(config, name)
        if fewest > most:
            yield f"{name} must hold the fewest and the most layers, not {[fewest, most]}"
    for name in ("pyramid_widths", "segmentation_widths", "mask_widths"):
        options = getattr(config, name)
        group, rest = divmod(max(options), config.norm_groups)
        if rest or any(width % group for width in options):
            yield (
                f"{name} {list(options)} must be multiples of a group's channels, which are those of the largest width "
                f"divided by norm_groups {config.norm_groups}"
            )
    if config.box_hidden % config.norm_groups:
        yield f"box_hidden must be a multiple of norm_groups {config.norm_groups}, not {config.box_hidden}"
    for name in ("pyramid_widths", "segmentation_widths"):
        least, most = min(getattr(config, name)), max(config.fusion_reductions)
        if least < most:
            yield f"{name} must be at least the largest of fusion_reductions, {most}, not {least}"


def _threshold_problems(config: PanopticConfig) -> Iterator[str]:
    for name in (field.name for field in fields(config) if field.name.endswith(_FRACTIONS)):
        if not 0 <= getattr(config, name) <= 1:
            yield f"{name} must lie in [0, 1], not {getattr(config, name)}"
    for part in ("rpn", "box"):
        low, high = getattr(config, f"{part}_background_iou"), getattr(config, f"{part}_foreground_iou")
        if low > high:
            yield f"{part}_background_iou {low} must not exceed {part}_foreground_iou {high}"
    if not 0 < config.batch_norm_momentum <= 1:
        yield f"batch_norm_momentum must lie in (0, 1], not {config.batch_norm_momentum}"
    weights = (field.name for field in fields(config) if field.name.endswith("_loss_weight"))
    for name in (*weights, "pixel_loss_factor"):
        if getattr(config, name) < 0:
            yield f"{name} must not be negative, not {getattr(config, name)}"
