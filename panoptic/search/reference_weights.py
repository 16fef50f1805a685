"""Weights under the names of Auto-Panoptic's published code, taken over by a network of this package.

| there | here |
|---|---|
| ``backbone.body.first_conv`` | ``backbone.stem`` |
| ``backbone.body.features.<n>.conv`` and ``.proj_conv`` | ``backbone.stages.c<2..5>.<n>.branch`` and ``.projection`` |
| ``backbone.fpn.fpn_inner2..5``, ``fpn_layer2..5`` | ``neck.pyramid.fpn.inner_blocks.0..3``, ``layer_blocks.0..3`` |
| ``rpn.head`` | ``rpn.head`` |
| ``roi_heads.box.feature_extractor.fc6``, ``fc7`` | ``roi_heads.box_head`` |
| ``roi_heads.box.predictor.cls_score``, ``bbox_pred`` | ``roi_heads.box_predictor.classes``, ``boxes`` |
| ``roi_heads.mask.feature_extractor.AutoPanoptic_mask_fcn_1..4`` | ``roi_heads.mask_head.0..3`` |
| ``roi_heads.mask.predictor.conv5_mask``, ``mask_fcn_logits`` | ``roi_heads.mask_predictor.0``, ``2`` |
| ``seg_branch.subnet0_0..2``, ``seg_branch.score`` | ``segmentation.layers.0..2``, ``segmentation.score`` |
| ``f2b.inter_layer0..3.fc.0`` and ``.2`` | ``foreground_to_background.units.p2..p5.squeeze`` and ``.excite`` |
| ``seg_branch.b2f.inter_layer0..4`` | ``background_to_foreground.units.p2..p6`` |

In a supernet there, the body is ``backbone``, the pyramid ``fpn``, and the number of the option follows a layer's name.
Each option of a head's layer has a group norm of its own there, and all share one here: so its paths can be taken, one
architecture at a time, but not all of it at once; of the backbone all. Weights from the classification on ImageNet are
the body alone, without a prefix. Left out are the lateral level of the stem, which nothing reads, and the anchors.

The first convolution is made one of the images that it will see: by default RGB normalised by ImageNet's mean and
deviation, where there it sees BGR from 0 to 255, minus a mean in panoptic networks. They differ where the convolution
reads beyond the border, unless the images are normalised as there.
The fusion's third option divides by 6 there: take ``fusion_reductions`` (4, 8, 6).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from autopanoptic.nas import Option
from autopanoptic.panoptic.data.loading.normalization import CAFFE_BGR, IMAGENET, Normalization
from autopanoptic.panoptic.model.operators.options import BLOCK_OPTIONS, FUSION_OPTIONS, HEAD_OPTIONS
from autopanoptic.panoptic.model.weights import COUNTER, difference

_BLOCKS = dict(zip(BLOCK_OPTIONS, ("shufflenet_3x3", "shufflenet_5x5", "shufflenet_7x7", "xception_3x3"), strict=True))
_PLACES = {
    "shuffle": {0: "0.{c}2a", 1: "0.{n}2a", 3: "1.{c}2b_s", 4: "1.{c}2b_s_bn", 5: "1.{c}2b", 6: "1.{n}2b"},
    "xception": {
        0: "0.{c}2a_s", 1: "0.{c}2a_s_bn", 2: "0.{c}2a", 3: "0.{n}2a",
        5: "1.{c}2b_s", 6: "1.{c}2b_s_bn", 7: "1.{c}2b", 8: "1.{n}2b",
        10: "2.{c}2c_s", 11: "2.{c}2c_s_bn", 12: "2.{c}2c", 13: "2.{n}2c",
    },
    "projection": {0: "{c}_s", 1: "{c}_s_bn", 2: "{c}", 3: "{n}"},
}  # fmt: skip
"""What stands there for the layers of a branch, by their number here; c is a convolution's name, n that of a norm."""
_FIXED = {
    "segmentation.score.": "seg_branch.score.",
    "rpn.head.conv.0.0.": "rpn.head.conv.",
    "rpn.head.cls_logits.": "rpn.head.cls_logits.",
    "rpn.head.bbox_pred.": "rpn.head.bbox_pred.",
    "roi_heads.box_head.1.": "roi_heads.box.feature_extractor.fc6.0.",
    "roi_heads.box_head.2.": "roi_heads.box.feature_extractor.fc6.1.",
    "roi_heads.box_head.4.": "roi_heads.box.feature_extractor.fc7.0.",
    "roi_heads.box_head.5.": "roi_heads.box.feature_extractor.fc7.1.",
    "roi_heads.box_predictor.classes.": "roi_heads.box.predictor.cls_score.",
    "roi_heads.box_predictor.boxes.": "roi_heads.box.predictor.bbox_pred.",
    "roi_heads.mask_predictor.0.": "roi_heads.mask.predictor.conv5_mask.",
    "roi_heads.mask_predictor.2.": "roi_heads.mask.predictor.mask_fcn_logits.",
}
_OPERATOR = {"offset.": "conv.conv_offset.", "depthwise.": "depthwise.", "pointwise.": "pointwise.", "": "conv."}
_OTHER_OPTION = re.compile(r"(features\.\d+|AutoPanoptic_mask_fcn_\d|subnet0_\d|inter_layer\d)\.\d\.")
_UNREAD = re.compile(r"fpn_(inner|layer)1\.|rpn\.anchor_generator\.")


class Layout(NamedTuple):
    """How a state dict names its parts.

    Attributes:
        body: Before the backbone's names.
        fpn: Before the pyramid's names.
        options: Whether the number of the option follows a layer's name.
        classifier: Whether it is of the classification on ImageNet.
    """

    body: str
    fpn: str
    options: bool
    classifier: bool


def layout_of(names: Collection[str]) -> Layout | None:
    """Return how the published code's names are; None where they are not its."""
    body = next((one for one in ("backbone.body.", "backbone.", "") if f"{one}first_conv.conv.weight" in names), None)
    if body is None:
        return None
    options = any(name.startswith(f"{body}features.0.0.") for name in names)
    return Layout(body, "backbone.fpn." if body == "backbone.body." else "fpn.", options, not body)


def from_reference(
    found: Mapping[str, Any],
    own: Mapping[str, Any],
    depths: Sequence[int],
    architecture: Mapping[str, Option] | None = None,
    normalization: Normalization = IMAGENET,
) -> dict[str, Any]:
    """Return the tensors of a state dict of the published code under this package's names.

    Args:
        found: The state dict, with or without ``module.`` before its names.
        own: Of the network that is to have them, which is an architecture's stand-alone network; or a part of it, or
            the backbone of a supernet, whose names still begin with ``backbone.``.
        depths: Blocks in each stage of the backbone.
        architecture: Of the network; None for a supernet's backbone, whose names here tell the options.
        normalization: Of the images that it will see.

    Returns:
        A tensor for each name of ``own``, of whatever shape it was found; counters of batch norms are those of ``own``.

    Raises:
        ValueError: If the names do not fit; names those that are missing there, and those that are unknown.
    """
    names = {str(name).removeprefix("module."): value for name, value in found.items()}
    layout = layout_of(names)
    if layout is None:
        raise ValueError("these are not the names of Auto-Panoptic's published code: there is no first_conv")
    theirs = {name: _name(name, layout, depths, architecture) for name in own if not name.endswith(COUNTER)}
    wanted = set(theirs.values())
    parts = () if _whole(own) else (layout.body,)
    kept = [name for name in names if name in wanted or not _is_left_out(name, layout, parts)]
    problem = difference(dict.fromkeys(wanted), dict.fromkeys(kept))
    if problem:
        raise ValueError(f"under the names of Auto-Panoptic's published code, {problem}")
    state = {name: names[theirs[name]] if name in theirs else own[name] for name in own}
    _adapt_stem(state, layout, normalization)
    return state


def _whole(own: Collection[str]) -> bool:
    return any(not name.startswith("backbone.") for name in own)


def _is_left_out(name: str, layout: Layout, parts: tuple[str, ...]) -> bool:
    if name.endswith(COUNTER) or _UNREAD.search(name):
        return True
    if parts and (not name.startswith((f"{parts[0]}first_conv.", f"{parts[0]}features."))):
        return True
    return layout.options and _OTHER_OPTION.search(name) is not None


def _name(own: str, layout: Layout, depths: Sequence[int], architecture: Mapping[str, Option] | None) -> str:
    """Return the published code's name of a tensor."""
    fixed = next((start for start in _FIXED if own.startswith(start)), None)
    if fixed is not None:
        return _FIXED[fixed] + own.removeprefix(fixed)
    if match := re.fullmatch(r"backbone\.stem\.([01])\.(.+)", own):
        return f"{layout.body}first_conv.{('conv', 'bn')[int(match[1])]}.{match[2]}"
    if match := re.fullmatch(r"neck\.pyramid\.fpn\.(inner|layer)_blocks\.(\d)\.(.+)", own):
        return f"{layout.fpn}fpn_{match[1]}{int(match[2]) + 2}.{match[3]}"
    found = _block(own, layout, depths, architecture)
    if found is None and architecture:
        found = _layer(own, layout, architecture) or _unit(own, layout, architecture)
    if not found:
        raise ValueError(
            f"{own} has no counterpart in Auto-Panoptic's published code. Its weights fit the network of one "
            "architecture of the space auto-panoptic (retrain --architecture), or a backbone (init_part: backbone)"
        )
    return found


def _block(own: str, layout: Layout, depths: Sequence[int], architecture: Mapping[str, Option] | None) -> str | None:
    pattern = r"backbone\.stages\.c([2-5])\.(\d+)\.(?:(shuffle\d|xception\d)\.)?(branch|projection)\.(\d+)\.(.+)"
    match = re.fullmatch(pattern, own)
    if match is None:
        return None
    stage, position = int(match[1]) - 2, int(match[2])
    number = sum(depths[:stage]) + position
    option = match[3] or str((architecture or {}).get(f"backbone.{number}"))
    if option not in _BLOCKS:
        return None
    place = f"{stage + 1}{chr(ord('a') + position)}"
    kind = "projection" if match[4] == "projection" else option[:-1]
    layer = f"{place}_proj" if kind == "projection" else f"{place}_{_BLOCKS[option]}_branch"
    form = _PLACES[kind][int(match[5])].format(c=f"interstellar{layer}", n=f"bn{layer}")
    path = f"{layout.body}features.{number}{_option(layout, BLOCK_OPTIONS, option)}"
    return f"{path}.{'proj_conv' if kind == 'projection' else 'conv'}.{form}.{match[6]}"


def _layer(own: str, layout: Layout, architecture: Mapping[str, Option]) -> str | None:
    match = re.fullmatch(r"(segmentation\.layers|roi_heads\.mask_head)\.(\d+)\.([01])\.(.+)", own)
    if match is None:
        return None
    part, number = match[1], int(match[2])
    mask = part.startswith("roi")
    option = str(architecture.get(f"{'mask' if mask else 'segmentation'}.{number}"))
    if option not in HEAD_OPTIONS:
        return None
    where = (
        f"roi_heads.mask.feature_extractor.AutoPanoptic_mask_fcn_{number + 1}"
        if mask
        else f"seg_branch.subnet0_{number}"
    )
    if match[3] == "1":
        rest = f"1.groupnorm.{match[4]}"
    else:
        start = next(start for start in _OPERATOR if match[4].startswith(start))
        rest = f"0.{_OPERATOR[start]}{match[4].removeprefix(start)}"
    return f"{where}{_option(layout, HEAD_OPTIONS, option)}.{rest}"


def _unit(own: str, layout: Layout, architecture: Mapping[str, Option]) -> str | None:
    pattern = r"(foreground_to_background|background_to_foreground)\.units\.(p(\d))\.(squeeze|excite)\.(.+)"
    match = re.fullmatch(pattern, own)
    if match is None:
        return None
    side, where = ("f2b", "f2b") if match[1].startswith("fore") else ("b2f", "seg_branch.b2f")
    option = _option(layout, FUSION_OPTIONS, str(architecture[f"{side}.{match[2]}"]))
    return f"{where}.inter_layer{int(match[3]) - 2}{option}.fc.{0 if match[4] == 'squeeze' else 2}.{match[5]}"


def _option(layout: Layout, options: Sequence[str], option: str) -> str:
    return f".{options.index(option)}" if layout.options else ""


def _adapt_stem(state: dict[str, Any], layout: Layout, normalization: Normalization) -> None:
    """Make a first convolution of BGR from 0 to 255 one of images that are normalised otherwise."""
    weight, bias = state.get("backbone.stem.0.weight"), state.get("backbone.stem.0.bias")
    if not isinstance(weight, Tensor) or not isinstance(bias, Tensor) or weight.dim() != 4 or weight.shape[1] != 3:
        return  # refused with the shapes
    subtracted = torch.zeros(3) if layout.classifier else torch.tensor(CAFFE_BGR.mean)
    if normalization.order != CAFFE_BGR.order:
        weight, subtracted = weight.flip(1), subtracted.flip(0)
    mean, deviation = (torch.tensor(values, dtype=torch.float32) for values in (normalization.mean, normalization.std))
    state["backbone.stem.0.weight"] = weight * deviation[:, None, None]
    state["backbone.stem.0.bias"] = bias + (weight.sum(dim=(2, 3)) * (mean - subtracted)).sum(dim=1)
