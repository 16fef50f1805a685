"""What a run searches with, and what it compares with."""

from __future__ import annotations

from autopanoptic.nas import (
    NSGA2,
    Architecture,
    BayesianOptimization,
    Evolution,
    LocalSearch,
    PathPriority,
    RandomSearch,
    RegularizedEvolution,
    Result,
    SearchSpace,
    Strategy,
)
from autopanoptic.panoptic.search.designs import designs
from autopanoptic.panoptic.search.scaling import SHARE, scaled


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

    A choice that lacks these operators takes the first one that the config names. Where components are choices, they
    are those of Auto-Panoptic, or of the first of `designs`.

    Widths and depths lie a third of the way from the smallest to the largest, where the presets have those of the
    networks with fixed ones.
    """
    return scaled(space, SHARE, designs(space)[0])


def family(space: SearchSpace) -> list[Architecture]:
    """Return the networks that one would build by hand for several budgets, from the smallest to the largest.

    It is `hand_made` in several sizes: all its widths and depths move together. Where there are none it is alone.
    """
    first = designs(space)[0]
    return list(dict.fromkeys(scaled(space, step / FINE, first) for step in range(FINE + 1)))


def beginnings(space: SearchSpace) -> list[Architecture]:
    """Return the networks with which a search begins: the hand-made family, or where components are choices each of
    `designs` in two sizes, the one that one would take first and the smallest.
    """
    found = designs(space)
    if len(found) == 1:
        return family(space)
    return list(dict.fromkeys(scaled(space, share, design) for share in (SHARE, 0) for design in found))


def largest_of_each(space: SearchSpace) -> list[Architecture]:
    """Return each of `designs` in the largest size, with plain operators."""
    return [scaled(space, 1, design) for design in designs(space)]


FINE = 24
"""Steps from the smallest to the largest network, of which those are different ones that move a size."""
