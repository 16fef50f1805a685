"""Finds layers that disagree on a width, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch

from autopanoptic.nas.space.architecture import Architecture, Option
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.supernet import _nni
from autopanoptic.nas.supernet.elastic.layer import DisagreementError
from autopanoptic.nas.supernet.elastic.sizes import SizeChoice
from autopanoptic.nas.supernet.elastic.tracing import Tracer
from autopanoptic.nas.supernet.sites import Site
from autopanoptic.nas.supernet.state import evaluating
from autopanoptic.nas.supernet.unused import reaching

if TYPE_CHECKING:
    from autopanoptic.nas.supernet.supernet import Supernet

SHOWN = 4
"""Choices that are named where they alone are special."""


def check_agreement(supernet: Supernet) -> None:
    """Run the largest and the smallest network, and each size and depth alone at its smallest.

    Every option of a :class:`LayerChoice` runs in the largest and in the smallest network.

    Args:
        supernet: on the meta device, with example inputs.

    Raises:
        DisagreementError: names the layers that disagree, and their widths.
    """
    with evaluating(supernet.module), torch.no_grad():
        for architecture in probes(supernet.space, supernet.sites):
            supernet.activate(architecture)
            _run(supernet)


def _run(supernet: Supernet) -> None:
    tracer = Tracer(supernet.module)
    try:
        with tracer:
            supernet.module(*supernet.inputs)
    except NotImplementedError:  # an operation without a form on the meta device
        raise
    except Exception as problem:
        raise DisagreementError(
            f"Layers of the network do not fit each other {_described(supernet)}. {tracer.explain(problem)} Layers "
            "that must agree on their channels share one Width."
        ) from problem


def _described(supernet: Supernet) -> str:
    """Return what is special in the active architecture."""
    small = {label: option for label, option in supernet.active.items() if option != _largest(supernet.space)[label]}
    if not small:
        return "in the largest network"
    return f"where {small}" if len(small) <= SHOWN else f"in the architecture {dict(supernet.active)}"


def _largest(space: SearchSpace) -> dict[str, Option]:
    return {choice.label: choice.options[-1] for choice in space.choices}


def probes(space: SearchSpace, sites: Mapping[str, Site]) -> Iterator[Architecture]:
    """Yield architectures in which two choices of a size that must agree differ, if there are two."""
    largest = _largest(space)
    sizes = {choice.label: choice.options[0] for choice in space.choices if _is_size(sites[choice.label])}
    covering = list(_covering(space, sites, largest))
    for options in covering:
        yield space.canonical({**largest, **options})
    for choice in space.choices:
        if len(choice.options) > 1 and not _is_layer_choice(sites[choice.label]):
            around = {**largest, **reaching(space, choice.label, largest)}
            yield space.canonical({**around, choice.label: choice.options[0]})
    for options in covering:
        yield space.canonical({**largest, **options, **sizes})


def largest_networks(supernet: Supernet) -> Iterator[Architecture]:
    """Yield architectures of all largest sizes, in which every option of the layer choices is taken."""
    largest = _largest(supernet.space)
    for options in _covering(supernet.space, supernet.sites, largest):
        yield supernet.space.canonical({**largest, **options})


def _covering(
    space: SearchSpace, sites: Mapping[str, Site], usual: Mapping[str, Option]
) -> Iterator[dict[str, Option]]:
    """Yield options so that every one of a layer choice is taken, as few sets as that needs."""
    choices = [choice for choice in space.choices if _is_layer_choice(sites[choice.label])]
    left = {choice.label: list(choice.options[::-1]) for choice in choices}
    yield {}
    while waiting := [label for label, options in left.items() if options]:
        wanted = {**reaching(space, waiting[0], usual), waiting[0]: left[waiting[0]][0]}
        taken = {label: options[0] for label, options in left.items() if options} | wanted
        for label, option in space.canonical({**usual, **taken}).items():
            if option in left.get(label, ()):
                left[label].remove(option)
        yield taken


def _is_size(site: Site) -> bool:
    return isinstance(site.modules[0], SizeChoice)


def _is_layer_choice(site: Site) -> bool:
    return isinstance(site.modules[0], _nni.LayerChoice)
