"""Follows channels from layer to layer, to say which layers disagree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from itertools import pairwise
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.overrides import TorchFunctionMode, resolve_name

from autopanoptic.nas.supernet.dataflow import tensors_in
from autopanoptic.nas.supernet.elastic.layer import DisagreementError, ElasticLayer
from autopanoptic.nas.supernet.elastic.sizes import Concat, ElasticSize, Fixed

Sources: TypeAlias = tuple[str, ...]
"""The layers that a tensor comes of, in words."""
Channels: TypeAlias = ElasticSize | None
"""Of which size dimension 1 of a tensor is, and in which order; None where that is not known."""

SHOWN = 3
ARITHMETIC = frozenset(("add", "sub", "mul", "div", "truediv", "iadd", "isub", "imul", "itruediv"))
"""Functions that take the channels of two tensors one by one."""
PRESERVING = ARITHMETIC | frozenset(
    (
        *(
            "clone",
            "contiguous",
            "detach",
            "elu",
            "gelu",
            "hardsigmoid",
            "hardswish",
            "hardtanh",
            "leaky_relu",
            "mish",
            "relu",
            "relu6",
            "sigmoid",
        ),
        *("silu", "softplus", "tanh", "dropout", "dropout2d", "to", "float", "half", "bfloat16"),
        *("interpolate", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d"),
    )
)
"""Functions whose result has the channels of their arguments in the same order."""


class Tracer(TorchFunctionMode):
    """Knows of each tensor which layers it comes of, and of which sizes its channels are.

    Inside the block, an elastic layer whose input has the right number of channels, but known to be in another order
    than its size says, is refused; and so are sums and products of tensors of which that is known.

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
            if _name(func) in ARITHMETIC:
                self._check_alike(_name(func), given)
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
        if known != size:
            raise DisagreementError(
                f"{module.described()} takes channels of {size!r}, but is given those of {known!r}."
            )

    def _check_alike(self, name: str, given: Iterable[Tensor]) -> None:
        """Refuse channels in different orders, whose numbers do not tell.

        Those of other choices differ in number somewhere, where the error of the function itself says more; but not
        where a single channel would be taken for all.
        """
        known = [(size, tensor.shape) for tensor in given if (size := self._channels.get(id(tensor))) is not None]
        for (one, shape), (other, other_shape) in pairwise(known):
            hidden = set(one.choices()) == set(other.choices()) or min(one.smallest, other.smallest) == 1
            if shape[1] == other_shape[1] and len(shape) == len(other_shape) and hidden and one != other:
                place = self._place(self._entered[-1][0] if self._entered else self._network)
                raise DisagreementError(f"{place} takes channels of {one!r} and of {other!r} one by one in {name}().")

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        self._entered.pop()
        made = _made(module)
        if made is not None and isinstance(output, Tensor):
            source = f"{self._names.get(id(module), type(module).__name__)!r} ({made!r})"
            known = output.ndim in (2, 4) and output.shape[1] == made.active
            self._note(output, (source,), made if known else None)

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
            return Concat(*known) if len(known) == len(found) else None
        if _name(func) not in PRESERVING:
            return None
        alike = [
            self._channels.get(id(tensor))
            for tensor in given
            if tensor.ndim == result.ndim > 1 and tensor.shape[1] == result.shape[1]
        ]
        known = [channels for channels in alike if channels is not None]
        same = len(known) == len(alike) and len(set(known)) == 1
        return known[0] if same else None

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


def _made(module: nn.Module) -> ElasticSize | None:
    """Return the channels that a layer makes; None for what is no layer of weights of its own."""
    if isinstance(module, ElasticLayer):
        return module.out_size
    if isinstance(module, nn.Linear):
        return Fixed(module.out_features)
    return Fixed(module.out_channels) if isinstance(module, _ConvNd) else None
