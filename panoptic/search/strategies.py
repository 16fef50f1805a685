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
    """Return the network that one would build by hand: 3x3 kernels everywhere, the weakest squeeze, a plain FPN."""
    plain = {"backbone": "shuffle3", "mask": "dw3", "segmentation": "dw3", "f2b": "r4", "b2f": "r4", "neck": "fpn"}
    return space.canonical({choice.label: plain[choice.label.split(".")[0]] for choice in space.choices})


def family(space: SearchSpace) -> list[Architecture]:
    """Return the networks that one would build by hand for several budgets."""
    return [hand_made(space)]
