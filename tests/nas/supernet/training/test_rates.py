from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from autopanoptic.nas import Architecture, ComplexityRate, FairPaths, SupernetModule
from tests.training import LARGEST, SMALLEST, assert_same, cost, fit, loss, new_batches, new_supernet, plain, sandwich

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:GPU available but not used"),
    # Lightning's own use of torch
    pytest.mark.filterwarnings("ignore:.*LeafSpec.* is deprecated:FutureWarning"),
]
BIG, SMALL, MIDDLE = (Architecture({"size": size}) for size in (400, 4, 40))


def rate(passes: int = 100, **options: Any) -> ComplexityRate:
    return ComplexityRate(lambda path: float(path["size"]), BIG, SMALL, passes, **options)


def test_larger_paths_keep_their_learning_rate_longer() -> None:
    found = rate()
    assert [found.exponent(path) for path in (SMALL, BIG)] == pytest.approx([4, 0.25])
    assert found.exponent(MIDDLE) == pytest.approx((4 + 0.25) / 2), "in the middle of the logarithms"
    for path, exponent in ((SMALL, 4), (MIDDLE, 2.125), (BIG, 0.25)):
        assert [found(path, step) for step in (0, 50, 100, 101)] == pytest.approx([1, 0.5**exponent, 0, 0])


def test_costs_beyond_the_ends_count_as_theirs() -> None:
    found = rate(most=2.0)
    assert found.exponent(Architecture({"size": 1})) == 2
    assert found.exponent(Architecture({"size": 4000})) == pytest.approx(0.5)


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
def test_each_update_has_its_paths_learning_rate(tmp_path: Path, optimizer: Any) -> None:
    """Where each path is an update of its own, as if the learning rate were set before it."""

    def make(parameters: Any) -> torch.optim.Optimizer:
        found: torch.optim.Optimizer = optimizer(parameters, lr=0.1)
        return found

    supernet, reference = new_supernet(), new_supernet()
    paths = FairPaths(supernet.space, seed=4)
    slow = ComplexityRate(cost, Architecture(LARGEST), Architecture(SMALLEST), passes=8)
    training = SupernetModule(supernet, loss, make, paths, rate=slow)
    batches = new_batches(6)
    trainer = fit(training, batches, tmp_path)
    assert trainer.optimizers[0].param_groups[0]["lr"] == 0.1
    by_hand = make(reference.module.parameters())
    for step, x in enumerate(batches):
        path = reference.activate(paths.path(step))
        loss(reference.module, (x,)).backward()
        by_hand.param_groups[0]["lr"] = 0.1 * (1 - step / 8) ** slow.exponent(path)
        by_hand.step()
        by_hand.zero_grad()
    assert_same(supernet.module, reference.module)


@pytest.mark.parametrize("switches", [{"same_batch": True}, {"accumulate": True}])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_in_a_cycle_each_path_has_its_own_share(tmp_path: Path, switches: Any, reduction: str) -> None:
    """With gradient descent, the sum of the paths' gradients, each times its own learning rate."""
    supernet, reference = new_supernet(), new_supernet()
    paths = sandwich(supernet)
    slow = ComplexityRate(cost, Architecture(LARGEST), Architecture(SMALLEST), passes=16)
    training = SupernetModule(supernet, loss, plain, paths, rate=slow, reduction=reduction, **switches)
    batches = new_batches(2) if "same_batch" in switches else new_batches(8)
    fit(training, batches, tmp_path)
    for cycle in range(2):
        for place in range(4):
            path = reference.activate(paths.path(4 * cycle + place))
            x = batches[cycle if "same_batch" in switches else 4 * cycle + place]
            (loss(reference.module, (x,)) * (1 - 4 * cycle / 16) ** slow.exponent(path)).backward()
        for p in reference.module.parameters():
            if p.grad is not None:
                p.data -= 0.1 * p.grad / (4 if reduction == "mean" else 1)
                p.grad = None
    assert_same(supernet.module, reference.module)


def test_a_cycle_with_a_learning_rate_of_zero_changes_nothing(tmp_path: Path) -> None:
    supernet = new_supernet()
    training = SupernetModule(
        supernet, loss, plain, sandwich(supernet), same_batch=True, rate=lambda path, step: float(step > 0)
    )  # fmt: skip
    fit(training, new_batches(1), tmp_path)
    assert_same(supernet.module, new_supernet().module, exactly=True)
    fit(training, new_batches(1), tmp_path)
    with pytest.raises(AssertionError):
        assert_same(supernet.module, new_supernet().module, exactly=True)


def test_a_rate_that_is_no_number_names_its_path(tmp_path: Path) -> None:
    supernet = new_supernet()
    training = SupernetModule(
        supernet, loss, plain, sandwich(supernet), rate=lambda path, step: -1.0 if path == SMALLEST else 1.0
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"rate of {'a': 'x', 'b': 0} at pass 1 is multiplied by -1"):
        fit(training, new_batches(2), tmp_path)


def test_ends_and_numbers_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="largest path costs 4, the smallest 400: give the largest first"):
        ComplexityRate(lambda path: float(path["size"]), SMALL, BIG, 10)
    with pytest.raises(ValueError, match=r"cost of {'size': 4} is 0.0; its logarithm"):
        ComplexityRate(lambda path: 0.0, BIG, SMALL, 10)
    for options in ({"passes": 0}, {"most": 0.5}, {"most": float("nan")}):
        with pytest.raises(ValueError, match=r"passes=.*both must be at least 1"):
            rate(**options)
