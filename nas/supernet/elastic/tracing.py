"""Follows channels from layer to layer, to say which layers disagree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, resolve_name

from autopanoptic.nas.supernet.dataflow import tensors_in
from autopanoptic.nas.supernet.elastic.layer import DisagreementError, ElasticLayer
from autopanoptic.nas.supernet.elastic.sizes import ElasticSize, Fixed

Sources: TypeAlias = tuple[str, ...]
"""The layers that a tensor comes of, in words."""
Channels: TypeAlias = tuple[str, ...] | None
"""What stands after each other in dimension 1 of a tensor, in words; None where that is not known."""

SHOWN = 3
PRESERVING = frozenset(
    (
        *("add", "sub", "mul", "div", "truediv", "iadd", "isub", "imul", "itruediv", "clone", "contiguous", "detach"),
        *("elu", "gelu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "mish", "relu", "relu6", "sigmoid"),
        *("silu", "softplus", "tanh", "dropout", "dropout2d", "to", "float", "half", "bfloat16"),
        *("interpolate", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d"),
    )
)
"""Functions whose result has the channels of their arguments in the same order."""


class Tracer(TorchFunctionMode):
    """Knows of each tensor which layers it comes of, and of which sizes its channels are.

    Inside the block, an elastic layer whose input has the right number of channels, but known to be in another order
    than its size says, is refused.

    Args:
        network: its elastic layers have their names.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._network = network
        self._names = {id(module): name for name, module in reversed(list(network.named_modules()))}
        self._sources: dict[int, Sources] = {}
        self._channels: dict[int, Channels] = {}
        self._alive: list[Tensor] = []  # an id is a tensor's own only while the tensor lives
        self._entered: list[tuple[nn.Module, Sources]] = []
        self._failed: tuple[str, Sources] | None = None
        self._hooks = ExitStack()

    def __enter__(self) -> Tracer:
        for module in self._network.modules():
            self._hooks.callback(module.register_forward_pre_hook(self._enter, with_kwargs=True).remove)
            self._hooks.callback(module.register_forward_hook(self._leave).remove)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._hooks.close()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = list(tensors_in((args, kwargs)))
        sources = self._behind(given)
        try:
            result = func(*args, **(kwargs or {}))
        except Exception:
            self._failed = self._failed or (_name(func), sources)
            raise
        if isinstance(result, Tensor):
            self._note(result, sources, self._of_result(func, result, args, kwargs or {}, given))
        else:
            for tensor in tensors_in(result):
                self._note(tensor, sources, None)
        return result

    def explain(self, problem: Exception) -> str:
        """Return where the network failed, and where what it failed on comes from."""
        module, sources = self._entered[-1] if self._entered else (self._network, ())
        text = str(problem).strip().rstrip(".")
        if not isinstance(problem, DisagreementError):
            text = f"{self._place(module)} fails: {text}"
        if self._failed is not None:
            sources = self._failed[1]
        return f"{text}. What it is given comes of {' and of '.join(sources)}." if sources else f"{text}."

    def _place(self, module: nn.Module) -> str:
        """Return where a function or a module failed."""
        name = self._names.get(id(module), "")
        place = f"{type(module).__name__} {name!r}" if name else f"forward() of {type(module).__name__}"
        return f"{place}, in {self._failed[0]}()," if self._failed is not None else place

    def _enter(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        given = list(tensors_in((args, kwargs)))
        self._entered.append((module, self._behind(given)))
        if isinstance(module, ElasticLayer) and given:
            self._check_order(module, given[0])

    def _check_order(self, module: ElasticLayer, x: Tensor) -> None:
        size, known = module.in_size, self._channels.get(id(x))
        if known is None or size is None or x.shape[1] != size.active:
            return
        if known != _in_words(size):
            raise DisagreementError(
                f"{module.described()} takes channels of {size!r}, but is given {' and then '.join(known)}."
            )

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        self._entered.pop()
        if not isinstance(output, Tensor) or not any(True for _ in module.parameters(recurse=False)):
            return
        if isinstance(module, ElasticLayer):
            made = module.out_size
            words = repr(made)
        else:
            made = Fixed(output.shape[1]) if output.ndim > 1 else None
            words = f"{output.shape[1]} channels" if output.ndim > 1 else "no channels"
        source = f"{self._names.get(id(module), type(module).__name__)!r} ({words})"
        known = made is not None and output.ndim in (2, 4) and output.shape[1] == made.active
        self._note(output, (source,), _in_words(made) if known and made is not None else None)

    def _of_result(
        self, func: Any, result: Tensor, args: tuple[Any, ...], kwargs: Mapping[str, Any], given: Iterable[Tensor]
    ) -> Channels:
        """Return the channels of a result: of a concatenation all, else those of what has as many channels."""
        if func in (torch.cat, torch.concat, torch.concatenate):
            dimension = args[1] if len(args) > 1 else kwargs.get("dim", 0)
            if dimension not in (1, 1 - result.ndim):
                return None
            found = [self._channels.get(id(tensor)) for tensor in given]
            known = [channels for channels in found if channels is not None]
            return _merged(part for channels in known for part in channels) if len(known) == len(found) else None
        if _name(func) not in PRESERVING:
            return None
        alike = {
            self._channels.get(id(tensor))
            for tensor in given
            if tensor.ndim == result.ndim > 1 and tensor.shape[1] == result.shape[1]
        }
        return alike.pop() if len(alike) == 1 else None

    def _note(self, tensor: Tensor, sources: Sources, channels: Channels) -> None:
        self._alive.append(tensor)
        self._sources[id(tensor)], self._channels[id(tensor)] = sources, channels

    def _behind(self, tensors: Iterable[Tensor]) -> Sources:
        found = dict.fromkeys(source for tensor in tensors for source in self._sources.get(id(tensor), ()))
        return tuple(found)[:SHOWN]


def _name(func: Any) -> str:
    """Return the name of a torch function, of its forms in place and as an operator, too."""
    name = str(resolve_name(func) or getattr(func, "__name__", func))
    return name.rpartition(".")[2].strip("_")


def _in_words(size: ElasticSize) -> tuple[str, ...]:
    return _merged(repr(part) for part in size.parts())


def _merged(parts: Iterable[str]) -> tuple[str, ...]:
    """Return parts, numbers that follow each other as their sum."""
    found: list[str] = []
    for part in parts:
        if part.isdigit() and found and found[-1].isdigit():
            found[-1] = str(int(found[-1]) + int(part))
        else:
            found.append(part)
    return tuple(found)
