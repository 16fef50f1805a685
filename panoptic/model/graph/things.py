"""The graph of things: a node for each region, after BGRNet (Wu et al. 2020), with Graphonomy's widths."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ThingGraph(nn.Module):
    """From the box head's features of regions to nodes, and back.

    Args:
        regions: Channels of a region's features.
        nodes: Channels of a node.

    Attributes:
        out_channels: Of the features for the box predictor: those of a region and those of its node.
    """

    def __init__(self, regions: int = 1024, nodes: int = 128) -> None:
        super().__init__()
        self.reduce = nn.Linear(regions, nodes)
        self.expand = nn.Linear(nodes, nodes)
        self.out_channels = regions + nodes

    def nodes(self, features: Tensor) -> Tensor:
        """Features (N, C) of regions to nodes (N, D)."""
        nodes: Tensor = self.reduce(features)
        return nodes

    def project(self, features: Tensor, nodes: Tensor) -> Tensor:
        """Put nodes beside the features that they came from: (N, C) and (N, D) to (N, C + D)."""
        return torch.cat((features, self.expand(nodes)), dim=1)
