"""Spaces with ``canonical=``: several architectures are one network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from autopanoptic.nas import (
    Architecture,
    Choice,
    Evolution,
    GridSearch,
    InfeasibleError,
    Option,
    PathPriority,
    RandomSearch,
    RegularizedEvolution,
    Search,
    SearchSpace,
)
from autopanoptic.nas.strategy import Strategy, exhausted
from autopanoptic.strategies.testing.simulation import Simulation

OPS = ["conv", "pool", "skip"]
PLACES = ["a", "b", "c"]


def in_order(architecture: Mapping[str, Option]) -> dict[str, Option]:
    """The three places add up, so that their order does not matter."""
    return dict(zip(PLACES, sorted(map(str, architecture.values())), strict=True))


SPACE = SearchSpace([Choice(label, OPS) for label in PLACES], canonical=in_order)
CLASSES = 10  # multisets of 3 of 3


def test_every_class_once() -> None:
    assert SPACE.size == 27
    assert len(list(SPACE)) == len(set(SPACE)) == CLASSES
    assert all(architecture in SPACE for architecture in SPACE)
    assert Architecture({"a": "skip", "b": "conv", "c": "conv"}) not in SPACE
    assert SPACE.canonical({"a": "skip", "b": "conv", "c": "conv"}) == {"a": "conv", "b": "conv", "c": "skip"}


def test_methods_return_representatives() -> None:
    rng = np.random.default_rng(0)
    known = set(SPACE)
    for _ in range(200):
        one, two = SPACE.sample(rng), SPACE.sample(rng)
        child = SPACE.mutate(one, rng)
        assert {one, two, child, SPACE.crossover(one, two, rng)} <= known
        assert child != one
        neighbors = list(SPACE.neighbors(one))
        assert set(neighbors) <= known - {one}
        assert len(set(neighbors)) == len(neighbors)


def test_every_neighbor_is_a_single_change_away() -> None:
    one = SPACE.canonical({"a": "conv", "b": "conv", "c": "skip"})
    assert {"".join(o[0] for o in map(str, n.values())) for n in SPACE.neighbors(one)} == {"cps", "css", "ccc", "ccp"}


def test_constrained_space_keeps_the_symmetries() -> None:
    part = SPACE.where(lambda found: found["a"] != "skip", "a is not skip")
    assert len(list(part)) == CLASSES - 1
    rng = np.random.default_rng(0)
    assert {part.sample(rng) for _ in range(400)} == set(part)


@pytest.mark.parametrize(
    "strategy", [RandomSearch(), GridSearch(), Evolution(4), RegularizedEvolution(4, 2)], ids=lambda s: type(s).__name__
)
def test_search_tries_each_class_once(strategy: Strategy, caplog: pytest.LogCaptureFixture) -> None:
    result = Search(SPACE, strategy, lambda found: float(Counter(found.values())["conv"])).run(20)
    assert {trial.architecture for trial in result.history} == set(SPACE)
    assert len(result.history) == CLASSES
    assert result.ended == "strategy"
    assert exhausted(SPACE, result.history)
    assert "after 10 of 20 trials: every architecture of the space has been tried" in caplog.text


def test_path_priority_deals_representatives() -> None:
    search = Simulation(PathPriority(cycles=2, top=2), SPACE).run(20)
    assert search.ended
    assert 6 <= len(search.history) <= 8


def test_initial_and_journal(tmp_path: Path) -> None:
    initial = [{"a": "skip", "b": "conv", "c": "pool"}, {"a": "pool", "b": "skip", "c": "conv"}]
    make = lambda: Search(SPACE, RandomSearch(), lambda _: 1.0, initial=initial, journal=tmp_path / "j")  # noqa: E731
    make().run(4)
    result = make().run(8)
    assert result.history[0].architecture == {"a": "conv", "b": "pool", "c": "skip"}
    assert len({trial.architecture for trial in result.history}) == 8


def test_function_must_name_one_representative() -> None:
    turning = {"conv": "pool", "pool": "skip", "skip": "conv"}
    space = SearchSpace([Choice("a", OPS)], canonical=lambda found: {"a": turning[str(found["a"])]})
    with pytest.raises(ValueError, match=r"maps \{'a': 'conv'\} to \{'a': 'pool'\}, and that to \{'a': 'skip'\}"):
        space.canonical({"a": "conv"})


def test_representative_must_be_in_the_space() -> None:
    space = SearchSpace([Choice("a", OPS)], canonical=lambda _: {"a": "conv5"})
    with pytest.raises(ValueError, match="Choice 'a' has no option 'conv5'"):
        space.sample(np.random.default_rng(0))


def test_all_mutations_are_the_parent() -> None:
    space = SearchSpace([Choice("a", OPS)], canonical=lambda _: {"a": "conv"})
    with pytest.raises(InfeasibleError, match=r"100 mutations of .* are all the same"):
        space.mutate(space.canonical({"a": "skip"}), np.random.default_rng(0))
    assert len(Search(space, RegularizedEvolution(2, 1), lambda _: 1.0).run(5).history) == 1
