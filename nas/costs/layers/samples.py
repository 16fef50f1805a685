"""Layers of stand-alone networks, each with what it is given, for every combination of options that decides them."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree

from autopanoptic.nas.costs.latency import measure
from autopanoptic.nas.costs.layers.deciding import Key, Layer
from autopanoptic.nas.costs.layers.passes import Passes
from autopanoptic.nas.space.architecture import Architecture, Option
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.supernet.dataflow import tensors_in
from autopanoptic.nas.supernet.supernet import Supernet

Call: TypeAlias = tuple[tuple[Any, ...], dict[str, Any]]
MOST_ROWS = 100_000
COMPARED = 8
"""How many architectures are looked at beyond those that have all rows."""


@dataclass(frozen=True)
class Sample:
    """A layer as it is in a stand-alone network, without memory, and what it is given in one forward pass.

    Attributes:
        module: on the meta device.
        calls: the arguments of each call.
    """

    module: nn.Module
    calls: Sequence[Call]

    @property
    def described(self) -> str:
        """The module in one line."""
        return " ".join(repr(self.module).split())

    @property
    def inputs(self) -> str:
        """The shapes of the inputs, such as ``1x8x16x16``; several calls behind each other."""
        shapes = [" ".join("x".join(map(str, t.shape)) or "1" for t in tensors_in(call)) for call in self.calls]
        return "; ".join(shapes)

    @property
    def likeness(self) -> Hashable:
        """What layers that take the same time have in common; of classes of the user's own nothing is known."""
        own = not type(self.module).__module__.startswith("torch.nn.") or any(self.module.children())
        return (id(self.module) if own else type(self.module), self.described, self.inputs)

    def milliseconds(self, device: torch.device, warmup: int, repeats: int) -> float:
        """Return the median time of all calls on a device, with weights and inputs drawn at random."""
        module = _with_memory(self.module, device)
        generator = torch.Generator().manual_seed(0)
        calls = [_pytree.tree_map_only(Tensor, lambda t: _like(t, device, generator), call) for call in self.calls]
        with torch.inference_mode():
            return sum(_median(module, call, device, warmup, repeats) for call in calls)


def _median(module: nn.Module, call: Call, device: torch.device, warmup: int, repeats: int) -> float:
    return measure(lambda: module(*call[0], **call[1]), device=device, warmup=warmup, repeats=repeats).median


def _with_memory(module: nn.Module, device: torch.device) -> nn.Module:
    made = copy.deepcopy(module).to_empty(device=device).eval()
    generator = torch.Generator().manual_seed(0)
    for tensor in (*made.parameters(), *made.buffers()):
        # Ones are a variance; what lies around 0 without being tiny slows no device down.
        values = torch.rand(tensor.shape, generator=generator) + 0.5 if tensor.is_floating_point() else 0
        tensor.data.copy_(torch.as_tensor(values))
    return made


def _like(tensor: Tensor, device: torch.device, generator: torch.Generator) -> Tensor:
    if tensor.is_floating_point():
        return torch.randn(tensor.shape, generator=generator).to(device, tensor.dtype)
    return torch.zeros(tensor.shape, dtype=tensor.dtype, device=device)


def combinations_of(layer: Layer, space: SearchSpace) -> dict[Key, Architecture]:
    """Return every combination of options that decides a layer's cost, each with a part of an architecture that has it.

    Raises:
        ValueError: when there are more than 100,000 to look through.
    """
    needed, waiting = set[str](), [*layer.labels, *(label for place in layer.places for label, _ in place)]
    while waiting:
        label = waiting.pop()
        if label not in needed:
            needed.add(label)
            waiting += [parent for parent, _ in space[label].conditions]
    part = SearchSpace(choice for choice in space.choices if choice.label in needed)
    if not part.has_at_most(MOST_ROWS):
        raise ValueError(
            f"Layer {layer.name!r} is decided by {sorted(needed)}, which have {part.counted} combinations; a table of "
            "its times would be too large."
        )
    found: dict[Key, Architecture] = {}
    for options in part:
        key = layer.key(options)
        if key is not None:
            found.setdefault(key, options)
    return found


def samples_of(
    supernet: Supernet, passes: Passes, wanted: Mapping[Layer, Mapping[Key, Mapping[str, Option]]]
) -> dict[tuple[str, Key], Sample]:
    """Return each layer for each combination, out of stand-alone networks, of which each shows all of its layers.

    Raises:
        ValueError: when a layer is another module, or is given another input, in two networks that have the same
            combination; names it.
    """
    found: dict[tuple[str, Key], tuple[Sample, Architecture]] = {}
    for architecture in _covering(passes.space, wanted):
        keys = {layer: key for layer in wanted if (key := layer.key(architecture)) is not None}
        for layer, sample in _calls(supernet, passes, architecture, list(keys)).items():
            known, other = found.setdefault((layer.name, keys[layer]), (sample, architecture))
            if (sample.described, sample.inputs) != (known.described, known.inputs):
                raise ValueError(
                    f"Layer {layer.name!r} with {layer.described(keys[layer]) or 'no options'} is {known.described} of "
                    f"{known.inputs} in {other.id}, and {sample.described} of {sample.inputs} in {architecture.id}: "
                    "its time depends on choices in a way that was not found. Use Latency."
                )
    return {row: sample for row, (sample, _) in found.items()}


def _covering(space: SearchSpace, wanted: Mapping[Layer, Mapping[Key, Mapping[str, Option]]]) -> Iterator[Architecture]:
    """Yield architectures in which, together, each layer has each combination; what is free is drawn at random.

    Then come a few more, for what was found to be compared with.
    """
    rng = np.random.default_rng(0)
    left = {(layer, key): part for layer, parts in wanted.items() for key, part in parts.items()}
    more = COMPARED
    while left or more:
        more -= not left
        drawn = {choice.label: choice.options[rng.integers(len(choice.options))] for choice in space.choices}
        architecture = space.without_inactive({**drawn, **next(iter(left.values()), {})})
        yield architecture
        for layer in wanted:
            key = layer.key(architecture)
            if key is not None:
                left.pop((layer, key), None)


def _calls(
    supernet: Supernet, passes: Passes, architecture: Architecture, layers: Sequence[Layer]
) -> dict[Layer, Sample]:
    """Return the modules of an architecture's stand-alone network that are these layers, with their calls."""
    with torch.device("meta"):
        network = supernet.subnet(architecture, inherit=False).eval()
    passes.meta.activate(architecture)
    names = {id(module): name for name, module in passes.meta.named_active_modules()}
    modules = {layer: network.get_submodule(names[id(layer.module)]) for layer in layers}
    calls: dict[int, list[Call]] = {id(module): [] for module in modules.values()}

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls[id(module)].append((args, kwargs))

    with torch.no_grad(), ExitStack() as stack:
        for module in {id(module): module for module in modules.values()}.values():
            stack.callback(module.register_forward_pre_hook(note, with_kwargs=True).remove)
        network(*passes.inputs)
    return {layer: Sample(module, calls[id(module)]) for layer, module in modules.items()}
