"""Exported graphs beside torch: whether they compute the same, and how long they take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from autopanoptic.nas.costs.latency import measure
from autopanoptic.panoptic.export.plans import Inputs, Plan
from autopanoptic.panoptic.model.designs.active import name_of
from autopanoptic.panoptic.model.network import PanopticNetwork

TOLERANCE = 1e-4
"""By which an output may differ from torch's: absolutely up to values of 1, and as a part of larger ones."""
WARMUP = 2

Run = Callable[[Inputs], Inputs]
"""Runs a graph: tensors by name, to tensors by name."""
GUARDED = (
    ". Where sizes vary torch 2.11 and 2.12 are known to write such graphs, and this is {}: give a fixed size, or "
    "install torch 2.14"
)
"""What is said of a graph that runs with the sizes alone with which it was traced."""


class ExportError(ValueError):
    """A graph cannot be exported, or does not compute what the network does."""


@dataclass(frozen=True)
class GraphReport:
    """A graph that was written, checked and timed.

    Attributes:
        file: In the export's folder.
        size: Of the file, in bytes.
        inputs: Shape of each input; names stand for lengths that may vary.
        outputs: Names of the outputs.
        difference: The largest difference of any output from torch's, see `TOLERANCE`.
        milliseconds: Median time for one image.
        torch_milliseconds: The same of the network in torch, on as many threads.
    """

    file: str
    size: int
    inputs: dict[str, list[int | str]]
    outputs: list[str]
    difference: float
    milliseconds: float
    torch_milliseconds: float


def require_graphs(network: PanopticNetwork) -> None:
    """Refuse a network of which graphs would say less than it does.

    Raises:
        ExportError: Naming the part.
    """
    if network.graph is not None:
        raise ExportError(
            f"the fusion {name_of(network.graph, network.config.fusion)!r} is not exported: its graphs see regions and "
            "pixels together. Export the state dict alone (--format state-dict)"
        )
    if network.panoptic is not None:
        raise ExportError(
            f"the panoptic head {name_of(network.panoptic, network.config.panoptic_head)!r} is not exported: outside "
            "of torch things and stuff are merged by rules, which would give other maps. Export the state dict alone "
            "(--format state-dict), or a network whose network.panoptic_head is merge"
        )


def torch_of(plan: Plan) -> Run:
    """Return what runs a graph in torch."""

    def run(inputs: Inputs) -> Inputs:
        with torch.inference_mode():
            found: Inputs = plan.module(**inputs)
        return found

    return run


def differences(found: Inputs, expected: Inputs) -> dict[str, float]:
    """Return the largest difference of each output, divided by the expected value where that is above 1.

    Raises:
        ExportError: If outputs or their shapes are not those that are expected.
    """
    for name, tensor in expected.items():
        if name not in found or found[name].shape != tensor.shape:
            other = tuple(found[name].shape) if name in found else "missing"
            raise ExportError(f"the output {name} is {other}, not {tuple(tensor.shape)}")
    return {name: _difference(found[name], tensor) for name, tensor in expected.items()}


def _difference(found: Tensor, expected: Tensor) -> float:
    if not expected.numel():
        return 0.0
    difference = (found.double() - expected.double()).abs() / expected.double().abs().clamp(min=1)
    return float(difference.nan_to_num(nan=torch.inf).max())


def expected_of(plan: Plan) -> tuple[Inputs, Inputs]:
    """Return what torch gives for one and for two images."""
    run = torch_of(plan)
    return run(plan.one), run(plan.two)


def largest_difference(plan: Plan, expected: tuple[Inputs, Inputs], run: Run, what: str) -> float:
    """Return by how much a graph differs at most from what `expected_of` gives.

    Raises:
        ExportError: If that is more than `TOLERANCE`; names the output and the difference. If the graph does not run.
    """
    each: dict[str, float] = {}
    for inputs, wanted in zip((plan.one, plan.two), expected, strict=True):
        for name, value in differences(_run(run, inputs, what), wanted).items():
            each[name] = max(value, each.get(name, 0.0))
    worst = max(each, key=each.__getitem__)
    if each[worst] > TOLERANCE:
        raise ExportError(f"{what}: its output {worst} differs by {each[worst]:.2g} from torch's, not by {TOLERANCE:g}")
    return each[worst]


def _run(run: Run, inputs: Inputs, what: str) -> Inputs:
    try:
        return run(inputs)
    # A guard that a tracer has left is an assertion, and runtimes raise errors of their own.
    except Exception as error:
        shapes = ", ".join(f"{name} {'x'.join(map(str, tensor.shape))}" for name, tensor in inputs.items())
        first = str(error).strip().partition("\n")[0]
        hint = GUARDED.format(torch.__version__) if "Guard failed" in first else ""
        raise ExportError(f"{what}: it does not run with {shapes} ({type(error).__name__}: {first}){hint}") from error


def milliseconds(run: Run, inputs: Inputs, repeats: int) -> float:
    """Return the median time of a graph for these inputs, on the CPU."""
    return measure(lambda: run(inputs), device=torch.device("cpu"), warmup=WARMUP, repeats=repeats).median


def shapes(plan: Plan) -> dict[str, list[Any]]:
    """Return the shape of each input, with names for lengths that may vary."""
    return {
        name: [plan.axes.get(name, {}).get(axis, length) for axis, length in enumerate(tensor.shape)]
        for name, tensor in plan.one.items()
    }
