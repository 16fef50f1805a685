"""Rank correlations are scipy's, and so are their intervals."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import ConstantInputWarning, kendalltau, spearmanr

from benchmarks.rank_correlations import DRAWS, correlation, kendall_tau, spearman_rho


@pytest.mark.parametrize(("ours", "scipys"), [(kendall_tau, kendalltau), (spearman_rho, spearmanr)])
@pytest.mark.parametrize(("count", "values"), [(4, 2), (12, 1000), (24, 5)])
def test_values_and_intervals_are_scipys(ours: Any, scipys: Callable[..., Any], count: int, values: int) -> None:
    """Few values make many equal ones, and draws of equal ones alone."""
    rng = np.random.default_rng(count)
    a, b = rng.integers(values, size=(2, count)).astype(float)
    a[:2] = b[:2] = 0, 1
    draws = np.random.default_rng(0).integers(count, size=(DRAWS, count))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)
        known = [float(scipys(a[draw], b[draw]).statistic) for draw in draws]
    expected = (float(scipys(a, b).statistic), *np.nanquantile(known, [0.025, 0.975]))
    np.testing.assert_allclose(correlation(ours, a, b), expected, atol=1e-12)
