"""What a run searches with, and what it compares with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autopanoptic.nas import (
    NSGA2,
    Architecture,
    BayesianOptimization,
    Choice,
    Evolution,
    LocalSearch,
    Option,
    PathPriority,
    RandomSearch,
    RegularizedEvolution,
    Result,
    SearchSpace,
    Strategy,
)
from autopanoptic.panoptic.model.parts.kinds import AnyPart, BackboneBlock, FusionOperator, HeadOperator, PyramidNeck


def strategy_of(name: str, trials: int, space: SearchSpace) -> Strategy:
    """Return a strategy by its name on the command line, fitted to a number of trials.

    Raises:
        ValueError: If there are too few trials for it.
    """
    if name == "random":
        return RandomSearch()
    if name == "evolution":
        return Evolution(population=min(50, max(2, trials // 4)))
    if name == "regularized-evolution":
        population = min(100, max(2, trials // 3))
        return RegularizedEvolution(population=population, sample=max(1, population // 4))
    if name == "nsga2":
        return NSGA2(population=min(40, max(2, trials // 4)))
    if name == "local-search":
        return LocalSearch()
    if name == "bayesian":
        return BayesianOptimization(initial=min(10, max(1, trials // 4)))
    length = PathPriority().length(space)
    cycles = (trials - 1) // length
    if cycles < 1:
        raise ValueError(
            f"path-priority needs at least one fair cycle of {length} trials and one for its answer; trials is {trials}"
        )
    return PathPriority(cycles=cycles)


def answer_of(strategy: Strategy, result: Result) -> Architecture:
    """Return what a search has to say: path-priority builds its answer, the others take their best trial."""
    if isinstance(strategy, PathPriority):
        return strategy.answers(result.space, result.history)[0]
    return result.best.architecture


def hand_made(space: SearchSpace) -> Architecture:
    """Return the network that one would build by hand: 3x3 kernels everywhere, the weakest squeeze, a plain FPN.

    A choice that lacks these operators takes the first one that the config names.

    Widths and depths lie a third of the way from the smallest to the largest, where the presets have those of the
    networks with fixed ones.
    """
    return _scaled(space, 1 / 3)


def family(space: SearchSpace) -> list[Architecture]:
    """Return the networks that one would build by hand for several budgets, from the smallest to the largest.

    It is `hand_made` in several sizes: all its widths and depths move together. Where there are none it is alone.
    """
    return list(dict.fromkeys(_scaled(space, step / FINE) for step in range(FINE + 1)))


FINE = 24
"""Steps from the smallest to the largest network, of which those are different ones that move a size."""
_PLAIN: Mapping[type[AnyPart], str] = {
    BackboneBlock: "shuffle3",
    HeadOperator: "dw3",
    FusionOperator: "r4",
    PyramidNeck: "fpn",
}
_KINDS: Mapping[str, type[AnyPart]] = {
    "backbone": BackboneBlock,
    "mask": HeadOperator,
    "segmentation": HeadOperator,
    "f2b": FusionOperator,
    "b2f": FusionOperator,
    "neck": PyramidNeck,
}


def _scaled(space: SearchSpace, share: float) -> Architecture:
    """Plain operators, in sizes that are a share of the way up."""
    options: dict[str, Option] = {}
    for choice in space.choices:
        if is_size(choice.label):
            options[choice.label] = choice.options[int(share * (len(choice.options) - 1) + 0.5)]
        else:
            options[choice.label] = plain(choice)
    return space.canonical(options)


def plain(choice: Choice) -> Option:
    """Return the operator that one would take by hand for a choice; the first one where it lacks that."""
    return plain_of(kind_of(choice.label), choice.options)


def plain_of(kind: type[AnyPart], options: Sequence[Option]) -> Option:
    """Return the one of some parts of a kind that one would take by hand."""
    return _PLAIN[kind] if _PLAIN[kind] in options else options[0]


def kind_of(label: str) -> type[AnyPart]:
    """Return the kind of parts among which a choice takes one."""
    return _KINDS[label.split(".")[0]]


def is_size(label: str) -> bool:
    """Return whether a choice is a width or a depth, and no operator."""
    return label.endswith((".width", ".depth"))
