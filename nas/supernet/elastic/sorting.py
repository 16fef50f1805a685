"""Puts the most important channels first, so that smaller networks keep them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor, nn

from autopanoptic.nas.supernet.dataflow import tensors_in
from autopanoptic.nas.supernet.elastic.agreement import largest_networks
from autopanoptic.nas.supernet.elastic.layer import ElasticLayer
from autopanoptic.nas.supernet.elastic.sizes import Derived, ElasticSize, Width, placed
from autopanoptic.nas.supernet.elastic.slices import Layout
from autopanoptic.nas.supernet.state import evaluating
from autopanoptic.nas.supernet.supernet import Supernet

Outputs = list[Tensor]


@dataclass
class _Channels:
    """What the network does with the channels of one width."""

    number: int
    importance: Tensor
    blocks: set[int] = field(default_factory=set)
    """Numbers of neighbours that must stay together."""
    fixed: bool = False


def sort_channels(supernet: Supernet, inputs: Sequence[Tensor] = ()) -> tuple[str, ...]:
    """Reorder the channels of each width by importance, so that its smaller options keep the most important ones.

    The importance of a channel is the L1 norm of the weights that make it, over all layers of that width (Cai et al.
    2020, once-for-all, section 3.3). All layers that make or take the channels are reordered alike, with their
    batch-norm statistics, so the largest network computes what it did before. Channels that a group norm normalises
    together stay together. Do it when the largest network has been trained and before smaller ones are; an optimizer
    that has been in use must be made anew, since its moments are not reordered.

    A width is left as it is when it is ``ordered``, has one option, when a layer takes a part of it (``width // 2``)
    or filters it in groups of several channels. Declare a width ``ordered=True`` when the network does something with
    it that depends on the order of channels: a shuffle, a split, an attention over heads, or an output.

    Args:
        supernet: its parameters and buffers change in place.
        inputs: example inputs on the supernet's device. With them the largest network runs before and after, once for
            each option of its :class:`LayerChoice`; where its output is another, everything is put back.

    Returns:
        The labels of the widths that were sorted.

    Raises:
        ValueError: when the output has changed; names the widths that did it.
    """
    found = _channels_of(supernet.module)
    orders = {label: _order(channels) for label, channels in found.items() if not channels.fixed}
    before = _outputs(supernet, inputs) if inputs else []
    _reorder(supernet.module, orders)
    if inputs and not _same(before, _outputs(supernet, inputs)):
        _reorder(supernet.module, _inverses(orders))
        wrong = [label for label, order in orders.items() if _changes(supernet, inputs, before, {label: order})]
        raise ValueError(
            f"The network depends on the order of the channels of {wrong or list(orders)}, so that they cannot be "
            "sorted. Declare such a width ordered: Width(label, options, ordered=True)."
        )
    return tuple(orders)


def _tensors(network: nn.Module) -> Iterator[tuple[ElasticLayer, str, Tensor, Layout]]:
    """Yield the tensors of elastic layers, those that several layers share once for each."""
    for layer in network.modules():
        if isinstance(layer, ElasticLayer):
            for name, layout in layer.layout.items():
                tensor: Tensor | None = getattr(layer, name)
                if tensor is not None:
                    yield layer, name, tensor, layout


def _parts(size: ElasticSize) -> Iterator[tuple[Width, int, int | None]]:
    """Yield each width in a size, where its part begins, and how many indices each channel has; None for a fraction."""
    for start, part in placed(size):
        if isinstance(part, Width):
            yield part, start, 1
        elif isinstance(part, Derived) and isinstance(part.choice, Width):
            whole = all(sign == "*" for sign, _ in part.steps)
            yield part.choice, start, part.largest // part.choice.largest if whole else None


def _channels_of(network: nn.Module) -> dict[str, _Channels]:
    found: dict[str, _Channels] = {}
    for _, name, tensor, layout in _tensors(network):
        for dimension, size in enumerate(layout):
            for width, start, times in _parts(size):
                zeros = torch.zeros(width.largest, device=tensor.device)
                channels = found.setdefault(width.label, _Channels(width.largest, zeros))
                channels.fixed |= width.ordered or len(width.options) == 1 or times is None
                if times is not None and name == "weight" and tensor.ndim > 1 and not dimension:
                    channels.importance += _norms(tensor, start, width.largest, times)
    _note_blocks(network, found)
    _note_shared(network, found)
    return found


def _norms(weight: Tensor, start: int, number: int, times: int) -> Tensor:
    """Return the L1 norm of the weights that make each channel."""
    rows = weight.detach()[start : start + number * times].abs().flatten(1).sum(1)
    return rows.view(number, times).sum(1).float()


def _note_blocks(network: nn.Module, found: Mapping[str, _Channels]) -> None:
    for layer in network.modules():
        for size, block in layer.blocks() if isinstance(layer, ElasticLayer) else ():
            for width, _, times in _parts(size):
                channels = found[width.label]
                if times is None or not block or (block % times and times % block):
                    channels.fixed = True
                elif block > times:
                    channels.blocks.add(block // times)
    for channels in found.values():
        nested = sorted(channels.blocks)
        channels.fixed |= any(outer % inner for inner, outer in pairwise(nested))


def _note_shared(network: nn.Module, found: Mapping[str, _Channels]) -> None:
    """Leave tensors alone that layers of different sizes, or others than elastic ones, share."""
    layouts: dict[int, set[str]] = {}
    for _, _, tensor, layout in _tensors(network):
        layouts.setdefault(id(tensor), set()).add(repr(layout))
    for module in network.modules():
        if not isinstance(module, ElasticLayer):
            for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
                layouts.setdefault(id(tensor), set()).add("")
    for _, _, tensor, layout in _tensors(network):
        if len(layouts[id(tensor)]) > 1:
            for size in layout:
                for width, _, _ in _parts(size):
                    found[width.label].fixed = True


def _order(channels: _Channels) -> Tensor:
    """Return the channels by falling importance, blocks as wholes and within themselves."""
    order = torch.arange(channels.number, device=channels.importance.device).unsqueeze(0)
    importance = channels.importance.unsqueeze(0)
    for block in [*sorted(channels.blocks, reverse=True), 1]:
        grouped = importance.reshape(len(importance), -1, block)
        best = grouped.sum(2).sort(dim=1, descending=True, stable=True).indices.unsqueeze(2).expand_as(grouped)
        importance = grouped.gather(1, best).reshape(-1, block)
        order = order.reshape_as(grouped).gather(1, best).reshape(-1, block)
    return order.flatten()


def _inverses(orders: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {label: order.argsort() for label, order in orders.items()}


@torch.no_grad()
def _reorder(network: nn.Module, orders: Mapping[str, Tensor]) -> None:
    done: set[int] = set()
    for _, _, tensor, layout in _tensors(network):
        if id(tensor) not in done:
            done.add(id(tensor))
            for dimension, size in enumerate(layout):
                index = torch.arange(size.largest, device=tensor.device)
                for width, start, times in _parts(size):
                    if width.label in orders:
                        assert times is not None
                        order = orders[width.label].to(tensor.device).unsqueeze(1)
                        places = start + order * times + torch.arange(times, device=tensor.device)
                        index[start : start + places.numel()] = places.flatten()
                tensor.copy_(tensor.index_select(dimension, index))


@torch.no_grad()
def _outputs(supernet: Supernet, inputs: Sequence[Tensor]) -> list[Outputs]:
    """Return what the largest network makes of the inputs, for every option of its layer choices."""
    active, found = supernet.active, []
    try:
        with evaluating(supernet.module):
            for architecture in largest_networks(supernet):
                supernet.activate(architecture)
                found.append([tensor.clone() for tensor in tensors_in(supernet(*inputs))])
    finally:
        supernet.activate(active)
    return found


def _same(before: list[Outputs], after: list[Outputs]) -> bool:
    """Return whether outputs are equal but for the rounding of sums in another order."""
    pairs = [pair for first, second in zip(before, after, strict=True) for pair in zip(first, second, strict=True)]
    return all(
        first.shape == second.shape
        and torch.allclose(first, second, rtol=1e-3, atol=1e-4 * max(1.0, float(first.abs().max())))
        for first, second in pairs
        if first.numel()
    )


def _changes(supernet: Supernet, inputs: Sequence[Tensor], before: list[Outputs], orders: Mapping[str, Tensor]) -> bool:
    _reorder(supernet.module, orders)
    try:
        return not _same(before, _outputs(supernet, inputs))
    finally:
        _reorder(supernet.module, _inverses(orders))
