"""Costs of an architecture that need no training: parameters, FLOPs and latency.

Parameters and FLOPs are counted on the meta device: nothing is allocated, and the supernet itself is not touched.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from autopanoptic.nas.space.architecture import Option
from autopanoptic.nas.supernet.state import evaluating
from autopanoptic.nas.supernet.supernet import Supernet


class ParameterCount:
    """The number of parameters of an architecture's subnet.

    Args:
        supernet: whose architectures are counted.
        unit: what one is worth; 1e6 gives millions.
    """

    def __init__(self, supernet: Supernet, unit: float = 1.0) -> None:
        self._meta = supernet.meta()
        self.unit = unit

    def __call__(self, architecture: Mapping[str, Option]) -> float:
        """Return the count; parameters that are shared within the subnet count once."""
        self._meta.activate(architecture)
        own = (p for module in self._meta.active_modules() for p in module.parameters(recurse=False))
        return sum({id(p): p.numel() for p in own}.values()) / self.unit


class FlopCount:
    """The floating-point operations of one forward pass of an architecture's subnet.

    A multiply and an add together count as one operation, as papers on architecture search and fvcore count them, so
    the figures compare with published ones. Convolutions, matrix products and attention are counted, element-wise
    operations are not.

    Args:
        supernet: whose architectures are counted; its network's ``forward`` must run on the meta device.
        *inputs: example inputs; only shapes and types matter.
        unit: what one is worth; 1e9 gives GFLOPs.
        formulas: operations that torch's ``FlopCounterMode`` does not know, as for its ``custom_mapping`` (which
            counts a multiply and an add as two).
    """

    def __init__(
        self,
        supernet: Supernet,
        *inputs: torch.Tensor,
        unit: float = 1.0,
        formulas: Mapping[Any, Callable[..., int]] | None = None,
    ) -> None:
        self._meta = supernet.meta()
        self._meta.module.eval()
        self._inputs = [value.to("meta") for value in inputs]
        self._formulas = dict(formulas or {})
        self.unit = unit

    def __call__(self, architecture: Mapping[str, Option]) -> float:
        """Return the count."""
        self._meta.activate(architecture)
        with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=self._formulas) as counter:
            self._meta.module(*self._inputs)
        return float(counter.get_total_flops()) / 2 / self.unit


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
    """The measured time of one forward pass of an architecture's path, in milliseconds.

    Args:
        supernet: whose paths are timed, in evaluation mode; the active path is put back.
        inputs: example inputs on the device where it shall be measured; the network is where the user put it.
        warmup: runs that are not counted.
        repeats: runs that are.
        percentile: which part of the runs' times is returned, 0 to 100; 50 is the median.

    Times vary from run to run, so a search with a constraint on them is not exactly repeatable.

    Raises:
        ValueError: without inputs or runs, or for a percentile that is none.
    """

    def __init__(
        self,
        supernet: Supernet,
        inputs: Sequence[torch.Tensor],
        *,
        warmup: int = 5,
        repeats: int = 20,
        percentile: float = 50.0,
    ) -> None:
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
        """Return the time of a path."""
        return self.timing(architecture).percentile(self.percentile)

    def timing(self, architecture: Mapping[str, Option]) -> Timing:
        """Return all measured times of a path."""
        active = self.supernet.active
        try:
            self.supernet.activate(architecture)
            return time_forward(self.supernet.module, self.inputs, warmup=self.warmup, repeats=self.repeats)
        finally:
            self.supernet.activate(active)


def time_forward(network: nn.Module, inputs: Sequence[torch.Tensor], *, warmup: int = 5, repeats: int = 20) -> Timing:
    """Time a network's forward pass in evaluation mode; the mode is put back afterwards."""
    with evaluating(network), torch.inference_mode():
        return measure(lambda: network(*inputs), device=inputs[0].device, warmup=warmup, repeats=repeats)
