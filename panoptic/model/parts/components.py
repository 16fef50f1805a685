"""The components that ship, with what each gives and needs; what they are made of is loaded when they are built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from autopanoptic.panoptic.model.parts.kinds import (
    BOTH,
    CLASS_SCORES,
    LEVEL_FEATURES,
    PIXEL_FEATURES,
    REGION_FEATURES,
    STUFF_SCORES,
    BoxHead,
    BranchFusion,
    MaskHead,
    PanopticHead,
    SemanticHead,
)
from autopanoptic.panoptic.model.parts.registry import register

if TYPE_CHECKING:
    from torch import nn

    from autopanoptic.nas import Size
    from autopanoptic.panoptic.model.config import PanopticConfig
    from autopanoptic.panoptic.model.fusion.connections import Connections
    from autopanoptic.panoptic.model.panoptic_head.head import PanopticLogits
    from autopanoptic.panoptic.model.semantic.head import SegmentationBranch
    from autopanoptic.panoptic.model.shapes import FeatureShape

    Shapes = Mapping[str, FeatureShape]


def _searched_semantics(config: PanopticConfig, pyramid: Shapes) -> SegmentationBranch:
    from autopanoptic.panoptic.model.semantic.searched import SegmentationHead

    return SegmentationHead(config, pyramid)


def _panoptic_fpn(config: PanopticConfig, pyramid: Shapes) -> SegmentationBranch:
    from autopanoptic.panoptic.model.semantic.panoptic_fpn import PanopticFPNHead

    return PanopticFPNHead(config, pyramid)


def _upsnet_semantics(config: PanopticConfig, pyramid: Shapes) -> SegmentationBranch:
    from autopanoptic.panoptic.model.semantic.upsnet import UPSNetHead

    return UPSNetHead(config, pyramid)


def _boxes(config: PanopticConfig, channels: Size) -> nn.Module:
    from autopanoptic.panoptic.model.heads.box import box_head

    return box_head(config, channels, norm=False)


def _normed_boxes(config: PanopticConfig, channels: Size) -> nn.Module:
    from autopanoptic.panoptic.model.heads.box import box_head

    return box_head(config, channels, norm=True)


def _searched_masks(config: PanopticConfig, in_channels: Size, channels: Size) -> nn.Module:
    from autopanoptic.panoptic.model.heads.mask import mask_head

    return mask_head(config, in_channels, channels)


def _plain_masks(config: PanopticConfig, in_channels: Size, channels: Size) -> nn.Module:
    from autopanoptic.panoptic.model.heads.mask import plain_mask_head

    return plain_mask_head(config, in_channels, channels)


def _attention(config: PanopticConfig, pyramid: Shapes, background: Shapes) -> Connections:
    from autopanoptic.panoptic.model.fusion.connections import attention

    return attention(config, pyramid, background)


def _unconnected(*_: object) -> Connections:
    from autopanoptic.panoptic.model.fusion.connections import Connections

    return Connections()


def _graph(config: PanopticConfig, _: Shapes, background: Shapes) -> Connections:
    from autopanoptic.panoptic.model.fusion.connections import Connections
    from autopanoptic.panoptic.model.graph.reasoning import GraphReasoning

    return Connections(graph=GraphReasoning(config, background))


def _merged(_: PanopticConfig) -> None:
    return None


def _upsnet(config: PanopticConfig) -> PanopticLogits:
    from autopanoptic.panoptic.model.panoptic_head.head import PanopticLogits

    return PanopticLogits(config)


def _sognet(config: PanopticConfig) -> PanopticLogits:
    from autopanoptic.panoptic.model.panoptic_head.sognet import SOGNetHead

    return SOGNetHead(config)


register(SemanticHead("searched", _searched_semantics, elastic=True, gives=(STUFF_SCORES, LEVEL_FEATURES)))
register(SemanticHead("panoptic-fpn", _panoptic_fpn, elastic=True, gives=(STUFF_SCORES,), losses={"segmentation": 0.5}))
register(
    SemanticHead(
        "upsnet", _upsnet_semantics, elastic=True, gives=(CLASS_SCORES, LEVEL_FEATURES, PIXEL_FEATURES), needs=(BOTH,),
        losses={"segmentation": 0.2, "roi_segmentation": 0.04},
    )
)  # fmt: skip
register(BoxHead("two-fc-norm", _normed_boxes, elastic=True, gives=(REGION_FEATURES,)))
register(BoxHead("two-fc", _boxes, elastic=True, gives=(REGION_FEATURES,)))
register(MaskHead("searched", _searched_masks, elastic=True))
register(MaskHead("plain", _plain_masks, elastic=True))
register(BranchFusion("attention", _attention, elastic=True, needs=(LEVEL_FEATURES,)))
register(BranchFusion("none", _unconnected, elastic=True))
register(
    BranchFusion(
        "graph", _graph, elastic=True, needs=(CLASS_SCORES, PIXEL_FEATURES, REGION_FEATURES),
        losses={"segmentation": 0.25, "roi_segmentation": 0.0},
    )
)  # fmt: skip
register(PanopticHead("merge", _merged, elastic=True))
_BY_SCORE = {"order": "score", "score_threshold": 0.6, "overlap_threshold": 0.3}
register(
    PanopticHead("upsnet", _upsnet, elastic=True, needs=(CLASS_SCORES,), losses={"panoptic": 0.1}, rules=_BY_SCORE)
)
register(
    PanopticHead(
        "sognet", _sognet, elastic=True, needs=(CLASS_SCORES,), losses={"panoptic": 0.1, "relation": 1.0},
        rules=_BY_SCORE,
    )
)  # fmt: skip
