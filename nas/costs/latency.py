"""Measured times of a forward pass."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import nn

from autopanoptic.nas.space.architecture import Option
from autopanoptic.nas.supernet.state import evaluating
from autopanoptic.nas.supernet.supernet import Supernet


@dataclass(frozen=True)
class Timing:
    """Times of repeated runs, in milliseconds.

    Attributes:
        milliseconds: every measured run, in order.
    """

    milliseconds: tuple[float, ...]

    @cached_property
    def median(self) -> float:
        """The median run."""
        return statistics.median(self.milliseconds)

    def percentile(self, percent: float) -> float:
        """Return the time within which ``percent`` (0 to 100) of the runs stayed."""
        return float(np.percentile(self.milliseconds, percent))


def measure(run: Callable[[], object], *, device: torch.device, warmup: int = 5, repeats: int = 20) -> Timing:
    """Time a function on a device.

    Args:
        run: what to time.
        device: waited for before and after each run where it works asynchronously.
        warmup: runs that are not counted.
        repeats: runs that are.

    Raises:
        ValueError: when ``repeats`` is less than 1.
    """
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, not {repeats}.")
    for _ in range(warmup):
        run()
    return Timing(tuple(_time(run, device) for _ in range(repeats)))


def _time(run: Callable[[], object], device: torch.device) -> float:
    _synchronize(device)
    start = time.perf_counter()
    run()
    _synchronize(device)
    return (time.perf_counter() - start) * 1e3


def _synchronize(device: torch.device) -> None:
    if device.type != "cpu":  # torch.cuda, torch.xpu, torch.mps
        getattr(torch, device.type).synchronize()


class Latency:
    """The measured time of one forward pass of an architecture's stand-alone network, in milliseconds.

    That network is built for it, because a path of a supernet may take longer: elastic layers copy slices of their
    weights there. It is in evaluation mode and on the device of the inputs.

    Args:
        supernet: whose architectures are timed; it is left alone.
        inputs: example inputs on the device where it shall be measured.
        warmup: runs that are not counted.
        repeats: runs that are.
        percentile: which part of the runs' times is returned, 0 to 100; 50 is the median.

    A branch that the network runs although no output uses it takes its time. Times vary from run to run, so a search
    with a constraint on them is not exactly repeatable.

    Raises:
        TypeError: when the inputs are one tensor instead of a sequence of them.
        ValueError: without inputs or runs, or for a percentile that is none.
    """

    slow = True
    """Strategies do not ask for the latency of thousands of candidates; see :meth:`CostTable.constrained`."""

    def __init__(
        self,
        supernet: Supernet,
        inputs: Sequence[torch.Tensor],
        *,
        warmup: int = 5,
        repeats: int = 20,
        percentile: float = 50.0,
    ) -> None:
        if hasattr(inputs, "shape"):
            raise TypeError("Latency takes a list of example inputs, such as [images], not one tensor.")
        if not inputs:
            raise ValueError("Latency needs example inputs, at least one tensor.")
        if repeats < 1 or not 0 <= percentile <= 100:
            raise ValueError(f"Latency needs repeats >= 1 and 0 <= percentile <= 100, not {repeats} and {percentile}.")
        self.supernet = supernet
        self.inputs = list(inputs)
        self.warmup = warmup
        self.repeats = repeats
        self.percentile = percentile

    def __call__(self, architecture: Mapping[str, Option]) -> float:
        """Return the time of an architecture."""
        return self.timing(architecture).percentile(self.percentile)

    def timing(self, architecture: Mapping[str, Option]) -> Timing:
        """Return all measured times of an architecture."""
        network = self.supernet.subnet(architecture).to(self.inputs[0].device)
        return time_forward(network, self.inputs, warmup=self.warmup, repeats=self.repeats)


def time_forward(network: nn.Module, inputs: Sequence[torch.Tensor], *, warmup: int = 5, repeats: int = 20) -> Timing:
    """Time a network's forward pass in evaluation mode; the mode is put back afterwards."""
    with evaluating(network), torch.inference_mode():
        return measure(lambda: network(*inputs), device=inputs[0].device, warmup=warmup, repeats=repeats)
