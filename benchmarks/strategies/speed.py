"""How long a strategy takes to propose, with many completed trials in a large space."""

from __future__ import annotations

import math
import time

import numpy as np

from autopanoptic.nas import Architecture, Choice, Search, SearchSpace
from benchmarks.strategies.benchmark import console
from benchmarks.strategies.ours import Ours, require_suitable
from benchmarks.strategies.problem import Unsuitable
from benchmarks.strategies.results import Results


def space(choices: int) -> SearchSpace:
    """Return a space of so many choices with 3 to 6 options each."""
    return SearchSpace(Choice(f"choice{index}", list(range(3 + index % 4))) for index in range(choices))


def evaluate(architecture: Architecture) -> dict[str, float]:
    """Return two metrics that pull apart: every option adds its own amount to each."""
    numbers = [11 * index + int(option) for index, option in enumerate(architecture.values())]
    return {"value": math.fsum(map(math.sin, numbers)), "cost": math.fsum(1 + math.cos(n) for n in numbers)}


def times_ms(strategy: Ours, choices: int, trials: int, proposals: int, objectives: int = 1) -> list[float]:
    """Return the processor times of ``propose``, in milliseconds.

    The search is the strategy's own, seed 0, up to ``trials`` completed trials. From there each of
    ``proposals`` trials is proposed once under the clock, and then as the search would without it.

    Args:
        strategy: who proposes.
        choices: of the space.
        trials: completed before the first proposal that is timed.
        proposals: how many are timed.
        objectives: 1 or 2.

    Raises:
        Unsuitable: when the strategy does not take so many objectives.
    """
    made = strategy.make()
    names = {"value": "max", "cost": "min"} if objectives == 2 else {"value": "max"}
    made_for = space(choices)
    require_suitable(made, made_for, names)
    search = Search(made_for, made, objectives=names)
    found: list[float] = []
    for number in range(trials + proposals):
        if number >= trials:
            rng = np.random.default_rng([0, number])
            start = time.process_time()
            made.propose(search.space, search.history, rng)
            found.append(1e3 * (time.process_time() - start))
        trial = search.ask()
        assert trial is not None
        search.tell(trial, evaluate(trial.architecture))
    return found


def measure(results: Results, name: str, strategy: Ours, choices: int, trials: int, proposals: int) -> None:
    """Time a strategy with one objective and with two, as far as it takes them, and write down what it took."""
    for objectives in (1, 2):
        problem = f"{choices} choices, {trials} trials, {objectives} objective{'s' * (objectives > 1)}"
        try:
            found = np.array(times_ms(strategy, choices, trials, proposals, objectives))
        except (ModuleNotFoundError, Unsuitable) as error:
            results.leave_out(problem, name, str(error))
            console.print(f"{name} left out: {error}")
            continue
        values = {"median": np.median(found), "mean": found.mean(), "p95": np.quantile(found, 0.95), "max": found.max()}
        rounded = {key: round(float(value), 4) for key, value in values.items()}
        results.put(problem, name, about=strategy.about, proposals=proposals, ms=rounded)
        console.print(f"{problem}: {name}, median {rounded['median']:.3f} ms, slowest {rounded['max']:.3f} ms")
