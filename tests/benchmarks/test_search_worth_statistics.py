"""The statistics of the study, beside values by hand and scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks.search_worth.statistics import holm, paired, rank_correlations, sign_flip_p


def test_the_p_of_all_changes_of_signs() -> None:
    assert sign_flip_p([1.0, 2.0, 3.0]) == 2 / 8  # only all plus and all minus are as far from 0
    assert sign_flip_p([1.0, -1.0]) == 1.0
    assert sign_flip_p([3.0, -1.0, 2.0]) == 4 / 8  # sums 4 and 6 of either sign
    assert sign_flip_p([0.5] * 8) == 2 / 256
    # A pair that is one network says nothing either way.
    assert sign_flip_p([0.0, 1.0, 2.0, 3.0]) == 2 / 8


def test_the_p_is_scipys() -> None:
    differences = np.random.default_rng(3).normal(0.6, 1.0, 8)
    theirs = stats.permutation_test(
        (differences, np.zeros(8)), lambda a, b, axis: (a - b).mean(axis=axis), permutation_type="samples",
        vectorized=True, n_resamples=np.inf,
    )  # fmt: skip
    assert sign_flip_p(differences.tolist()) == pytest.approx(theirs.pvalue)


def test_the_exact_test_says_how_many_pairs_it_takes() -> None:
    with pytest.raises(ValueError, match="1 to 20 pairs, not 0"):
        sign_flip_p([])
    with pytest.raises(ValueError, match="not 21"):
        sign_flip_p([1.0] * 21)


def test_a_paired_difference() -> None:
    found = paired([1.0, 2.0, 6.0])
    # mean 3, standard deviation sqrt(7), t of 2 degrees of freedom 4.3027
    assert (found.value, found.pairs, found.p) == (3.0, 3, 0.25)
    assert found.half == pytest.approx(4.3027 * np.sqrt(7 / 3), rel=1e-4)
    assert paired([1.0]).half is None


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04]) == [0.02, 0.04]
    assert holm([0.04, 0.03, 0.01]) == pytest.approx([0.06, 0.06, 0.03])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_rank_correlations_by_hand() -> None:
    found = rank_correlations([1, 2, 3, 4], [1, 3, 2, 4])
    assert found["tau"][0] == pytest.approx(4 / 6)  # 5 pairs in order and 1 out of it
    assert found["rho"][0] == pytest.approx(1 - 6 * 2 / (4 * 15))
    whole = rank_correlations([1, 2, 3, 4, 5], [2, 4, 6, 8, 10])
    assert whole["tau"] == pytest.approx((1.0, 1.0, 1.0))


def test_the_bootstrap_interval_is_scipys() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=40)
    b = a + rng.normal(size=40)
    theirs = stats.bootstrap(
        (a, b), lambda x, y: stats.kendalltau(x, y).statistic, paired=True, vectorized=False, n_resamples=2000,
        method="percentile", rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert rank_correlations(a.tolist(), b.tolist())["tau"][1:] == pytest.approx((theirs.low, theirs.high), abs=0.03)
