"""The networks that are compared: the hand-made one, and others that differ from it in one thing everywhere."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from autopanoptic.nas import Architecture, Supernet
from autopanoptic.panoptic.compare.hand_made import scaled
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.operators.options import BLOCK_OPTIONS, HEAD_OPTIONS
from autopanoptic.panoptic.search.strategies import hand_made

HAND_MADE = "hand-made"
WIDTHS = ("narrow", HAND_MADE, "wide")
"""The hand-made network in three widths, by cost: its width curve."""


@dataclass(frozen=True)
class Network:
    """What a network differs in from the hand-made one.

    Attributes:
        name: Of the network.
        what: A description for readers.
        options: An option by the first part of the choices' labels, such as ``backbone``.
        widths: Factor of every width.
        stage_depths: Blocks of the backbone's stages; None for the hand-made network's.
        head_layers: Layers of the mask head and of the segmentation branch; None for the hand-made network's.
    """

    name: str
    what: str
    options: tuple[tuple[str, str], ...] = ()
    widths: float = 1.0
    stage_depths: tuple[int, int, int, int] | None = None
    head_layers: int | None = None

    def config(self, hand_made: PanopticConfig) -> PanopticConfig:
        """Return the shapes of the network, given those of the hand-made one."""
        layers = self.head_layers
        config = replace(
            hand_made,
            stage_depths=self.stage_depths or hand_made.stage_depths,
            mask_layers=layers or hand_made.mask_layers,
            segmentation_layers=layers or hand_made.segmentation_layers,
        )
        return config if self.widths == 1 else scaled(config, self.widths)

    def architecture(self, config: PanopticConfig) -> Architecture:
        """Return the network's architecture in the space of its config."""
        with torch.device("meta"):
            space = Supernet(PanopticNetwork(config)).space
        options = dict(self.options)
        changed = {label: options.get(label.split(".")[0], option) for label, option in hand_made(space).items()}
        return space.canonical(changed)


def _backbone(option: str) -> Network:
    return Network(option, f"backbone of {option} blocks", (("backbone", option),))


def _heads(option: str) -> Network:
    return Network(option, f"{option} in both heads", (("mask", option), ("segmentation", option)))


NETWORKS = {
    network.name: network
    for network in (
        Network(HAND_MADE, "shuffle3 blocks, dw3 in both heads, fusion r4"),
        Network("narrow", "all widths two thirds", widths=2 / 3),
        Network("wide", "all widths one and a half", widths=1.5),
        *(_backbone(option) for option in BLOCK_OPTIONS[1:]),
        *(_heads(option) for option in HEAD_OPTIONS[1:]),
        *(Network(option, f"fusion {option}", (("f2b", option), ("b2f", option))) for option in ("r8", "r16")),
        Network("shallow", "one block in each stage of the backbone", stage_depths=(1, 1, 1, 1)),
        Network("deep", "twice the blocks in each stage of the backbone", stage_depths=(2, 4, 4, 2)),
        Network("flat-heads", "one layer in each head", head_layers=1),
        Network("deep-heads", "four layers in each head", head_layers=4),
    )
}
