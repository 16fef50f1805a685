from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.strategies.bayesian import acquisition as module
from autopanoptic.strategies.bayesian import neighborhood
from autopanoptic.strategies.bayesian.acquisition import Acquisition
from autopanoptic.strategies.bayesian.neighborhood import Neighborhood
from autopanoptic.strategies.testing import FLAT, NESTED, SYMMETRIC
from tests.bayesian import searched
from tests.spaces import nested_spaces


def with_prior(acquisition: Acquisition, seed: int) -> Acquisition:
    return replace(acquisition, log_prior=np.random.default_rng(seed).normal(size=len(acquisition.log_prior)))


@pytest.mark.parametrize("space", [FLAT, NESTED, SYMMETRIC], ids=["flat", "nested", "symmetric"])
@pytest.mark.parametrize("block", [1, 1000])
def test_it_yields_every_neighbour_by_its_acquisition(
    space: SearchSpace, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighborhood, "BLOCK", block)
    monkeypatch.setattr(neighborhood, "SLACK", -module.TIE)
    for seed in range(3):
        search, acquisition = searched(space, seed=seed)
        acquisition = with_prior(acquisition, seed)
        for place in search.architectures:
            found = list(Neighborhood(space, acquisition, place, np.random.default_rng(0)))
            expected = list(space.neighbors(place))
            assert len(found) == len(expected)
            assert {neighbor for neighbor, _ in found} == set(expected)
            values = np.array([value for _, value in found])
            assert values == pytest.approx(acquisition(space.encode(neighbor for neighbor, _ in found), ()), rel=1e-9)
            assert (np.diff(values) <= 2 * module.TIE).all()


@settings(max_examples=40, deadline=None)
@given(space=nested_spaces(), seed=st.integers(0, 2**32))
def test_the_bounds_hold(space: SearchSpace, seed: int) -> None:
    search, acquisition = searched(space, seed=seed)
    for place in search.architectures:
        around = Neighborhood(space, acquisition, place, np.random.default_rng(0))
        bounds, exact = around._bounds(), around._exact(np.arange(len(around._moves)))
        assert (bounds >= exact - 1e-8).all()


@pytest.mark.parametrize("relevance", [0.03, 0.3, 3], ids=["smooth", "rugged", "independent"])
def test_few_are_worked_out_for_the_first(relevance: float, monkeypatch: pytest.MonkeyPatch) -> None:
    space = SearchSpace(Choice(f"c{i}", range(20)) for i in range(30))
    search, acquisition = searched(space, 40, relevance=relevance)
    rows: list[int] = []
    exact = Neighborhood._exact
    monkeypatch.setattr(Neighborhood, "_exact", lambda self, some: (rows.append(len(some)), exact(self, some))[1])
    for place in search.architectures:
        around = Neighborhood(space, acquisition, place, np.random.default_rng(0))
        _, value = next(iter(around))
        assert value >= exact(around, np.arange(30 * 19)).max() - 2 * neighborhood.SLACK
    assert sum(rows) < 40 * 30 * 19 / 4


def test_of_many_neighbours_that_must_be_made_some_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighborhood, "CHANGES", 400)  # 10 neighbours of 40 choices
    space = SearchSpace(
        itertools.chain(
            (Choice(f"p{i}", range(3)) for i in range(20)),
            (Choice(f"c{i}", range(3), (f"p{i}", 0)) for i in range(20)),
        )
    )
    search, acquisition = searched(space, 15)
    place = search.architectures[0]
    found = [neighbor for neighbor, _ in Neighborhood(space, acquisition, place, np.random.default_rng(0))]
    parents = [n for n in found if any(n[f"p{i}"] != place[f"p{i}"] for i in range(20))]
    assert len(parents) == 10
    assert set(found) <= set(space.neighbors(place))
    assert len(found) - 10 == sum(2 for label in place if label.startswith("c"))
