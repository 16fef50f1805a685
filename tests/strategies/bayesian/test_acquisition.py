from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from autopanoptic.strategies.bayesian import acquisition as module
from autopanoptic.strategies.bayesian.acquisition import descending, log_expected_improvement
from autopanoptic.strategies.bayesian.gaussian_process import GaussianProcess
from autopanoptic.strategies.testing import FLAT, NESTED
from tests.bayesian import searched


@pytest.mark.parametrize(("mean", "sd", "best"), [(0.0, 1.0, 0.0), (0.3, 0.2, 0.1), (-0.5, 0.3, 0.4), (2.0, 0.1, 0.0)])
def test_expected_improvement_is_its_integral(mean: float, sd: float, best: float) -> None:
    expected, _ = integrate.quad(lambda f: (f - best) * stats.norm.pdf(f, mean, sd), best, mean + 12 * sd)
    found = log_expected_improvement(np.array([mean]), np.array([sd]), best)
    assert found[0] == pytest.approx(np.log(expected), rel=1e-6)


def test_the_logarithm_ranks_where_expected_improvement_underflows() -> None:
    mean = -np.geomspace(0.5, 1e6, 200)
    found = log_expected_improvement(mean, np.ones(200), 0.0)
    assert np.isfinite(found).all()
    assert (np.diff(found) < 0).all()
    assert np.exp(found[-1]) == 0


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_its_bound_holds(seed: int) -> None:
    _, acquisition = searched(NESTED, seed=seed)
    encoded = NESTED.encode(NESTED)
    assert (acquisition.bound(encoded) >= acquisition(encoded, NESTED) - 1e-9).all()


@pytest.mark.parametrize("block", [1, 7, 10_000])
def test_descending_yields_every_row_by_its_value(block: int) -> None:
    _, acquisition = searched(NESTED)
    encoded = NESTED.encode(NESTED)
    rng = np.random.default_rng(0)
    found = list(descending(acquisition.bound(encoded), lambda rows: acquisition(encoded[rows], ()), rng, block))
    assert sorted(found) == list(range(len(encoded)))
    values = acquisition(encoded, NESTED)[found]
    assert (np.diff(values) <= 2 * module.TIE).all()


def test_few_rows_are_worked_out_for_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    _, acquisition = searched(FLAT, 60)
    encoded, asked = FLAT.encode(FLAT), list[int]()
    predict = GaussianProcess.predict
    monkeypatch.setattr(GaussianProcess, "predict", lambda self, x: (asked.append(len(x)), predict(self, x))[1])
    bounds, rng = acquisition.bound(encoded), np.random.default_rng(0)
    next(descending(bounds, lambda rows: acquisition(encoded[rows], ()), rng))
    assert 0 < sum(asked) < len(encoded) / 2


def test_descending_yields_every_row_once_where_nothing_is_promised() -> None:
    found = list(descending(np.zeros(6), lambda rows: np.full(len(rows), -np.inf), np.random.default_rng(0)))
    assert sorted(found) == list(range(6))
