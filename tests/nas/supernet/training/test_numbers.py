"""The numbers of a step, and losses that are not finite in another process."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from autopanoptic.nas import SupernetModule
from autopanoptic.nas.supernet.training import module as training
from autopanoptic.nas.supernet.training.numbers import StepNumbers
from tests.training import loss, new_batches, new_supernet, plain, sandwich


def test_of_numbers_with_one_name_the_later_counts() -> None:
    numbers = StepNumbers()
    for name, values in {"a": (1.0, torch.tensor(2.0)), "b": (torch.tensor(3.0), 4.0)}.items():
        for value in values:
            numbers.note(name, value)
    assert numbers.take([torch.tensor(0.5)]) == ([0.5], {"a": 2.0, "b": 4.0})
    assert numbers.take([torch.tensor(0.5)]) == ([0.5], {})


def test_a_loss_is_not_finite_in_all_processes_where_it_is_not_in_one() -> None:
    numbers = StepNumbers()
    numbers.note("mask", torch.tensor(3.0))
    theirs = torch.tensor([1.0, float("nan"), 5.0])
    losses, noted = numbers.take([torch.tensor(1.0), torch.tensor(2.0)], lambda own: (own + theirs) / 2)
    assert losses[0] == 1
    assert losses[1] != losses[1]
    assert noted == {"mask": 4.0}


class _First(SupernetModule):
    """A module with what a trainer of two processes gives the first of them."""

    trainer: Any = SimpleNamespace(world_size=2, global_rank=0, strategy=SimpleNamespace())

    def manual_backward(self, loss: Tensor, *_: Any, **__: Any) -> None:
        loss.backward()


def test_a_process_takes_no_gradient_of_a_path_that_failed_in_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "sum_gradients", lambda _: None)
    monkeypatch.setattr(
        training, "sum_losses", lambda own, cycle, _: [own.get(n, torch.tensor(torch.nan)) for n in range(cycle)]
    )
    monkeypatch.setattr(_First, "_update", lambda *_: pytest.fail("weights change"))
    supernet = new_supernet()
    paths = sandwich(supernet)
    module = _First(supernet, loss, plain, paths, same_batch=True, reduction="sum", share_paths=True)
    with pytest.raises(FloatingPointError, match=f"The loss of pass 2 is nan, on path {paths.path(2).id}"):
        module.training_step((new_batches()[0],), 0)
    assert module.passes == 0
