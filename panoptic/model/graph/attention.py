"""Attention on a fully connected graph (Veličković et al. 2018, "Graph Attention Networks").

The number of heads, the widths, the slope and the dropout are those of Graphonomy's panoptic network.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from autopanoptic.panoptic.data.transfers import send

SLOPE = 0.4
"""Of LeakyReLU below 0."""
DROPOUT = 0.1
"""Probability by which a value is dropped, of the nodes that enter a head and of its weights."""


class AttentionHead(nn.Module):
    """Nodes hear other nodes: ELU(sum_j a_ij W h_j), a_ij the softmax over j of LeakyReLU(r . W h_i + s . W h_j).

    The original has one vector of twice the length for the pair, which is the same.

    Args:
        in_channels: Of a node.
        out_channels: Of what it has heard.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.project = nn.Linear(in_channels, out_channels, bias=False)
        self.receiver = nn.Linear(out_channels, 1, bias=False)
        self.sender = nn.Linear(out_channels, 1, bias=False)
        for layer in (self.project, self.receiver, self.sender):
            nn.init.xavier_uniform_(layer.weight)

    def forward(
        self, receivers: Tensor, senders: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """What nodes hear from others.

        Args:
            receivers: (N, C_in).
            senders: (M, C_in), which may be none; by default the receivers themselves, each among those it hears.
            generator: Draws what is dropped in training mode; None for torch's default one.

        Returns:
            (N, C_out); 0 where there is no sender.
        """
        receivers = self._dropped(receivers, generator)
        senders = receivers if senders is None else self._dropped(senders, generator)
        weights = self._dropped(self.weights(receivers, senders), generator)
        said: Tensor = self.project(senders)
        return functional.elu(weights.to(said.dtype) @ said)

    def weights(self, receivers: Tensor, senders: Tensor) -> Tensor:
        """How much each receiver hears each sender, (N, M), 0 to 1, in single precision at least; rows sum to 1."""
        heard = self.receiver(self.project(receivers)) + self.sender(self.project(senders)).T
        wide = heard.to(torch.promote_types(heard.dtype, torch.float32))
        return functional.leaky_relu(wide, SLOPE).softmax(1)

    def _dropped(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        if not self.training:
            return x
        device = x.device if generator is None else generator.device
        drawn = torch.rand(x.shape, generator=generator, device=device)
        return x * (send(drawn, x.device) >= DROPOUT) / (1 - DROPOUT)


class GraphAttention(nn.Module):
    """Reasoning within a graph: heads beside each other, and one more over what they have heard together.

    Args:
        channels: Of a node, before and after.
        heads: How many; each has so many channels that together they have a node's.

    Raises:
        ValueError: If the heads do not divide the channels.
    """

    def __init__(self, channels: int = 128, heads: int = 2) -> None:
        super().__init__()
        self.heads = attention_heads(channels, heads)
        self.output = AttentionHead(channels, channels)

    def forward(self, nodes: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Nodes (N, C) of one image to (N, C); a generator as of `AttentionHead`."""
        heard = torch.cat([head(nodes, generator=generator) for head in self.heads], dim=1)
        found: Tensor = self.output(heard, generator=generator)
        return found


def attention_heads(channels: int, heads: int) -> nn.ModuleList:
    """Heads that together give as many channels as they take."""
    if heads < 1 or channels % heads:
        raise ValueError(f"{heads} heads must divide {channels} channels of a node")
    return nn.ModuleList(AttentionHead(channels, channels // heads) for _ in range(heads))
