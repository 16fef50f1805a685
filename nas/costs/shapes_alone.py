"""Forward passes on the meta device that work out shapes alone, for counting what multiplies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import flop_registry

SHORTENED = ("norm", "upsample", "grid_sampler", "relu")
"""What the names of the operations hold that are not run."""


def shapes_alone(formulas: Iterable[Any] = ()) -> AbstractContextManager[Any]:
    """Return a context in which norms, interpolation and the like give an empty tensor of the right shape on "meta".

    Torch's own meta kernels of these are written in Python and take most of a pass's time. Whatever is not surely
    right, such as a norm in training or a weight of another size, runs as it is and raises its own error.

    Args:
        formulas: operations that are counted beside those torch counts; with one of those among them nothing is left
            out.
    """
    counted = " ".join(map(str, (*flop_registry, *formulas)))
    return nullcontext() if any(name in counted for name in SHORTENED) else _ShapesAlone()


class _ShapesAlone(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        keywords = kwargs or {}
        shape_of = _SHAPES.get(func)
        if shape_of is not None and _is_plain(args[0] if args else keywords.get("input")):
            shape = shape_of(*args, **keywords)
            if shape is not None:
                given: Tensor = args[0] if args else keywords["input"]
                return given.new_empty(shape)
        return func(*args, **keywords)


def _is_plain(x: Any) -> bool:
    return type(x) is Tensor and x.is_meta and x.is_floating_point() and x.ndim >= 2 and x.numel() > 0


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> torch.Size | None:
    if training or running_mean is None or running_var is None:
        return None
    return input.shape if _fit(input, running_mean, running_var, weight, bias) else None


def _group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> torch.Size | None:
    divides = num_groups > 0 and not input.shape[1] % num_groups
    return input.shape if divides and _fit(input, weight, bias) else None


def _fit(x: Tensor, *tensors: Tensor | None) -> bool:
    """Return whether tensors hold one number for each channel."""
    return all(tensor is None or (tensor.is_meta and tensor.shape == x.shape[1:2]) for tensor in tensors)


def _interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> tuple[int, ...] | None:
    known = mode in ("bilinear", "bicubic") or (mode == "nearest" and align_corners is None and not antialias)
    if input.ndim != 4 or not known:
        return None
    if type(scale_factor) is int and size is None and scale_factor > 0:
        return (*input.shape[:2], *(side * scale_factor for side in input.shape[2:]))
    if scale_factor is not None or size is None:
        return None
    sides = (size, size) if isinstance(size, int) else tuple(size)
    fits = len(sides) == 2 and all(isinstance(side, int) and side > 0 for side in sides)
    return (*input.shape[:2], *sides) if fits else None


def _grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> tuple[int, ...] | None:
    known = align_corners is not None and mode in ("bilinear", "nearest") and padding_mode in ("zeros", "border")
    alike = input.ndim == grid.ndim == 4 and grid.is_meta and grid.dtype == input.dtype
    if not (known and alike and grid.shape[0] == input.shape[0] and grid.shape[3] == 2 and grid.numel()):
        return None
    return (*input.shape[:2], *grid.shape[1:3])


def _relu(input: Tensor, inplace: bool = False) -> torch.Size | None:
    return None if inplace else input.shape


_SHAPES: dict[Any, Callable[..., Sequence[int] | None]] = {
    functional.batch_norm: _batch_norm,
    functional.group_norm: _group_norm,
    functional.interpolate: _interpolate,
    functional.grid_sample: _grid_sample,
    functional.relu: _relu,
}
