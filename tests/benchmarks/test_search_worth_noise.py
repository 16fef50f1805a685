"""What trainings of one network differ in, and networks from each other."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau

from benchmarks.search_worth.parts.alone import row_of
from benchmarks.search_worth.sections.noise import Noise, luckiest, mean_without, noise_of, tau_of_truth


def test_the_noise_of_trainings_is_taken_out_of_what_networks_differ_in() -> None:
    first, second = (
        {name: value + more for name, value in zip("abcd", (0, 10, 20, 30), strict=True)} for more in (0, 2)
    )
    within, between = noise_of([first, second]) or (0.0, 0.0)
    # each pair has the variance 2, and the four means 500 / 3
    assert (within, between) == (pytest.approx(2**0.5), pytest.approx((500 / 3 - 1) ** 0.5))
    assert noise_of([first]) is None
    assert noise_of([first, {"a": 1.0}]) is None
    # the variances 1800, 0, 800 and 450 have the mean 762.5, and half of it is more than the means' 156.25
    assert noise_of([first, {"a": 60.0, "b": 10.0, "c": -20.0, "d": 0.0}]) == (pytest.approx(762.5**0.5), 0.0)


def test_what_perfect_paths_would_reach() -> None:
    assert tau_of_truth(Noise(0.0, 5.0), 1) == pytest.approx(1.0)
    assert tau_of_truth(Noise(5.0, 0.0), 2) == 0.0
    assert tau_of_truth(Noise(2**0.5, 1.0), 2) == pytest.approx(0.5)  # a correlation of 1 / sqrt(2)
    rng = np.random.default_rng(0)
    true = rng.normal(0, 6, 2000)
    measured = true + rng.normal(0, 3, (2, 2000)).mean(axis=0)
    assert kendalltau(true, measured).statistic == pytest.approx(tau_of_truth(Noise(3.0, 6.0), 2), abs=0.02)


def test_the_category_that_differs_most_between_trainings_of_one_network() -> None:
    # Networks differ in the first category, and trainings of one in the second.
    first = {"a": {"sky": 0.0, "lily": 0.0}, "b": {"sky": 90.0, "lily": 50.0}}
    second = {"a": {"sky": 1.0, "lily": 50.0}, "b": {"sky": 91.0, "lily": 0.0}}
    assert luckiest([first, second]) == "lily"
    assert luckiest([first]) is None
    assert luckiest([first, {}]) is None
    assert mean_without("lily", {"sky": 10.0, "lily": 90.0, "rose": 20.0}) == 15.0


def test_a_row_has_its_categories_by_themselves() -> None:
    assert row_of({"val": 50.0, "seconds": 1.0, "val of lily": 0.0, "val of sky": 90.0}) == {
        "val": 50.0, "seconds": 1.0, "by_category": {"lily": 0.0, "sky": 90.0},
    }  # fmt: skip
