"""A GPU that is not there: its tensors are computed on the CPU, and it counts how often the host would wait for it.

What is written for a GPU can so be tested without one: that nothing mixes the memory of host and device, that it gives
what the CPU gives, and how often the host waits for the device. A wait is an operation whose result the host must know
to go on (an item, a shape that depends on data) or a copy between pageable memory and the device. There is no
backward pass, for autograd asks the driver for its devices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map, tree_map_only

GPU = torch.device("cuda:0")
WAITING = {
    "_local_scalar_dense", "_unique", "_unique2", "argwhere", "bincount", "equal", "masked_select", "nms", "nonzero",
    "unique_consecutive", "unique_dim",
}  # fmt: skip
"""Operators whose CUDA kernels copy something to the host and wait for it."""
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}
FROM_HOST = (torch.tensor, torch.as_tensor, Tensor.new_tensor)
WHOLE = (nn.functional.batch_norm, nn.functional.embedding_bag)
"""Functions that ask the driver for something before they are dispatched."""

T = TypeVar("T")


class OnGpu(Tensor):
    """A tensor that says it lies on a GPU."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> OnGpu:
        made: OnGpu = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
            device=GPU,
        )  # fmt: skip
        made.inner = inner.detach()
        return made

    def __repr__(self, **_: Any) -> str:
        return f"OnGpu({self.inner})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class PretendedGpu(TorchFunctionMode):
    """Inside of it tensors can be made on a GPU and sent there and back.

    Attributes:
        waits: How often the host has waited, by the name of the operation.
    """

    current: PretendedGpu | None = None

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()

    def __enter__(self) -> PretendedGpu:
        torch._C._ensureCUDADeviceGuardSet()  # type: ignore[attr-defined] # as torch's fake tensors do
        PretendedGpu.current = self
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        PretendedGpu.current = None
        super().__exit__(*error)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in WHOLE:
            _require_one_place(func.__name__, (args, kwargs))
            return OnGpu(func(*tree_map(_inner, args), **tree_map(_inner, kwargs)))
        if func is Tensor.tolist and isinstance(args[0], OnGpu):
            self.waits["tolist"] += 1
            return args[0].inner.tolist()
        if func is torch.where:
            args = _with_tensors(args)
        if func is Tensor.pin_memory:
            pinned = args[0].clone()
            pinned.pretended_pin = True
            return pinned
        if func is Tensor.to and (moved := _moved(args, kwargs)) is not None:
            return self._move(args[0], *moved)
        if isinstance(kwargs.get("device"), torch.device) and kwargs["device"].type == "cuda":
            if func in FROM_HOST:
                self.waits[func.__name__] += 1
            return OnGpu(func(*args, **{**kwargs, "device": torch.device("cpu")}))
        if func is Tensor.new_tensor and isinstance(args[0], OnGpu):
            self.waits[func.__name__] += 1
            return OnGpu(args[0].inner.new_tensor(*args[1:], **kwargs))
        return func(*args, **kwargs)

    def _move(self, x: Tensor, dtype: torch.dtype | None, non_blocking: bool) -> Tensor:
        if not isinstance(x, OnGpu):
            if not (non_blocking and getattr(x, "pretended_pin", False)):
                self.waits["to the device"] += 1
            x = OnGpu(x)
        return x if dtype is None else x.to(dtype)


def _moved(args: Any, kwargs: dict[str, Any]) -> tuple[torch.dtype | None, bool] | None:
    """The type and whether to go on at once, where `Tensor.to` is asked for the GPU."""
    _, *rest = args
    values = [*rest, *kwargs.values()]
    values += [part for value in values if isinstance(value, OnGpu) for part in (value.device, value.dtype)]
    if not any(isinstance(value, (torch.device, str)) and torch.device(value).type == "cuda" for value in values):
        return None
    return next((v for v in values if isinstance(v, torch.dtype)), None), kwargs.get("non_blocking", False)


def _with_tensors(args: Any) -> Any:
    """The arguments of `torch.where` with its numbers as tensors: it would make them on the GPU, without a wait."""
    tensor = next((x for x in args[1:] if isinstance(x, Tensor)), None)
    return (
        args if tensor is None else [x if isinstance(x, Tensor) else torch.tensor(x, dtype=tensor.dtype) for x in args]
    )


def on_gpu(value: T) -> T:
    """Return a module, or a structure of tensors, that says it lies on the GPU."""
    if isinstance(value, nn.Module):
        for module in value.modules():
            for name, parameter in module._parameters.items():
                module._parameters[name] = None if parameter is None else nn.Parameter(OnGpu(parameter))
            for name, buffer in module._buffers.items():
                module._buffers[name] = None if buffer is None else OnGpu(buffer)
        return value
    return map_tensors(OnGpu, value)


def on_host(value: T) -> T:
    """Return a structure of tensors as it lies on the CPU."""
    return map_tensors(_inner, value)


def map_tensors(function: Callable[[Any], Any], value: Any) -> Any:
    """Return a structure of dicts, lists, tuples and dataclasses with a function of its tensors."""
    if isinstance(value, Tensor):
        return function(value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{one.name: map_tensors(function, getattr(value, one.name)) for one in fields(value)})
    if isinstance(value, dict):
        return {key: map_tensors(function, one) for key, one in value.items()}
    return type(value)(map_tensors(function, one) for one in value) if isinstance(value, (list, tuple)) else value


class OnGpuGenerator(torch.Generator):
    """A generator that says it draws on the GPU."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return GPU


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    name = func._overloadpacket.__name__
    to_host = name == "_to_copy" and _is_host(kwargs.get("device"))
    _require_one_place(name, (args, kwargs))
    if PretendedGpu.current is not None and (reason := _waits(name, to_host, args, kwargs)):
        PretendedGpu.current.waits[reason] += 1
    if "device" in kwargs:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    out = func(*tree_map(_inner, args), **tree_map(_inner, kwargs))
    if func._schema.is_mutable and args and isinstance(args[0], OnGpu):
        return args[0]
    return out if to_host else tree_map_only(Tensor, OnGpu, out)


def _inner(value: Any) -> Any:
    return value.inner if isinstance(value, OnGpu) else value


def _is_host(device: Any) -> bool:
    return device is not None and torch.device(device).type == "cpu"


def _waits(name: str, to_host: bool, args: Any, kwargs: dict[str, Any]) -> str | None:
    if name in WAITING:
        return name
    if to_host:
        return "to the host"
    if name == "copy_" and isinstance(args[0], OnGpu) != isinstance(args[1], OnGpu):
        return "copy_"
    if name == "repeat_interleave" and kwargs.get("output_size") is None:
        return name
    if name in INDEXING:
        indices = [index for index in args[1] if index is not None]
        if any(not isinstance(index, OnGpu) for index in indices):
            return "an index of the host"
        masks = any(index.dtype in (torch.bool, torch.uint8) for index in indices)
        # One value at the places of a mask is filled in; see aten's `canDispatchToMaskedFill`.
        filled = name != "index" and args[2].numel() == 1
        return "an index by a mask" if masks and not filled else None
    return None


def _require_one_place(name: str, values: Any) -> None:
    """Refuse what CUDA refuses: tensors of the host, but for single numbers, among those of the device."""
    if name in {"copy_", *INDEXING}:
        return

    def check(value: Any) -> Any:
        if isinstance(value, Tensor) and not isinstance(value, OnGpu) and value.ndim:
            raise RuntimeError(f"{name} mixes a tensor of {tuple(value.shape)} on the CPU with tensors on the GPU")
        return value

    tree_map(check, values)
