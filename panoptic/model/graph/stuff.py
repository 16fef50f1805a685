"""The graph of stuff: a node for each class, after BGRNet (Wu et al. 2020), with Graphonomy's widths.

A node is the centre of a class: the mean of the features at all pixels, each weighed by a softmax over the pixels of
the class's scores. Nodes go back to the pixels by each pixel's softmax over the classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from autopanoptic.nas import ElasticLinear, Size
from autopanoptic.panoptic.model.padding import true_cells
from autopanoptic.panoptic.model.precision import in_full_precision

SPREAD = 256
"""Channels that a node is spread with."""


class StuffGraph(nn.Module):
    """From a semantic head's features and scores to nodes, and back.

    Args:
        features: Channels of the features.
        nodes: Channels of a node.
        spread: Channels that a node is spread with.
    """

    def __init__(self, features: Size = 512, nodes: int = 128, spread: int = SPREAD) -> None:
        super().__init__()
        self.reduce = ElasticLinear(features, nodes)
        self.expand = nn.Linear(nodes, spread)

    def nodes(self, features: Tensor, scores: Tensor) -> Tensor:
        """Nodes (B, K, D) of the classes, from features (B, C, H, W) and scores (B, K, H, W); padding has no part."""
        nodes: Tensor = self.reduce(class_centres(features, scores))
        return nodes

    def project(self, features: Tensor, scores: Tensor, nodes: Tensor) -> Tensor:
        """Put beside each pixel's features the mean of its classes' nodes.

        Args:
            features: (B, C, H, W).
            scores: (B, K, H, W).
            nodes: (B, K, D).

        Returns:
            (B, C + E, H, W), E the channels that nodes are spread with.
        """
        wide = torch.promote_types(scores.dtype, torch.float32)
        spread = torch.einsum("bkhw,bke->behw", scores.to(wide).softmax(1), self.expand(nodes).to(wide))
        return torch.cat((features, spread.to(features.dtype)), dim=1)


def class_centres(features: Tensor, scores: Tensor) -> Tensor:
    """Means of features over an image's pixels, weighed by each class's softmax over the same.

    Args:
        features: (B, C, H, W).
        scores: (B, K, H, W).

    Returns:
        (B, K, C), in single precision at least.
    """
    found = true_cells(scores)
    if found is not None:
        scores = scores.masked_fill(~found.mask[:, None], -torch.inf)
    wide = torch.promote_types(scores.dtype, torch.float32)
    weights = scores.flatten(2).to(wide).softmax(2)
    # Sums over all pixels of an image: bfloat16 would lose most of them.
    with in_full_precision(features.device):
        return weights @ features.flatten(2).to(wide).transpose(1, 2)
