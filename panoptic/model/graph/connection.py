"""The bidirectional connection, after BGRNet (Wu et al. 2020): messages within each graph and across both.

That there is one, and that it propagates within and across, is the paper's. That nodes hear the other graph by
attention of the same kind as their own, and that both messages are added, is ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from autopanoptic.panoptic.model.graph.attention import GraphAttention, attention_heads
from autopanoptic.panoptic.model.heads.sampling import Generators


class Across(nn.Module):
    """Nodes of one graph hear those of the other.

    Args:
        channels: Of a node of either graph.
        heads: As of `GraphAttention`.
    """

    def __init__(self, channels: int = 128, heads: int = 2) -> None:
        super().__init__()
        self.heads = attention_heads(channels, heads)

    def forward(self, receivers: Tensor, senders: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """(N, C) and (M, C) to (N, C); 0 where there is no sender."""
        return torch.cat([head(receivers, senders, generator) for head in self.heads], dim=1)


class BidirectionalConnection(nn.Module):
    """Reasoning within and across the graph of things and the graph of stuff.

    Args:
        channels: Of a node of either graph.
        heads: As of `GraphAttention`.
    """

    def __init__(self, channels: int = 128, heads: int = 2) -> None:
        super().__init__()
        self.things, self.stuff = GraphAttention(channels, heads), GraphAttention(channels, heads)
        self.stuff_to_things, self.things_to_stuff = Across(channels, heads), Across(channels, heads)

    def forward(
        self, things: Sequence[Tensor], stuff: Tensor, generator: Generators = None
    ) -> tuple[list[Tensor], Tensor]:
        """Let the nodes of each image hear each other; images do not hear each other.

        Args:
            things: Nodes (N, C) of each image's regions, of which there may be none.
            stuff: Nodes (B, K, C) of the classes.
            generator: Draws what is dropped in training mode.

        Returns:
            The nodes after it, of the same shapes.

        Raises:
            ValueError: If there are not as many of the one as of the other.
        """
        if len(things) != len(stuff):
            raise ValueError(f"regions of {len(things)} images, but classes of {len(stuff)}")
        each = generator if isinstance(generator, Sequence) else [generator] * len(things)
        found = [self._reason(*one) for one in zip(things, stuff.unbind(), each, strict=True)]
        return [nodes for nodes, _ in found], torch.stack([nodes for _, nodes in found])

    def _reason(self, things: Tensor, stuff: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        return (
            self.things(things, generator) + self.stuff_to_things(things, stuff, generator),
            self.stuff(stuff, generator) + self.things_to_stuff(stuff, things, generator),
        )
