"""Parts of your own in the panoptic network: a head operator, a backbone block, a neck and a fusion unit, searched.

    python examples/own_operator.py

`register` makes each part known under a name, a config names it, and its ``imports`` name this module, so that worker
processes, later commands and the run's folder know where the parts come from. It takes about a minute.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from autopanoptic.nas import Architecture, ElasticConv2d, ElasticLinear, Size
from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.operators.kernels import TrainedKernel
from autopanoptic.panoptic.model.padding import batch_norm, group_norm
from autopanoptic.panoptic.model.parts.kinds import BackboneBlock, FusionOperator, HeadOperator, PyramidNeck
from autopanoptic.panoptic.model.parts.registry import register
from autopanoptic.panoptic.run.folder import Run
from autopanoptic.panoptic.run.retrain import retrain
from autopanoptic.panoptic.run.search import search
from autopanoptic.panoptic.run.train_supernet import train_supernet


def conv(in_channels: Size, out_channels: Size) -> nn.Module:
    """A full convolution: of numbers it is torch's, and of sizes that are choices an elastic one."""
    layer: nn.Module = ElasticConv2d(in_channels, out_channels, 3, padding=1)
    return layer


def inherit(layer: nn.Conv2d, trained: TrainedKernel) -> None:
    """Begin as the same function as the trained depthwise-separable layer of this place."""
    assert layer.bias is not None
    layer.weight.copy_(trained.dense)
    layer.bias.copy_(trained.bias)


register(HeadOperator("conv3", conv, inherit, elastic=True))


class Residual(nn.Module):
    """Two convolutions beside a shortcut (He et al. 2016)."""

    def __init__(self, in_channels: Size, out_channels: Size, stride: int, config: PanopticConfig) -> None:
        super().__init__()
        momentum = config.batch_norm_momentum
        self.branch = nn.Sequential(
            ElasticConv2d(in_channels, out_channels, 3, stride, 1, bias=False), batch_norm(out_channels, momentum),
            nn.ReLU(), ElasticConv2d(out_channels, out_channels, 3, padding=1, bias=False),
            batch_norm(out_channels, momentum),
        )  # fmt: skip
        self.shortcut: nn.Module = nn.Identity()
        if stride == 2:
            self.shortcut = ElasticConv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, H / stride, W / stride)."""
        return functional.relu(self.branch(x) + self.shortcut(x))


register(BackboneBlock("residual", Residual, elastic=True))


class LateralNeck(nn.Module):
    """The least that a neck can do: each level alone, without a way from one to the other."""

    def __init__(self, in_channels: Sequence[Size], channels: Size, config: PanopticConfig) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(
            nn.Sequential(ElasticConv2d(width, channels, 1, bias=False), group_norm(config.norm_groups, channels))
            for width in in_channels
        )

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """C2..C5 to P2..P6."""
        levels = [layer(x) for layer, x in zip(self.lateral, features.values(), strict=True)]
        levels.append(functional.max_pool2d(levels[-1], 1, stride=2))
        return {f"p{level}": x for level, x in enumerate(levels, 2)}


register(PyramidNeck("lateral", LateralNeck, elastic=True))


class Gate(nn.Module):
    """A fusion unit without a hidden layer."""

    def __init__(self, in_channels: Size, out_channels: Size, config: PanopticConfig) -> None:
        super().__init__()
        self.linear = ElasticLinear(in_channels, out_channels)

    def forward(self, pooled: Tensor) -> Tensor:
        """(B, C_in) to the factors (B, C_out)."""
        factors: Tensor = 1 - self.linear(pooled).sigmoid()
        return factors


register(FusionOperator("gate", Gate, elastic=True))

OWN = ("conv3", "residual", "lateral", "gate")
NETWORK = {
    "network.imports": ["own_operator"],  # this file, without .py
    "network.head_operators": ["dw3", "conv3"],
    "network.blocks": ["shuffle3", "residual"],
    "network.elastic_blocks": ["shuffle3", "residual"],
    "network.neck": "search",
    "network.necks": ["fpn", "lateral"],
    "network.fusion_units": ["r4", "gate"],
}


TINY = {
    "data.scenes": {"train": 16, "nas_val": 4, "val": 4},
    "largest.passes": 4,
    "supernet.passes": 8,
    "retrain.passes": 4,
    "search.strategy": "random",
    "search.cost": None,
    "search.trials": 4,
    "search.recalibration_batches": 1,
    "search.finalists": 1,
    "search.screened": 0,
    "machine.supernet_processes": 1,
}


def main(folder: Path = Path("runs/own-operator"), changes: Mapping[str, Any] = TINY) -> Architecture:
    """Search networks of these parts on generated scenes, so shortly that they learn nothing; return the answer."""
    torch.set_num_threads(1)
    run = Run(load_config("scenes", {**NETWORK, **changes}), folder)  # tries the parts before anything else
    train_supernet(run)
    search(run)
    retrain(run)
    answer = Architecture.load(folder / "architecture.json")
    own = [f"{label} {option}" for label, option in answer.items() if option in OWN]
    print(f"{len(own)} parts of the network found are from this file: {', '.join(own)}")
    print(f"To see it: autopanoptic panoptic report {folder}, in the folder of own_operator.py")
    return answer


if __name__ == "__main__":
    main()
