"""Forward passes on the meta device that tell what each module was given and what it multiplied itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from autopanoptic.nas.costs.shapes_alone import shapes_alone
from autopanoptic.nas.space.architecture import Architecture, Option
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.supernet.dataflow import tensors_in
from autopanoptic.nas.supernet.sites import selects_inputs
from autopanoptic.nas.supernet.supernet import Supernet

Shapes: TypeAlias = tuple[tuple[int, ...], ...]
"""Of the tensors that a module was given, call by call."""
Formulas: TypeAlias = Mapping[Any, Callable[..., int]]


@dataclass
class Seen:
    """What a forward pass shows of one module.

    Attributes:
        flops: of the operations in its own ``forward``, those of its children left out; a multiply and an add count as
            two, as torch counts them.
        shapes: of its inputs.
    """

    flops: int = 0
    shapes: Shapes = ()


class Passes:
    """Runs architectures of a supernet on the meta device, in evaluation mode, whatever the symmetries of its space.

    Args:
        supernet: whose network is built again on the meta device.
        inputs: example inputs, of which only shapes and types matter; those of the supernet where there are none.
        formulas: as those of :class:`FlopCount`.

    Attributes:
        meta: the supernet on the meta device.
        space: its choices.
        names: the name of each module by ``id``; of several the first.
        count: how many passes have run.

    Raises:
        ValueError: without inputs, or where the network has an :class:`InputChoice`: what a layer costs then hangs on
            whether the output uses it.
    """

    def __init__(self, supernet: Supernet, inputs: Sequence[torch.Tensor], formulas: Formulas | None = None) -> None:
        self.meta = supernet.meta()
        self.space = self.meta.space = SearchSpace(self.meta.space.choices)
        self.meta.module.eval()
        self.inputs = [value.to("meta") for value in inputs or supernet.inputs]
        if not self.inputs:
            raise ValueError("Costs of layers need example inputs, at least one tensor.")
        if selects_inputs(self.meta.module):
            raise ValueError(
                "In a network with an InputChoice a layer costs nothing where the output does not use it, so its own "
                "choices do not decide its cost. Use FlopCount and Latency."
            )
        self.names = {id(module): name for name, module in self.meta.module.named_modules()}
        self.count = 0
        self._formulas = dict(formulas or {})
        self._seen: dict[str, Seen] = {}
        self._running: list[tuple[int, int]] = []  # of each module that runs: the count before, that of its children
        self._counter: FlopCounterMode | None = None
        for module in self.meta.module.modules():
            module.register_forward_pre_hook(self._enter, with_kwargs=True)
            module.register_forward_hook(self._leave)

    def __call__(self, architecture: Mapping[str, Option]) -> dict[str, Seen]:
        """Run an architecture, and return what is seen of each module that ran, by name."""
        self.meta.activate(architecture)
        self.count += 1
        self._seen, self._running = {}, []
        counter = FlopCounterMode(display=False, custom_mapping=self._formulas)
        with shapes_alone(self._formulas), counter as self._counter, torch.no_grad():
            self.meta.module(*self.inputs)
        return self._seen

    def without_inactive(self, options: Mapping[str, Option]) -> Architecture:
        """Return the architecture that an option for every choice stands for."""
        return self.space.without_inactive(options)

    def _flops(self) -> int:
        return 0 if self._counter is None else self._counter.get_total_flops()

    def _enter(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        seen = self._seen.setdefault(self.names[id(module)], Seen())
        seen.shapes += tuple(tuple(tensor.shape) for tensor in tensors_in((args, kwargs)))
        self._running.append((self._flops(), 0))

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        before, children = self._running.pop()
        all_of_it = self._flops() - before
        self._seen[self.names[id(module)]].flops += all_of_it - children
        if self._running:
            outer, others = self._running[-1]
            self._running[-1] = (outer, others + all_of_it)
