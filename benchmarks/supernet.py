"""Switching a supernet: ``Supernet.activate`` beside NNI's ``freeze``, and the switch of an elastic network.

Run as ``python benchmarks/supernet.py [--json FILE]``. The first two get the same random architectures of the paper's
panoptic search space, the ``coco`` preset, with real weights on the CPU. The time is the processor time of a call; the
memory is what torch allocates during it, counted at the dispatcher; as a check, both give the same backbone features.

The elastic network is a chain of 40 convolutions, each with a width and a kernel size of its own. It is switched to
architectures that its space has drawn, and to the same as plain mappings, which are checked first; and a forward pass
through slices of the weights is timed beside that of the subnet, whose weights are contiguous.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from autopanoptic.nas import Architecture, ElasticBatchNorm2d, ElasticConv2d, Kernel, ModelSpace, Size, Supernet, Width
from autopanoptic.nas.costs.latency import Timing
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork


class CountBytes(TorchDispatchMode):
    """Counts the bytes of the tensors that operations return."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = function(*args, **(kwargs or {}))
        values = found if isinstance(found, (tuple, list)) else [found]
        self.bytes += sum(value.nbytes for value in values if isinstance(value, torch.Tensor))
        return found


class Chain(ModelSpace):
    """Convolutions of a width and a kernel size each."""

    def __init__(self, layers: int = 40) -> None:
        super().__init__()
        given: Size = 3
        stack: list[nn.Module] = []
        for index in range(layers):
            made, kernel = Width(f"width{index}", [16, 24, 32]), Kernel(f"kernel{index}", [3, 5, 7])
            conv = ElasticConv2d(given, made, kernel, padding=kernel // 2, bias=False)
            stack += [conv, ElasticBatchNorm2d(made), nn.ReLU()]
            given = made
        self.stack = nn.Sequential(*stack)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the last features."""
        found: torch.Tensor = self.stack(x)
        return found


def full_sample(supernet: Supernet, architecture: Architecture) -> dict[str, Any]:
    """Return an architecture as NNI wants it: inactive choices have a value, too."""
    return {choice.label: architecture.get(choice.label, choice.options[0]) for choice in supernet.space.choices}


def timed(calls: list[Callable[[], object]]) -> Timing:
    """Time each call once, in processor time."""
    found = []
    for call in calls:
        start = time.process_time()
        call()
        found.append((time.process_time() - start) * 1e3)
    return Timing(tuple(found))


def allocated(call: Callable[[], object]) -> int:
    """Return how many bytes of tensors a call makes."""
    with CountBytes() as counter:
        call()
    return counter.bytes


def features(backbone: nn.Module) -> torch.Tensor:
    """Return the coarsest features of a small picture."""
    picture = torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
    with torch.no_grad():
        levels = backbone.eval()(picture)
    found: torch.Tensor = list(levels.values())[-1]
    return found


def compare(switches: int, freezes: int) -> dict[str, Any]:
    """Return the figures of both."""
    network = PanopticNetwork(PanopticConfig.coco())
    supernet = Supernet(network)
    rng = np.random.default_rng(0)
    architectures = [supernet.space.sample(rng) for _ in range(switches)]
    samples = [full_sample(supernet, architecture) for architecture in architectures[:freezes]]
    ours = timed([partial(supernet.activate, architecture) for architecture in architectures])
    theirs = timed([partial(network.freeze, sample) for sample in samples])
    our_bytes = allocated(lambda: supernet.activate(architectures[0]))
    frozen: list[Any] = []
    their_bytes = allocated(lambda: frozen.append(network.freeze(samples[0])))
    return {
        "choices": len(supernet.space.choices),
        "architectures": supernet.space.size,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "activate": {"median_ms": ours.median, "p95_ms": ours.percentile(95), "calls": switches, "bytes": our_bytes},
        "freeze": {"median_ms": theirs.median, "p95_ms": theirs.percentile(95), "calls": freezes, "bytes": their_bytes},
        "ratio": theirs.median / ours.median,
        "same_features": torch.equal(features(network.backbone), features(frozen[0].backbone)),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def elastic(switches: int, passes: int) -> dict[str, Any]:
    """Return the figures of the elastic network."""
    supernet = Supernet(Chain())
    rng = np.random.default_rng(0)
    architectures = [supernet.space.sample(rng) for _ in range(switches)]
    drawn = timed([partial(supernet.activate, architecture) for architecture in architectures])
    mappings = timed([partial(supernet.activate, dict(architecture)) for architecture in architectures])
    slices: list[float] = []
    subnets: list[float] = []
    picture = torch.zeros(1, 3, 32, 32)
    with torch.no_grad():
        for architecture in architectures[:passes]:
            subnet = supernet.subnet(architecture).eval()
            supernet.activate(architecture)
            supernet.module.eval()
            slices += timed([partial(supernet, picture)] * 2).milliseconds[1:]
            subnets += timed([partial(subnet, picture)] * 2).milliseconds[1:]
    return {
        "choices": len(supernet.space.choices),
        "activate": {"median_ms": drawn.median, "p95_ms": drawn.percentile(95), "calls": switches},
        "activate_mapping": {"median_ms": mappings.median, "p95_ms": mappings.percentile(95), "calls": switches},
        "bytes": allocated(lambda: [supernet.activate(architecture) for architecture in architectures]),
        "forward": {"slices_ms": float(np.median(slices)), "subnet_ms": float(np.median(subnets)), "calls": passes},
    }


def show_elastic(figures: dict[str, Any]) -> None:
    """Print the figures of the elastic network."""
    table = Table(title=f"elastic: 40 layers, {figures['choices']} choices, {figures['bytes']} bytes allocated")
    for column in ("", "median ms", "95 % ms"):
        table.add_column(column, justify="right" if column else "left")
    for name, row in (("of the space", figures["activate"]), ("a mapping", figures["activate_mapping"])):
        table.add_row(f"activate, {name}", f"{row['median_ms']:.4f}", f"{row['p95_ms']:.4f}")
    Console().print(table)
    forward = figures["forward"]
    print(f"a forward pass takes {forward['slices_ms']:.2f} ms by slices, {forward['subnet_ms']:.2f} ms of the subnet")


def show(figures: dict[str, Any]) -> None:
    """Print the figures as a table."""
    counts = f"{figures['architectures']:.3g} architectures, {figures['parameters'] / 1e6:.1f} M parameters"
    table = Table(title=f"{figures['choices']} choices, {counts}")
    for column in ("", "median ms", "95 % ms", "MB allocated"):
        table.add_column(column, justify="right" if column else "left")
    for name, row in (("Supernet.activate", figures["activate"]), ("NNI freeze", figures["freeze"])):
        table.add_row(name, f"{row['median_ms']:.3f}", f"{row['p95_ms']:.3f}", f"{row['bytes'] / 1e6:.1f}")
    Console().print(table)
    same = "the same features" if figures["same_features"] else "DIFFERENT FEATURES"
    print(f"freeze takes {figures['ratio']:,.0f} times as long; both give {same}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--switches", type=int, default=1000, help="calls of Supernet.activate")
    parser.add_argument("--freezes", type=int, default=3, help="calls of NNI's freeze")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    figures = compare(arguments.switches, arguments.freezes)
    show(figures)
    figures["elastic"] = elastic(arguments.switches, 50)
    show_elastic(figures["elastic"])
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
