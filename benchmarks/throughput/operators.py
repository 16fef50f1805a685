"""The processor's time of each kind of operator in a training step, forward and backward."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

OTHERS = "everything else"
KINDS = ("convolution 3x3 and larger", "convolution 1x1", "depthwise convolution", "transposed convolution",
         "matrix product", OTHERS)  # fmt: skip
PRODUCTS = {"mm": "mm", "addmm": "addmm", "addmm_": "addmm", "bmm": "bmm", "baddbmm": "baddbmm"}
"""Their operators, and by which of them torch's counter counts each."""


@dataclass
class Spent:
    """What a kind of operator has taken and done.

    Attributes:
        seconds: Of the thread's processor time.
        gflops: A multiply and an add as one.
    """

    seconds: float = 0.0
    gflops: float = 0.0


class OperatorTimes(TorchDispatchMode):
    """Takes the time of every operator that runs inside of it on the CPU, in the backward pass too.

    Attributes:
        spent: By the kinds of `KINDS`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.spent: dict[str, Spent] = defaultdict(Spent)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        start = time.thread_time()
        out = func(*args, **kwargs)
        seconds = time.thread_time() - start
        kind, work = _kind_and_work(func, args, kwargs, out)
        self.spent[kind].seconds += seconds
        self.spent[kind].gflops += work / 1e9
        return out


def _kind_and_work(func: Any, args: Any, kwargs: Any, out: Any) -> tuple[str, float]:
    name = func._overloadpacket.__name__
    if name == "convolution":
        x, weight, *_, transposed, _, groups = args
        return _kind_of(weight, transposed, groups), _work(x, weight, out, transposed)
    if name == "convolution_backward":
        gradient, x, weight, *_, transposed, _, groups, wanted = args
        # One product for the gradient of the input, one for that of the weight.
        return _kind_of(weight, transposed, groups), sum(wanted[:2]) * _work(x, weight, gradient, transposed)
    if name == "_linear_pointwise":  # oneDNN's, which torch's counter does not know
        x, weight, *_ = args
        return "matrix product", float(x.numel() * len(weight))
    if name in PRODUCTS:
        count: Callable[..., int] = flop_registry[getattr(torch.ops.aten, PRODUCTS[name])]
        return "matrix product", count(*args, **kwargs, out_val=out) / 2
    return OTHERS, 0.0


def _kind_of(weight: Tensor, transposed: bool, groups: int) -> str:
    if transposed:
        return "transposed convolution"
    if groups > 1:
        return "depthwise convolution"
    return "convolution 1x1" if prod(weight.shape[2:]) == 1 else "convolution 3x3 and larger"


def _work(x: Tensor, weight: Tensor, out: Tensor, transposed: bool) -> float:
    """Multiply-adds of a convolution's forward pass."""
    places = x if transposed else out
    return float(len(places) * prod(places.shape[2:]) * weight.numel())
