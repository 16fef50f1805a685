"""Graph reasoning as a component, after BGRNet (Wu et al. 2020): new scores of pixels and features of regions.

What is taken from where is said by the modules of this folder. Ours is that the first scores of pixels, by which class
nodes are made, are trained as the new ones are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from autopanoptic.nas import Concat, ElasticConv2d
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.graph.connection import BidirectionalConnection
from autopanoptic.panoptic.model.graph.stuff import SPREAD, StuffGraph
from autopanoptic.panoptic.model.graph.things import ThingGraph
from autopanoptic.panoptic.model.heads.sampling import Generators
from autopanoptic.panoptic.model.padding import extend
from autopanoptic.panoptic.model.shapes import FeatureShape


class GraphReasoning(nn.Module):
    """A node for each region and each class, which hear each other and go back to where they came from.

    Args:
        config: Width of the box head, and the classes.
        background: Shapes of the semantic head's features, which stand side by side at P2.

    Attributes:
        out_channels: Of a region's features for the box predictor.
    """

    def __init__(self, config: PanopticConfig, background: Mapping[str, FeatureShape]) -> None:
        super().__init__()
        self.things = ThingGraph(config.box_hidden)
        features = Concat(*(shape.channels for shape in background.values()))
        self.stuff = StuffGraph(features)
        self.connection = BidirectionalConnection()
        self.classes = ElasticConv2d(Concat(features, SPREAD), config.num_stuff + config.num_things, 1)
        self.out_channels = self.things.out_channels

    def forward(
        self, regions: Sequence[Tensor], pixels: Tensor, scores: Tensor, generator: Generators = None
    ) -> tuple[list[Tensor], Tensor]:
        """Reason about a batch.

        Args:
            regions: Features (N, C) of each image's regions.
            pixels: The semantic head's features side by side (B, D, H / 4, W / 4).
            scores: Its logits of all classes (B, S + T, H / 4, W / 4).
            generator: Draws what is dropped in training mode.

        Returns:
            Features of the regions for the box predictor, and new logits.
        """
        nodes = [self.things.nodes(one) for one in regions]
        nodes, classes = self.connection(nodes, self.stuff.nodes(pixels, scores), generator)
        each = [self.things.project(one, own) for one, own in zip(regions, nodes, strict=True)]
        return each, extend(self.classes(self.stuff.project(pixels, scores, classes)))


@dataclass
class Reasoning:
    """What is reasoned about one batch, when the box head has looked at its regions.

    Attributes:
        graph: The module.
        pixels: See `GraphReasoning.forward`.
        scores: Likewise.
        logits: The new ones, once the regions are known; the first ones until then.
        padding: In which the images' padding is known.
        generator: See `GraphReasoning.forward`.
    """

    graph: GraphReasoning
    pixels: Tensor
    scores: Tensor
    logits: Tensor
    padding: Callable[[], AbstractContextManager[None]]
    generator: Generators = None

    def __call__(self, regions: Tensor, counts: Sequence[int]) -> Tensor:
        """Features of all images' regions (N, C), of which each has so many, for the box predictor."""
        with self.padding():
            parts = torch.split_with_sizes(regions, list(counts))
            each, self.logits = self.graph(parts, self.pixels, self.scores, self.generator)
        return torch.cat(each)
