"""Write a search strategy of your own, check it, and compare it with others.

    python examples/custom_strategy.py

A strategy is one method: it sees the search space and the history of all trials, and returns the next architecture.
The seed, the resume from a journal, parallel trials and constraints come with it, as long as it keeps to the contract
that ``check_strategy`` tests.
"""

from __future__ import annotations

from statistics import mean

import numpy as np
from rich.console import Console
from rich.table import Table

from autopanoptic.nas import (
    Architecture,
    Choice,
    Evolution,
    History,
    RandomSearch,
    RegularizedEvolution,
    Search,
    SearchSpace,
    Strategy,
)
from autopanoptic.nas.strategy import unseen
from autopanoptic.strategies.testing import check_strategy


class HillClimbing(Strategy):
    """Changes one choice of the best architecture so far, and now and then draws one at random."""

    def __init__(self, explore: float = 0.1) -> None:
        self.explore = explore  # public attributes are the parameters that repr() shows

    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture | None:
        """Return an architecture that has not been tried; None when there is none left."""
        best = history.best
        if best is None or rng.random() < self.explore:
            return unseen(space, history, rng)
        return unseen(space, history, rng, lambda: space.mutate(best.architecture, rng))


LAYERS = 5
SPACE = SearchSpace(
    choice
    for layer in range(LAYERS)
    for choice in (
        Choice(f"kernel{layer}", [1, 3, 5, 7]),
        Choice(f"dilation{layer}", [1, 2, 4], (f"kernel{layer}", (3, 5, 7))),
    )
)


def fitness(architecture: Architecture) -> float:
    """Return how near a stack of convolutions comes to a receptive field of 63 pixels, less what its weights cost.

    It stands in for the accuracy of a trained network: 0 would be perfect; a field of half or double that size costs 1,
    and so do 100 weights a channel.
    """
    kernels = [int(architecture[f"kernel{layer}"]) for layer in range(LAYERS)]
    dilations = [int(architecture.get(f"dilation{layer}", 1)) for layer in range(LAYERS)]
    field = 1 + sum((kernel - 1) * dilation for kernel, dilation in zip(kernels, dilations, strict=True))
    return -abs(float(np.log2(field / 63))) - sum(kernel**2 for kernel in kernels) / 100


def compare(strategies: list[Strategy], trials: int, seeds: int) -> dict[str, list[float]]:
    """Return the best fitness that each strategy finds with every seed."""
    return {
        repr(strategy): [
            Search(SPACE, strategy, fitness, objectives={"fitness": "max"}, seed=seed)
            .run(trials=trials, progress=False)
            .best.metrics["fitness"]
            for seed in range(seeds)
        ]
        for strategy in strategies
    }


def main(trials: int = 150, seeds: int = 20) -> dict[str, list[float]]:
    """Check the strategy, compare it with others, and print a table."""
    check_strategy(HillClimbing)
    strategies = [
        RandomSearch(),
        Evolution(population=20),
        RegularizedEvolution(population=30, sample=10),
        HillClimbing(),
    ]
    found = compare(strategies, trials, seeds)
    optimum = max(map(fitness, SPACE))
    table = Table(
        "strategy",
        "mean best",
        "worst best",
        "optimum found",
        title=f"{SPACE.size:,} architectures, {trials} trials, {seeds} seeds",
    )
    for name, values in found.items():
        hits = sum(np.isclose(value, optimum) for value in values)
        table.add_row(name, f"{mean(values):.3f}", f"{min(values):.3f}", f"{hits} of {seeds}")
    Console().print(table)
    return found


if __name__ == "__main__":
    main()
