"""A proposal is worked out on one thread: more would wait for each other where workers keep the cores busy."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from autopanoptic.nas import Architecture, Choice, SearchSpace
from autopanoptic.strategies import BayesianOptimization, RandomSearch
from autopanoptic.strategies.bayesian.threads import one_thread
from autopanoptic.strategies.testing.simulation import Simulation

SPACE = SearchSpace(Choice(f"c{place}", range(5)) for place in range(12))


def threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_the_threads_are_as_before_afterwards() -> None:
    with threadpool_limits(2, "blas"):
        with one_thread():
            assert threads() == {1}
        assert threads() == {2}


def test_the_last_to_leave_takes_the_limit_away() -> None:
    """The number of threads is the process's: two that overlap must not restore each other's limit."""
    first, second = one_thread(), one_thread()
    with threadpool_limits(2, "blas"):
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert threads() == {1}
        second.__exit__(None, None, None)
        assert threads() == {2}


def test_proposals_are_worked_out_on_one_thread() -> None:
    seen: list[set[int]] = []

    def looked_at(architecture: Architecture) -> bool:
        seen.append(threads())
        return True

    strategy = BayesianOptimization(initial=4, candidates=30)
    history, rng = Simulation(RandomSearch(), SPACE).run(6).history, np.random.default_rng(0)
    space = SPACE.where(looked_at, "all")
    with threadpool_limits(2, "blas"):
        strategy.propose(space, history, rng)
        strategy.propose_batch(space, history, [rng, rng])
        assert threads() == {2}
    assert seen
    assert all(found == {1} for found in seen)
