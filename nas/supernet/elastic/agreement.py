"""Finds layers that disagree on a width, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch

from autopanoptic.nas.space.architecture import Architecture, Option
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.supernet import _nni
from autopanoptic.nas.supernet.elastic.layer import DisagreementError
from autopanoptic.nas.supernet.elastic.tracing import Tracer
from autopanoptic.nas.supernet.state import evaluating
from autopanoptic.nas.supernet.unused import reaching

if TYPE_CHECKING:
    from autopanoptic.nas.supernet.supernet import Supernet

SHOWN = 4
"""Choices that are named where they alone are special."""


def check_agreement(supernet: Supernet) -> None:
    """Run the largest and the smallest network, and networks between in which any two sizes differ.

    Every option of a :class:`LayerChoice` runs in the largest and in the smallest network. Of two sizes one is at its
    smallest and the other at its largest in some network, and the other way round in another, for which about twice
    the logarithm of their number is enough.

    Args:
        supernet: on the meta device, with example inputs.

    Raises:
        DisagreementError: names the layers that disagree, and their widths.
    """
    with evaluating(supernet.module), torch.no_grad():
        for architecture in largest_networks(supernet):
            _trace(supernet, architecture)
        for architecture in smaller_networks(supernet):
            if not _runs(supernet, architecture):
                simpler = (alone for alone in _alone(supernet, architecture) if not _runs(supernet, alone))
                _trace(supernet, next(simpler, architecture))


def _runs(supernet: Supernet, architecture: Architecture) -> bool:
    supernet.activate(architecture)
    try:
        supernet.module(*supernet.inputs)
    except Exception as problem:
        if _is_of_the_device(problem):
            raise
        return False
    return True


def _trace(supernet: Supernet, architecture: Architecture) -> None:
    """Run a network, and explain what goes wrong."""
    supernet.activate(architecture)
    tracer = Tracer(supernet.module)
    try:
        with tracer:
            supernet.module(*supernet.inputs)
    except Exception as problem:
        if _is_of_the_device(problem):
            raise
        raise DisagreementError(
            f"Layers of the network do not fit each other {_described(supernet)}. {tracer.explain(problem)} Layers "
            "that must agree on their channels share one Width."
        ) from problem


def _is_of_the_device(problem: Exception) -> bool:
    """Return whether an operation has no form on the meta device, which is no fault of the sizes."""
    return isinstance(problem, NotImplementedError) or "meta tensor" in str(problem)


def _described(supernet: Supernet) -> str:
    """Return what is special in the active architecture."""
    largest = _largest(supernet.space)
    small = {label: option for label, option in supernet.active.items() if option != largest[label]}
    if not small:
        return "in the largest network"
    return f"where {small}" if len(small) <= SHOWN else f"in the architecture {dict(supernet.active)}"


def _largest(space: SearchSpace) -> dict[str, Option]:
    return {choice.label: choice.options[-1] for choice in space.choices}


def largest_networks(supernet: Supernet) -> Iterator[Architecture]:
    """Yield architectures of all largest sizes, in which every option of the layer choices is taken."""
    largest = _largest(supernet.space)
    for options in _covering(supernet):
        yield supernet.space.canonical({**largest, **options})


def smaller_networks(supernet: Supernet) -> Iterator[Architecture]:
    """Yield architectures in which any two sizes differ, each depth is small, and all sizes are the smallest."""
    space, largest = supernet.space, _largest(supernet.space)
    smallest = {choice.label: choice.options[0] for choice in space.choices if _has_size(supernet, choice.label)}
    usual = space.canonical(largest)
    depths = {label: largest[label] for label in smallest if isinstance(_module(supernet, label), _nni.Repeat)}
    labels = [label for label in usual if label in smallest and label not in depths]
    for bit in range((len(labels) - 1).bit_length()):
        for value in (1, 0):
            small = {label: smallest[label] for n, label in enumerate(labels) if n >> bit & 1 == value}
            yield space.canonical({**largest, **small})
    yield from (_with_one_small(space, label) for label in smallest if label not in labels)
    for options in _covering(supernet):
        yield space.canonical({**largest, **smallest, **depths, **options})
    yield space.canonical({**largest, **smallest})


def _alone(supernet: Supernet, architecture: Architecture) -> Iterator[Architecture]:
    """Yield the networks in which only one of the choices is small that are small in an architecture."""
    largest = _largest(supernet.space)
    for label, option in architecture.items():
        if option != largest[label] and _has_size(supernet, label):
            yield _with_one_small(supernet.space, label)


def _with_one_small(space: SearchSpace, label: str) -> Architecture:
    largest = _largest(space)
    return space.canonical({**largest, **reaching(space, label, largest), label: space[label].options[0]})


def _covering(supernet: Supernet) -> Iterator[Mapping[str, Option]]:
    """Yield options so that every one of a layer choice is taken, as few sets as that needs."""
    space, usual = supernet.space, _largest(supernet.space)
    labels = [label for label in usual if isinstance(_module(supernet, label), _nni.LayerChoice)]
    left = {label: list(space[label].options[::-1]) for label in labels}
    yield {}
    while waiting := [label for label, options in left.items() if options]:
        wanted = {**reaching(space, waiting[0], usual), waiting[0]: left[waiting[0]][0]}
        taken = {label: options[0] for label, options in left.items() if options} | wanted
        for label, option in space.canonical({**usual, **taken}).items():
            if option in left.get(label, ()):
                left[label].remove(option)
        yield taken


def _module(supernet: Supernet, label: str) -> object:
    return supernet.sites[label].modules[0]


def _has_size(supernet: Supernet, label: str) -> bool:
    """Return whether a choice is one of sizes or of a depth, and has several."""
    of_layers = isinstance(_module(supernet, label), (_nni.LayerChoice, _nni.InputChoice))
    return not of_layers and len(supernet.space[label].options) > 1
