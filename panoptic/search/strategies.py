"""What a run searches with, and what it compares with."""

from __future__ import annotations

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


PLAIN = {"backbone": "shuffle3", "mask": "dw3", "segmentation": "dw3", "f2b": "r4", "b2f": "r4", "neck": "fpn"}
"""What one would take by hand: 3x3 kernels everywhere, the weakest squeeze, a plain FPN."""
BY_HAND = 1 / 3
"""How far the network made by hand is scaled."""
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""How far the members of the family are scaled, from the smallest widths and depths to the largest."""


def hand_made(space: SearchSpace) -> Architecture:
    """Return the network that one would build by hand: 3x3 kernels everywhere, the weakest squeeze, a plain FPN.

    Widths and depths lie a third of the way from the smallest to the largest, where the configs have those of the
    networks with fixed ones.
    """
    return scaled(space, BY_HAND)


def family(space: SearchSpace) -> list[Architecture]:
    """Return the networks that one would build by hand for several budgets, the smallest first.

    It is one network, `hand_made`, scaled uniformly in width and depth; without widths and depths that one alone.
    """
    return list(dict.fromkeys(scaled(space, share) for share in SHARES))


def scaled(space: SearchSpace, share: float) -> Architecture:
    """Return the hand-made network in a size.

    Args:
        space: Of a panoptic network.
        share: Where the size of every part lies between its smallest option, 0, and its largest, 1.
    """
    return space.canonical({choice.label: _by_hand(choice, share) for choice in space.choices})


def _by_hand(choice: Choice, share: float) -> Option:
    if all(isinstance(option, int) for option in choice.options):
        sizes = sorted(choice.options)
        return sizes[int(share * (len(sizes) - 1) + 0.5)]
    return PLAIN[choice.label.split(".")[0]]
