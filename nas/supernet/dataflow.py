"""Which operations, parameters and choices of a path reach the network's output.

A forward pass is followed tensor by tensor at the level of torch's functions. That sees what a backward pass cannot,
such as integers, comparisons and detached tensors; where it is not sure it takes a dependence to be there. Run on the
meta device it costs no memory.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from autopanoptic.nas.supernet import _nni
from autopanoptic.nas.supernet.elastic.layer import ElasticLayer

Producers = frozenset[int]


@dataclass(frozen=True)
class Operation:
    """One call of a torch function, or a choice as a whole.

    Attributes:
        reads: the operations whose results it takes, by number; all are earlier.
        candidates: of an :class:`InputChoice`, the operations behind each tensor that is offered.
        choices: the labels of the choices in whose modules it ran, innermost last.
        flops: a multiply and an add count as two, as torch counts them.
        parameters: what it reads of the network's parameters, by ``id``.
    """

    reads: Producers
    candidates: tuple[Producers, ...] = ()
    choices: tuple[str, ...] = ()
    flops: int = 0
    parameters: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Dataflow:
    """The operations of a forward pass in order, and those that made its output."""

    operations: Sequence[Operation]
    outputs: Producers

    def live(self) -> set[int]:
        """Return the operations on which the output depends, by number."""
        waiting, found = list(self.outputs), set(self.outputs)
        while waiting:
            new = self.operations[waiting.pop()].reads - found
            found |= new
            waiting += new
        return found


def follow(
    network: nn.Module, inputs: Sequence[Tensor], *, choices: bool = False, flops: Callable[[], int] = lambda: 0
) -> Dataflow:
    """Run a network and return its dataflow.

    Args:
        network: run in its present mode, without gradients.
        inputs: its arguments.
        choices: whether a :class:`LayerChoice`, a :class:`Repeat` or an elastic layer shall count as one operation that
            takes all that is given to its module, and an :class:`InputChoice` as one that takes all its candidates,
            whatever their present options take.
        flops: the count of floating-point operations so far.
    """
    recorder = _Recorder(network, inputs, flops)
    with torch.no_grad(), ExitStack() as stack:
        if choices:
            for mutable in _mutables(network):
                stack.callback(mutable.register_forward_pre_hook(recorder.enter, with_kwargs=True).remove)
                stack.callback(mutable.register_forward_hook(recorder.leave, with_kwargs=True).remove)
        stack.enter_context(recorder)
        output = network(*inputs)
    made = [recorder.producers(tensor) for tensor in tensors_in(output)]
    everything = frozenset(range(len(recorder.operations)))
    return Dataflow(recorder.operations, frozenset[int]().union(*made) if made else everything)


def _mutables(network: nn.Module) -> Iterator[nn.Module]:
    for module in network.modules():
        if _labels(module):
            yield module


def _labels(module: Any) -> list[str]:
    """Return the labels of the choices that a module makes."""
    if isinstance(module, ElasticLayer):
        return [choice.label for choice in module.size_choices()]
    makes = isinstance(module, (_nni.LayerChoice, _nni.InputChoice, _nni.Repeat)) and module.label is not None
    return [module.label] if makes else []


class _Recorder(TorchFunctionMode):
    """Records the operations of a forward pass."""

    def __init__(self, network: nn.Module, inputs: Iterable[Tensor], flops: Callable[[], int]) -> None:
        super().__init__()
        self.operations: list[Operation] = []
        self._flops = flops
        self._parameters = {id(parameter) for parameter in network.parameters()}
        self._entered: list[tuple[str, Producers]] = []
        self._made: dict[int, Producers] = {}
        self._sharing: dict[int, dict[int, None]] = {}
        self._alive: list[Tensor] = []  # an id is a tensor's own only while the tensor lives
        for tensor in (*inputs, *(t for module in network.modules() for t in tensors_in(vars(module)))):
            self._set(tensor, frozenset())

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = list(tensors_in((args, kwargs)))
        versions, before = [tensor._version for tensor in given], self._flops()
        reads = self._behind(given)
        result = func(*args, **(kwargs or {}))
        changed = [tensor for tensor, version in zip(given, versions, strict=True) if tensor._version != version]
        ids = {id(tensor) for tensor in given}
        made = [tensor for tensor in tensors_in(result) if id(tensor) not in ids]
        if made or changed:
            number = self._record(reads, self._flops() - before, frozenset(ids & self._parameters))
            for tensor in made:
                self._set(tensor, number)
            for tensor in changed:
                self._change(tensor, number)
        return result

    def enter(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Before a choice's module runs."""
        reads = self._behind(tensors_in((args, kwargs)))
        self._entered += [(label, reads) for label in _labels(module)]

    def leave(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        """After a choice's module has run: make its result that of one operation."""
        reads = self._entered[-1][1]
        if isinstance(module, _nni.InputChoice):
            offered = args[0] if args else next(iter(kwargs.values()))
            candidates = tuple(self._behind(tensors_in(candidate)) for candidate in offered)
        else:
            candidates, reads = (), reads | self._behind(tensors_in(output))
        result = _mapped(output, lambda tensor: tensor.view_as(tensor))
        number = self._record(frozenset() if candidates else reads, 0, frozenset(), candidates)
        for tensor in tensors_in(result):
            self._set(tensor, number)
        del self._entered[-len(_labels(module)) :]
        return result

    def producers(self, tensor: Tensor) -> Producers:
        """Return the operations that made a tensor; all so far for one that came from elsewhere."""
        known = self._made.get(id(tensor))
        return frozenset(range(len(self.operations))) if known is None else known

    def _behind(self, tensors: Iterable[Tensor]) -> Producers:
        return frozenset[int]().union(*(self.producers(tensor) for tensor in tensors))

    def _record(
        self, reads: Producers, flops: int, parameters: frozenset[int], candidates: tuple[Producers, ...] = ()
    ) -> Producers:
        labels = tuple(label for label, _ in self._entered)
        self.operations.append(Operation(reads, candidates, labels, flops, parameters))
        return frozenset([len(self.operations) - 1])

    def _set(self, tensor: Tensor, producers: Producers) -> None:
        if id(tensor) not in self._made:
            self._alive.append(tensor)
            self._sharing.setdefault(_memory(tensor), {})[id(tensor)] = None
        self._made[id(tensor)] = producers

    def _change(self, tensor: Tensor, producers: Producers) -> None:
        """A tensor was changed in place, and with it all that share its memory."""
        self._set(tensor, self._made.get(id(tensor), frozenset()) | producers)
        for other in self._sharing[_memory(tensor)]:
            self._made[other] |= producers


def _memory(tensor: Tensor) -> int:
    with torch._C.DisableTorchFunction():
        return int(tensor.untyped_storage()._cdata)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in a value: in its collections, and in the attributes of its objects; modules are left out."""
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, Tensor):
            yield found
        elif id(found) not in seen and not isinstance(found, (nn.Module, type, str, bytes, int, float)):
            seen.add(id(found))
            waiting += reversed(_parts(found))


def _parts(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(value)
    if dataclasses.is_dataclass(value):
        return [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    return list(vars(value).values()) if hasattr(value, "__dict__") and not callable(value) else []


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        mapped = copy.copy(value)
        mapped.update({key: _mapped(part, change) for key, part in value.items()})
        return mapped
    if isinstance(value, (list, tuple)):
        parts = [_mapped(part, change) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value
