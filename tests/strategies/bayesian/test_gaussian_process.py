from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.strategies.bayesian.gaussian_process import (
    JITTER,
    Array,
    Distances,
    GaussianProcess,
    Hyperparameters,
    LogPosterior,
    OverlapKernel,
    choice_of_columns,
    fit,
)
from autopanoptic.strategies.testing import FLAT, NESTED
from tests.spaces import nested_spaces


def distance(first: Architecture, second: Architecture, label: str) -> float:
    """Return the distance in one choice, by its definition."""
    if (label in first) != (label in second):
        return 0.5
    return float(first.get(label) != second.get(label))


def drawn(space: SearchSpace, count: int, seed: int = 0) -> list[Architecture]:
    rng = np.random.default_rng(seed)
    return list(dict.fromkeys(space.sample(rng) for _ in range(count)))


def some_kernel(space: SearchSpace, seed: int = 0) -> OverlapKernel:
    relevance = np.exp(np.random.default_rng(seed).normal(-1, 1, len(space.choices)))
    return OverlapKernel(relevance, choice_of_columns(space))


def some_process(space: SearchSpace, count: int, noise: float = 0.1, seed: int = 0) -> GaussianProcess:
    encoded = space.encode(drawn(space, count, seed))
    targets = np.random.default_rng(seed).normal(size=len(encoded))
    return GaussianProcess(Hyperparameters(some_kernel(space, seed), noise), encoded, targets)


@settings(max_examples=50, deadline=None)
@given(space=nested_spaces(), seed=st.integers(0, 2**32))
def test_the_kernel_is_its_definition_and_positive_semi_definite(space: SearchSpace, seed: int) -> None:
    architectures, kernel = drawn(space, 30, seed), some_kernel(space, seed)
    encoded = space.encode(architectures)
    found = kernel(encoded, encoded[:7])
    for row, first in enumerate(architectures):
        for column, second in enumerate(architectures[:7]):
            pairs = zip(kernel.relevance, space.choices, strict=True)
            total = sum(weight * distance(first, second, choice.label) for weight, choice in pairs)
            assert found[row, column] == pytest.approx(np.exp(-total), rel=1e-9)
    assert np.linalg.eigvalsh(kernel(encoded, encoded)).min() > -1e-9


@settings(max_examples=50, deadline=None)
@given(space=nested_spaces(), seed=st.integers(0, 2**32))
def test_distances_give_the_same_kernel(space: SearchSpace, seed: int) -> None:
    encoded, kernel = space.encode(drawn(space, 20, seed)), some_kernel(space, seed)
    distances = Distances(encoded, kernel.choice_of)
    assert distances.kernel(kernel.relevance) == pytest.approx(kernel(encoded, encoded), rel=1e-9)


def test_columns_that_no_trial_uses_are_left_out_of_the_products() -> None:
    space = SearchSpace(Choice(f"c{i}", range(50)) for i in range(3))
    kernel, encoded = some_kernel(space, 0), space.encode(drawn(space, 40, 0))
    few = kernel(encoded[:5], encoded)
    assert few == pytest.approx(kernel(encoded, encoded)[:5])


def test_inactive_choices_are_no_difference() -> None:
    space = SearchSpace([Choice("depth", [1, 2, 3]), Choice("deep", [0, 1], ("depth", 3))])
    encoded = space.encode([Architecture({"depth": 1}), Architecture({"depth": 2})])
    kernel = OverlapKernel(np.array([0.25, 5.0]), choice_of_columns(space))
    assert kernel(encoded, encoded)[0, 1] == pytest.approx(np.exp(-0.25))


@pytest.mark.parametrize("space", [FLAT, NESTED], ids=["flat", "nested"])
def test_the_gradient_is_that_of_the_value(space: SearchSpace) -> None:
    process = some_process(space, 25)
    density = LogPosterior(process.encoded, process.targets, choice_of_columns(space))
    for seed in range(5):
        at = density.mean + np.random.default_rng(seed).normal(size=len(density.mean))
        numeric = optimize.approx_fprime(at, lambda x: density(x)[0], 1e-6)
        assert density(at)[1] == pytest.approx(numeric, rel=1e-3, abs=1e-4)


def test_the_likelihood_is_that_of_a_multivariate_normal_distribution() -> None:
    process = some_process(NESTED, 30, noise=0.3)
    covariance = process.hyperparameters.kernel(process.encoded, process.encoded)
    covariance += (0.3 + JITTER) * np.eye(len(covariance))
    expected = stats.multivariate_normal(cov=covariance).logpdf(process.targets)
    assert process.log_likelihood - len(covariance) * np.log(2 * np.pi) / 2 == pytest.approx(expected)
    assert process.inverse() @ covariance == pytest.approx(np.eye(len(covariance)), abs=1e-8)


def test_the_prior_shrinks_relevances_towards_each_other() -> None:
    density = LogPosterior(np.zeros((0, 6)), np.zeros(0), np.array([0, 0, 1, 1, 2, 2]))
    assert np.exp(density.mean[:-1]).sum() == pytest.approx(1)
    apart, together = np.array([1.0, -1, 0, 0]), np.array([0.8, 0.8, 0.8, 0])
    assert np.linalg.norm(together) < np.linalg.norm(apart)
    covariance = np.eye(3) + 0.25
    for step in (apart, together):
        expected = -step[:-1] @ np.linalg.inv(covariance) @ step[:-1] / 2
        assert density(density.mean + step)[0] == pytest.approx(expected)


def test_the_posterior_is_that_of_conditioning() -> None:
    process = some_process(NESTED, 20, noise=0.2)
    kernel, new = process.hyperparameters.kernel, NESTED.encode(drawn(NESTED, 40, 1))
    covariance = kernel(process.encoded, process.encoded) + (0.2 + JITTER) * np.eye(len(process.targets))
    cross = kernel(process.encoded, new)
    mean, sd = process.predict(new)
    assert mean == pytest.approx(cross.T @ np.linalg.solve(covariance, process.targets))
    assert process.mean(new) == pytest.approx(mean)
    variance = np.diag(kernel(new, new) - cross.T @ np.linalg.solve(covariance, cross))
    assert sd**2 == pytest.approx(np.maximum(variance, JITTER), abs=1e-9)


def test_without_noise_it_goes_through_the_targets() -> None:
    process = some_process(FLAT, 40, noise=0.0)
    mean, sd = process.predict(process.encoded)
    assert mean == pytest.approx(process.targets, abs=1e-5)
    assert sd.max() < 1e-3


def test_to_believe_leaves_the_mean_and_shrinks_the_standard_deviation() -> None:
    process, new = some_process(NESTED, 20), NESTED.encode(drawn(NESTED, 40, 1))
    believer = process.believing(new[:3])
    (mean, sd), (same, less) = process.predict(new), believer.predict(new)
    assert same == pytest.approx(mean)
    assert (less <= sd + 1e-12).all()
    assert (less[:3] < 0.9 * sd[:3]).all()
    assert process.believing(new[:0]) is process


def learned(values: Array, architectures: list[Architecture]) -> Hyperparameters:
    scores = (values - values.mean()) / values.std()
    return fit(FLAT.encode(architectures), scores, choice_of_columns(FLAT))


def test_it_learns_which_choice_matters() -> None:
    architectures = drawn(FLAT, 60)
    value = {"conv": 1.0, "pool": 0.0, "skip": -1.0}
    relevance = learned(np.array([value[str(a["op3"])] for a in architectures]), architectures).kernel.relevance
    assert relevance.argmax() == 3
    assert relevance[3] > 5 * np.delete(relevance, 3).max()


def noisy_process(signal: float, noise: float) -> tuple[GaussianProcess, Array]:
    """Return a process that has learned from 100 of 150 architectures, and the encodings of the others."""
    architectures, rng = drawn(FLAT, 150), np.random.default_rng(0)
    value = {"conv": 1.0, "pool": 0.0, "skip": -1.0}
    values = np.array([sum(value[str(option)] for option in a.values()) for a in architectures])
    values = signal * values / values.std() + noise * rng.normal(size=len(values))
    encoded, scores = FLAT.encode(architectures), (values - values.mean()) / values.std()
    found = learned(values[:100], architectures[:100])
    return GaussianProcess(found, encoded[:100], scores[:100]), encoded[100:]


def test_it_learns_how_large_the_noise_is() -> None:
    (clean, _), (noisy, _) = noisy_process(1, 0), noisy_process(1, 1)
    assert clean.hyperparameters.noise < 0.05
    assert 0.2 < noisy.hyperparameters.noise < 1


def test_it_predicts_nothing_from_noise_alone() -> None:
    # Without repeated trials noise and a signal that no two architectures share are the same to it.
    (signal, rest), (noise, same) = noisy_process(1, 0), noisy_process(0, 1)
    assert signal.mean(rest).std() > 0.8
    assert noise.mean(same).std() < 0.4
    assert noise.predict(same)[1].min() > 0.7


def test_a_fit_is_a_maximum() -> None:
    process = some_process(NESTED, 40)
    density = LogPosterior(process.encoded, process.targets, choice_of_columns(NESTED))
    found = fit(process.encoded, process.targets, choice_of_columns(NESTED))
    at = np.log(np.append(found.kernel.relevance, found.noise))
    value, gradient = density(at)
    assert value > density(density.mean)[0]
    assert abs(gradient).max() < 0.05
