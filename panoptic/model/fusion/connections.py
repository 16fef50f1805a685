"""What connects the branches of things and of stuff."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import nn

from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.fusion.fusion import Fusion
from autopanoptic.panoptic.model.graph.reasoning import GraphReasoning
from autopanoptic.panoptic.model.shapes import FeatureShape


class Connections(NamedTuple):
    """The modules between the branches, each None where there is none.

    Attributes:
        foreground_to_background: Takes P2..P6 and the images' sizes, and gives an attention a for each of the semantic
            head's features, (B, C, 1, 1), which is applied as x + a x.
        background_to_foreground: The same from the semantic head's features to P2..P6.
        graph: Reasons with regions and classes, when the box head has looked at the regions.
    """

    foreground_to_background: nn.Module | None = None
    background_to_foreground: nn.Module | None = None
    graph: GraphReasoning | None = None


def attention(
    config: PanopticConfig, pyramid: Mapping[str, FeatureShape], background: Mapping[str, FeatureShape]
) -> Connections:
    """Auto-Panoptic's attention in both directions (NeurIPS 2020), labelled ``f2b`` and ``b2f``."""
    above_p2 = {level: shape for level, shape in pyramid.items() if level != "p2"}
    return Connections(Fusion("f2b", above_p2, background, config), Fusion("b2f", background, pyramid, config))
