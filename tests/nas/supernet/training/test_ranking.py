from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from autopanoptic.nas import Architecture, PairwiseRanking, SoftLabels, SupernetModule
from tests.training import assert_same, cost, fit, loss, new_batches, new_supernet, pair, plain, sandwich

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:GPU available but not used"),
    # Lightning's own use of torch
    pytest.mark.filterwarnings("ignore:.*LeafSpec.* is deprecated:FutureWarning"),
]
BIG, SMALL, MIDDLE = (Architecture({"size": size}) for size in (3, 1, 2))


def size(path: Architecture) -> float:
    return float(path["size"])


def penalised(path: Architecture, own: float, *before: tuple[Architecture, float]) -> tuple[float, float]:
    """Return the penalty and its gradient."""
    value = torch.tensor(own, requires_grad=True)
    earlier = [(other, torch.tensor(loss, requires_grad=True)) for other, loss in before]
    penalty = PairwiseRanking(size).penalty(path, value, earlier)
    if penalty.requires_grad:
        penalty.backward()
    assert all(loss.grad is None for _, loss in earlier)
    return penalty.item(), 0.0 if value.grad is None else value.grad.item()


def test_a_pair_in_the_wrong_order_is_penalised_by_the_difference() -> None:
    assert penalised(BIG, 0.7, (SMALL, 0.4)) == pytest.approx((0.3, 1.0)), "the larger has the higher loss"
    assert penalised(SMALL, 0.3, (BIG, 0.4)) == pytest.approx((0.1, -1.0)), "the smaller has the lower loss"


def test_a_pair_in_order_and_paths_of_equal_proxy_are_not() -> None:
    assert penalised(BIG, 0.3, (SMALL, 0.4)) == (0.0, 0.0)
    assert penalised(SMALL, 0.5, (BIG, 0.4)) == (0.0, 0.0)
    assert penalised(SMALL, 0.5, (SMALL, 0.1)) == (0.0, 0.0)
    assert penalised(SMALL, 0.5) == (0.0, 0.0)


def test_several_pairs_are_averaged() -> None:
    found = penalised(MIDDLE, 0.5, (SMALL, 0.2), (BIG, 0.6), (BIG, 0.4), (MIDDLE, 0.0))
    assert found == pytest.approx(((0.3 + 0.1 + 0.0) / 3, 0.0), abs=1e-6)


def test_the_penalty_joins_the_loss_with_its_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: dict[str, float] = {}
    monkeypatch.setattr(SupernetModule, "log", lambda _, name, value, **__: logged.update({name: float(value)}))
    (x,) = new_batches(1)
    # The smallest path should be the best, which it is not.
    ranking = PairwiseRanking(lambda path: -cost(path), weight=lambda step: 5.0 + step)
    supernet, reference = new_supernet(), new_supernet()
    training = SupernetModule(supernet, loss, plain, sandwich(supernet), same_batch=True, ranking=ranking)
    paths, done, penalties = training.paths, [], []
    for step in range(4):
        path = reference.activate(paths.path(step))
        own = loss(reference.module, (x,))
        penalties.append(ranking.penalty(path, own, done))
        ((own + 5.0 * penalties[-1]) / 4).backward()
        done.append((path, own.detach()))
    for p in reference.module.parameters():
        if p.grad is not None:
            p.data -= 0.1 * p.grad
    fit(training, [x], tmp_path)
    assert_same(supernet.module, reference.module)
    expected = torch.stack(penalties[1:]).mean().item()
    assert expected > 0
    assert logged["ranking"] == pytest.approx(expected)
    assert logged["loss"] == pytest.approx(sum(own.item() for _, own in done) / 4), "without the penalty"


def test_the_teacher_is_not_compared_with_those_that_learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []

    class Noting(PairwiseRanking):
        def penalty(self, path: Any, loss: Any, before: Any) -> torch.Tensor:
            compared.append(len(before))
            return super().penalty(path, loss, before)

    for distillation, expected in ((False, [1, 2, 3]), (True, [1, 2])):
        supernet = new_supernet()
        training = SupernetModule(
            supernet, SoftLabels(pair), plain, sandwich(supernet), same_batch=True, distillation=distillation,
            ranking=Noting(cost),
        )  # fmt: skip
        fit(training, new_batches(1), tmp_path)
        assert compared == expected
        compared.clear()


def test_the_proxy_is_worked_out_once_and_checked() -> None:
    asked: list[Architecture] = []
    ranking = PairwiseRanking(lambda path: asked.append(path) or size(path))  # type: ignore[func-returns-value]
    for _ in range(3):
        ranking.penalty(BIG, torch.tensor(1.0), [(SMALL, torch.tensor(0.5))])
    assert asked == [BIG, SMALL]
    with pytest.raises(ValueError, match=r"proxy of {'size': 3} is nan"):
        PairwiseRanking(lambda path: float("nan")).proxy(BIG)


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_weights_out_of_range(weight: float) -> None:
    with pytest.raises(ValueError, match=rf"weight of the ranking loss is {weight} always"):
        PairwiseRanking(size, weight)
    with pytest.raises(ValueError, match=rf"weight of the ranking loss is {weight} at pass 8"):
        PairwiseRanking(size, lambda step: weight).weight_at(8)
