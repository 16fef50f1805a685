"""The number of parameters, counted on the meta device: nothing is allocated, the supernet itself is not touched."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from autopanoptic.nas.space.architecture import Option
from autopanoptic.nas.supernet.dataflow import follow
from autopanoptic.nas.supernet.elastic.layer import ElasticLayer
from autopanoptic.nas.supernet.elastic.sharing import coupled
from autopanoptic.nas.supernet.sites import selects_inputs
from autopanoptic.nas.supernet.supernet import Supernet


class ParameterCount:
    """The number of parameters of an architecture's subnet, of elastic layers those of the active slices.

    Args:
        supernet: whose architectures are counted.
        *inputs: example inputs, of which only shapes and types matter; those of the supernet by default. With them, in
            a network with an :class:`InputChoice`, a parameter does not count that serves only what the output does not
            depend on, such as a branch that none takes. Else all parameters of the path's modules count.
        unit: what one is worth; 1e6 gives millions.
    """

    slow = True
    """Strategies do not ask for the parameters of thousands of candidates; see :meth:`CostTable.constrained`."""

    def __init__(self, supernet: Supernet, *inputs: Tensor, unit: float = 1.0) -> None:
        self._meta = supernet.meta()
        self._meta.module.eval()
        self._inputs = [value.to("meta") for value in inputs or supernet.inputs]
        self._follows = bool(self._inputs) and selects_inputs(self._meta.module)
        self.unit = unit

    @property
    def why_no_sum(self) -> str | None:
        """Why the count is no sum over the choices; None where it may be one."""
        return coupled(self._meta.module)

    def __call__(self, architecture: Mapping[str, Option]) -> float:
        """Return the count; parameters that are shared within the subnet count once."""
        self._meta.activate(architecture)
        sizes = {number: size for module in self._meta.active_modules() for number, size in _sizes(module)}
        for unused in self._unused() if self._follows else ():
            sizes.pop(unused, None)
        return sum(sizes.values()) / self.unit

    def _unused(self) -> frozenset[int]:
        """Return the parameters that are read, but not for the output."""
        flow = follow(self._meta.module, self._inputs)
        read = frozenset[int]().union(*(operation.parameters for operation in flow.operations))
        return read.difference(*(flow.operations[number].parameters for number in flow.live()))


def _sizes(module: nn.Module) -> Iterator[tuple[int, int]]:
    """Yield the ``id`` of each parameter of a module itself, and how many elements of it are active."""
    if isinstance(module, ElasticLayer):
        for name, shape in module.active_shapes().items():
            yield id(module._parameters[name]), math.prod(shape)
    else:
        for parameter in module.parameters(recurse=False):
            yield id(parameter), parameter.numel()
