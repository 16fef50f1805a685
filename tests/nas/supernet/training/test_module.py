from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import Tensor, nn

from autopanoptic.nas import FairPaths, Supernet, SupernetModule
from tests.training import assert_same, fit, loss, new_batches, new_supernet, plain, sgd

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:GPU available but not used"),
    # Lightning's own use of torch
    pytest.mark.filterwarnings("ignore:.*LeafSpec.* is deprecated:FutureWarning"),
]


@pytest.fixture
def batches() -> list[Tensor]:
    return new_batches()


def module(**options: Any) -> SupernetModule:
    supernet = new_supernet()
    return SupernetModule(supernet, options.pop("loss", loss), sgd, FairPaths(supernet.space, seed=4), **options)


def by_hand(batches: list[Tensor], accumulate: bool, clip: float | None = None, reduction: str = "mean") -> Supernet:
    """Train without Lightning, one update a pass or a cycle."""
    reference = module()
    supernet, paths = reference.supernet, reference.paths
    optimizer = sgd(supernet.module.parameters())
    for step, x in enumerate(batches):
        supernet.activate(paths.path(step))
        share = paths.cycle if accumulate and reduction == "mean" else 1
        (loss(supernet.module, (x,)) / share).backward()
        if not accumulate or (step + 1) % paths.cycle == 0:
            if clip:
                nn.utils.clip_grad_norm_(supernet.module.parameters(), clip)
            optimizer.step()
            optimizer.zero_grad()
    return supernet


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("clip", [None, 0.01])
def test_equals_a_loop_by_hand(batches: list[Tensor], tmp_path: Path, accumulate: bool, clip: float | None) -> None:
    training = module(accumulate=accumulate, clip=clip)
    before = copy.deepcopy(training.network)
    trainer = fit(training, batches, tmp_path)
    assert training.passes == 24
    assert trainer.global_step == (4 if accumulate else 24)
    assert_same(training.network, by_hand(batches, accumulate, clip).module)
    assert not torch.equal(training.network.get_parameter("a.x.weight"), before.get_parameter("a.x.weight"))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradients_of_a_cycle_are_combined_and_losses_logged_as_they_are(
    batches: list[Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reduction: str
) -> None:
    logged: list[float] = []
    seen: list[float] = []

    def noted(network: nn.Module, batch: Any) -> Tensor:
        value = loss(network, batch)
        seen.append(value.item())
        return value

    monkeypatch.setattr(SupernetModule, "log", lambda _, name, value, **__: logged.append(float(value)))
    training = module(loss=noted, accumulate=True, reduction=reduction)
    fit(training, batches, tmp_path)
    assert_same(training.network, by_hand(batches, accumulate=True, reduction=reduction).module)
    assert logged == seen


@pytest.mark.parametrize("length", [4, 6])
def test_rates_are_divided_by_the_true_uses(batches: list[Tensor], tmp_path: Path, length: int) -> None:
    """With plain gradient descent that is the mean gradient of the paths that use a parameter."""
    reference = module()
    paths, network = FairPaths(reference.supernet.space, seed=4, length=length), reference.network
    training = SupernetModule(
        module().supernet, loss, plain, paths, accumulate=True, reduction="sum", divide_rates=True
    )  # fmt: skip
    trainer = fit(training, batches, tmp_path)
    assert {group["lr"] for group in trainer.optimizers[0].param_groups} == {0.1}
    for start in range(0, 24, length):
        used = Counter[str]()
        for step in range(start, start + length):
            reference.supernet.activate(paths.path(step))
            before = {name: p.grad is not None and p.grad.clone() for name, p in network.named_parameters()}
            loss(network, (batches[step],)).backward()
            for name, p in network.named_parameters():
                used[name] += p.grad is not None and not (
                    before[name] is not False and torch.equal(before[name], p.grad)
                )
        for name, p in network.named_parameters():
            if p.grad is not None:
                p.data -= 0.1 * p.grad / used[name]
                p.grad = None
    assert_same(training.network, network)


def test_rates_are_divided_within_a_cycle_only() -> None:
    with pytest.raises(ValueError, match="needs accumulate=True"):
        module(divide_rates=True)


def test_an_unknown_reduction_is_refused() -> None:
    with pytest.raises(ValueError, match="reduction must be 'mean' or 'sum', not 'max'"):
        module(accumulate=True, reduction="max")


def test_parameters_off_the_path_stay(batches: list[Tensor], tmp_path: Path) -> None:
    training = module()
    path = training.paths.path(0)
    before = copy.deepcopy(training.network.state_dict())
    fit(training, batches[:1], tmp_path)
    for name, value in training.network.state_dict().items():
        _, option = name.split(".")[:2]
        label = name.split(".")[0]
        assert torch.equal(value, before[name]) == (str(path[label]) != option), name


def test_schedule_steps_once_an_update(batches: list[Tensor], tmp_path: Path) -> None:
    def halving(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
        return torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)

    for accumulate, updates in ((False, 24), (True, 4)):
        trainer = fit(module(scheduler=halving, accumulate=accumulate), batches, tmp_path)
        assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.1 * 0.5**updates)


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("stop", [6, 8, 9])
def test_resumed_training_equals_the_uninterrupted_one(
    batches: list[Tensor], tmp_path: Path, accumulate: bool, stop: int
) -> None:
    """The cycle is 6 passes long: a checkpoint after 8 or 9 cuts one in two."""
    first = module(accumulate=accumulate)
    trainer = fit(first, batches[:stop], tmp_path)
    trainer.save_checkpoint(tmp_path / "cut.ckpt")
    second = module(accumulate=accumulate)
    fit(second, batches[stop:], tmp_path, resume=tmp_path / "cut.ckpt", max_epochs=2)
    assert second.passes == 24
    assert_same(second.network, by_hand(batches, accumulate).module)


def test_loss_that_is_not_finite_names_the_pass_and_the_path(batches: list[Tensor], tmp_path: Path) -> None:
    def diverging(network: nn.Module, batch: Any) -> Tensor:
        return loss(network, batch) * (float("nan") if training.passes == 5 else 1)

    training = module(loss=diverging)
    with pytest.raises(FloatingPointError, match=r"loss of pass 5 is nan, on path .*Lower the learning rate"):
        fit(training, batches, tmp_path)
    assert training.paths.path(5).id
    assert training.passes == 5


def test_training_learns_for_every_path(tmp_path: Path) -> None:
    x = torch.randn(120, 16, 4, generator=torch.Generator().manual_seed(5))
    training = module()
    fit(training, list(x), tmp_path)
    test = torch.randn(500, 4, generator=torch.Generator().manual_seed(6))
    for architecture in training.supernet.space:
        training.supernet.activate(architecture)
        right = (training.supernet(test).argmax(1) == (test.sum(1) > 0)).float().mean()
        assert right > 0.9, architecture


def test_scaled_gradients_are_clipped_at_the_same_norm(batches: list[Tensor], tmp_path: Path) -> None:
    """With 16-mixed the gradients are multiplied until the optimizer steps."""
    mixed, whole = module(clip=0.01), module(clip=0.01)
    before = copy.deepcopy(whole.network)
    fit(mixed, batches, tmp_path / "mixed", plugins=[MixedPrecision("16-mixed", "cpu")])
    fit(whole, batches, tmp_path / "whole")
    moved = [
        {name: one.detach() - before.get_parameter(name).detach() for name, one in of.network.named_parameters()}
        for of in (mixed, whole)
    ]
    for name, change in moved[1].items():
        assert torch.allclose(moved[0][name], change, atol=1e-4), name
    assert max(float(change.abs().max()) for change in moved[1].values()) > 5e-3


def test_a_second_training_of_the_same_module_goes_on_within_a_cycle(batches: list[Tensor], tmp_path: Path) -> None:
    supernets = new_supernet(), new_supernet()
    once, twice = (
        SupernetModule(one, loss, plain, FairPaths(one.space, seed=4), accumulate=True) for one in supernets
    )  # fmt: skip
    fit(once, batches, tmp_path / "once")
    fit(twice, batches[:9], tmp_path / "first")  # a cycle has 6 paths
    assert twice.passes == 9
    fit(twice, batches[9:], tmp_path / "second")
    assert twice.passes == 24
    assert_same(once.network, twice.network)
