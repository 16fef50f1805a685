from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from autopanoptic.nas import LayerChoice, ModelSpace, Supernet, recalibrated


def _norm(supernet: Supernet, name: str = "shared.op.three.1") -> nn.BatchNorm2d:
    norm = supernet.module.get_submodule(name)
    assert isinstance(norm, nn.BatchNorm2d)
    return norm


@pytest.fixture
def batches() -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(6, 1, 8, 8, generator=generator) for _ in range(3)]


def test_statistics_are_those_of_the_batches(supernet: Supernet, batches: list[Tensor]) -> None:
    supernet.activate({**supernet.active, "depth": 1, "op0": "three", "merge": "0"})
    norm = supernet.module.get_submodule("body.blocks.0.op.three.1")
    conv = supernet.module.get_submodule("body.blocks.0.op.three.0")
    seen: list[Tensor] = []
    hook = conv.register_forward_hook(lambda module, inputs, output: seen.append(output))
    with recalibrated(supernet, batches):
        hook.remove()
        mean = torch.stack([values.mean((0, 2, 3)) for values in seen]).mean(0)
        variance = torch.stack([values.transpose(0, 1).flatten(1).var(1) for values in seen]).mean(0)
        torch.testing.assert_close(norm.running_mean, mean)
        torch.testing.assert_close(norm.running_var, variance)
        assert norm.num_batches_tracked == 3


def test_everything_is_as_before_afterwards(supernet: Supernet, batches: list[Tensor]) -> None:
    supernet.activate({**supernet.active, "op9": "three"})
    supernet.module.train()
    _norm(supernet).eval()
    before = copy.deepcopy(supernet.module.state_dict())
    modes = [module.training for module in supernet.module.modules()]
    norm = _norm(supernet)
    momentum, storage = norm.momentum, norm.running_mean
    with recalibrated(supernet, batches):
        assert [module.training for module in supernet.module.modules()] == modes
        assert not torch.equal(norm.running_mean, before["shared.op.three.1.running_mean"])  # type: ignore[arg-type]
    assert all(torch.equal(value, before[name]) for name, value in supernet.module.state_dict().items())
    assert [module.training for module in supernet.module.modules()] == modes
    assert norm.momentum == momentum
    assert norm.running_mean is storage


def test_only_the_active_path_is_touched(supernet: Supernet, batches: list[Tensor]) -> None:
    supernet.activate({**supernet.active, "op9": "one"})
    before = copy.deepcopy(_norm(supernet).state_dict())
    with recalibrated(supernet, batches):
        assert all(torch.equal(value, before[name]) for name, value in _norm(supernet).state_dict().items())


def test_statistics_do_not_depend_on_the_former_ones(supernet: Supernet, batches: list[Tensor]) -> None:
    supernet.activate({**supernet.active, "op9": "three"})
    found = []
    for value in (0.0, 100.0):
        norm = _norm(supernet)
        assert norm.running_mean is not None
        norm.running_mean.fill_(value)
        with recalibrated(supernet, batches):
            found.append(norm.running_mean.clone())
    assert torch.equal(*found)


@pytest.mark.parametrize("where", ["forward", "block"])
def test_errors_leave_the_statistics_as_they_were(supernet: Supernet, batches: list[Tensor], where: str) -> None:
    supernet.module.train()
    before = copy.deepcopy(supernet.module.state_dict())

    def forward(network: nn.Module, batch: Tensor) -> None:
        network(batch)
        if where == "forward":
            raise ArithmeticError("in forward")

    with pytest.raises(ArithmeticError), recalibrated(supernet, batches, forward):
        raise ArithmeticError("in block")
    assert all(torch.equal(value, before[name]) for name, value in supernet.module.state_dict().items())
    assert supernet.module.training


def test_dropout_is_off_and_no_graph_is_kept() -> None:
    from autopanoptic.nas import LayerChoice, ModelSpace

    class Drops(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            self.op = LayerChoice([nn.Dropout(0.9), nn.Identity()], label="op")
            self.norm = nn.BatchNorm1d(3)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.norm(self.op(x))
            outputs.append(found)
            return found

    outputs: list[Tensor] = []
    supernet = Supernet(Drops())
    batch = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    with recalibrated(supernet, [batch]):
        torch.testing.assert_close(supernet.module.get_buffer("norm.running_mean"), batch.mean(0))
    assert not outputs[0].requires_grad


def test_no_batch_is_refused(supernet: Supernet) -> None:
    before = copy.deepcopy(supernet.module.state_dict())
    with pytest.raises(ValueError, match="given batches are empty"), recalibrated(supernet, []):
        pass
    assert all(torch.equal(value, before[name]) for name, value in supernet.module.state_dict().items())


def test_a_norm_that_saw_no_batch_is_refused(supernet: Supernet, batches: list[Tensor]) -> None:
    supernet.activate({**supernet.active, "depth": 1, "op0": "three", "op9": "three"})
    before = copy.deepcopy(supernet.module.state_dict())

    def half(network: nn.Module, batch: Tensor) -> None:
        network.body(network.stem(batch))  # type: ignore[operator]

    with recalibrated(supernet, batches, half), pytest.raises(ValueError, match=r"'shared.op.three.1' .*saw no batch"):
        supernet.module.eval()(batches[0])
    assert all(torch.equal(value, before[name]) for name, value in supernet.module.state_dict().items())
    supernet.module(batches[0])


class WithAuxiliaryHead(ModelSpace):
    """A second head that runs in training alone."""

    def __init__(self) -> None:
        super().__init__()
        self.body = LayerChoice({"linear": nn.Linear(2, 2), "none": nn.Identity()}, label="body")
        self.norm, self.auxiliary = nn.BatchNorm1d(2), nn.BatchNorm1d(2)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.norm(self.body(x))
        return found + self.auxiliary(found) if self.training else found


def test_a_norm_that_only_the_training_runs_keeps_its_statistics() -> None:
    network = WithAuxiliaryHead()
    supernet, norm, auxiliary = Supernet(network), network.norm, network.auxiliary
    supernet(torch.randn(8, 2))
    before = copy.deepcopy(auxiliary.state_dict())
    with recalibrated(supernet, [torch.full((8, 2), 3.0)]):
        network.eval()(torch.randn(4, 2))
        assert norm.num_batches_tracked == 1
        assert all(torch.equal(value, before[name]) for name, value in auxiliary.state_dict().items())
