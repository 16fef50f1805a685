from __future__ import annotations

import copy
import functools
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from autopanoptic.nas import (
    Architecture,
    Evaluator,
    FunctionEvaluator,
    InlineExecutor,
    ProcessExecutor,
    RandomSearch,
    Search,
    Supernet,
    SupernetEvaluator,
    TrainingEvaluator,
    TrialState,
)

SOME = Architecture({"a": 1})


def one(architecture: Any) -> float:
    return 1.0


def two(architecture: Any, report: Any) -> float:
    report(1, {"x": 2.0})
    return 2.0


def named(architecture: Any, *, loader: Any = None, report: Any) -> float:
    report(1, {"x": 3.0})
    return 3.0


def optional(architecture: Any, loader: str = "loader", report: Any = None) -> float:
    assert loader == "loader"
    report(1, {"x": 4.0})
    return 4.0


def default(architecture: Any, loader: str = "loader") -> float:
    assert loader == "loader"
    return 5.0


def other_name(architecture: Any, publish: Any) -> float:
    publish(1, {"x": 6.0})
    return 6.0


class Callable:
    def __call__(self, architecture: Any, report: Any) -> float:
        report(1, {"x": 7.0})
        return 7.0


FUNCTIONS: list[tuple[Any, float, bool]] = [
    (one, 1, False),
    (two, 2, True),
    (named, 3, True),
    (optional, 4, True),
    (default, 5, False),
    (other_name, 6, True),
    (Callable(), 7, True),
    (functools.partial(default, loader="loader"), 5, False),
    (functools.partial(named, loader=1), 3, True),
    (len, 1, False),
]


@pytest.mark.parametrize(("function", "expected", "reports"), FUNCTIONS)
def test_function_gets_report_where_it_asks_for_it(function: Any, expected: float, reports: bool) -> None:
    seen: list[Any] = []
    evaluator = FunctionEvaluator(function, "m")
    assert isinstance(evaluator, Evaluator)
    assert evaluator.evaluate(SOME, lambda step, metrics: seen.append(metrics)) == {"m": expected}
    assert seen == ([{"x": expected}] if reports else [])


def test_function_may_return_metrics() -> None:
    assert FunctionEvaluator(lambda a: {"x": 1, "y": 2}).evaluate(SOME, two) == {"x": 1, "y": 2}


@pytest.mark.parametrize("function", [None, 3, "f", dict])
def test_what_is_no_function(function: Any) -> None:
    with pytest.raises(TypeError, match="must be a function or have evaluate"):
        FunctionEvaluator(function)


# One-shot


def mean(network: nn.Module, batch: Tensor) -> dict[str, float]:
    return {"value": network(batch).mean().item()}


def test_supernet_evaluator_measures_the_path(supernet: Supernet, images: Tensor, no_report: Any) -> None:
    evaluator = SupernetEvaluator(supernet, functools.partial(mean, batch=images))
    for architecture in list(supernet.space)[::40]:
        network = supernet.subnet(architecture).eval()
        assert evaluator.evaluate(architecture, no_report) == pytest.approx({"value": network(images).mean().item()})


def test_supernet_evaluator_recalibrates_and_puts_back(supernet: Supernet, images: Tensor, no_report: Any) -> None:
    architecture = supernet.space.canonical({**supernet.active, "op9": "three", "op0": "three", "merge": "2"})
    supernet.module.train()
    before = copy.deepcopy(supernet.module.state_dict())
    batches = [images * 3, images + 1]

    def validate(network: nn.Module) -> dict[str, float]:
        assert not network.training
        assert not torch.is_grad_enabled()
        return mean(network, images)

    plain = SupernetEvaluator(supernet, validate).evaluate(architecture, no_report)
    found = SupernetEvaluator(supernet, validate, recalibrate_with=batches).evaluate(architecture, no_report)
    again = SupernetEvaluator(supernet, validate, recalibrate_with=batches).evaluate(architecture, no_report)
    assert plain != found == again
    assert all(torch.equal(value, before[name]) for name, value in supernet.module.state_dict().items())
    assert supernet.module.training


def test_supernet_evaluator_gives_all_candidates_the_same_shuffled_batches(
    supernet: Supernet, images: Tensor, no_report: Any
) -> None:
    seen: list[Tensor] = []

    class Shuffled:
        def __iter__(self) -> Any:
            yield images[torch.randperm(4)][:2]

    def forward(network: nn.Module, batch: Tensor) -> None:
        seen.append(batch)
        network(batch)

    state = torch.get_rng_state()
    evaluator = SupernetEvaluator(supernet, lambda net: {"v": 1.0}, recalibrate_with=Shuffled(), forward=forward)
    for architecture in list(supernet.space)[:2]:
        evaluator.evaluate(architecture, no_report)
    assert torch.equal(*seen)
    assert torch.equal(torch.get_rng_state(), state)


def test_supernet_evaluator_refuses_an_iterator(supernet: Supernet, images: Tensor) -> None:
    with pytest.raises(TypeError, match="is an iterator, which only the first candidate would see"):
        SupernetEvaluator(supernet, lambda net: {}, recalibrate_with=iter([images]))


def test_supernet_evaluator_takes_loaders_without_a_length(supernet: Supernet, images: Tensor, no_report: Any) -> None:
    class Stream(torch.utils.data.IterableDataset[Tensor]):
        def __iter__(self) -> Any:
            return iter(images)

    loader = torch.utils.data.DataLoader(Stream(), batch_size=2)
    evaluator = SupernetEvaluator(supernet, lambda net: {"v": 1.0}, recalibrate_with=loader)
    assert evaluator.evaluate(supernet.active, no_report) == {"v": 1.0}


def test_search_by_a_supernet_in_this_process_and_in_others(supernet: Supernet, images: Tensor) -> None:
    supernet.module.eval()

    def validate(network: nn.Module, report: Any) -> dict[str, float]:
        report(1, {"partial": 0.5})
        return {"value": network(images).mean().item()}

    found = []
    for executor in (InlineExecutor(), ProcessExecutor(2)):
        evaluator = SupernetEvaluator(supernet, validate, recalibrate_with=[images])
        result = Search(supernet.space, RandomSearch(), evaluator, executor=executor).run(8)
        assert all(trial.state is TrialState.COMPLETED for trial in result.history)
        assert all(trial.reports == ((1, {"partial": 0.5}),) for trial in result.history)
        found.append([trial.metrics["value"] for trial in result.history])
    assert found[0] == pytest.approx(found[1], abs=1e-6)


# Stand-alone


def train(network: nn.Module, images: Tensor, report: Any = None) -> dict[str, float]:
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    target = torch.randn(4, 3)
    for step in range(3):
        loss = nn.functional.mse_loss(network(images), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        report(step, {"loss": loss.item()})
    return {"value": -loss.item()}


def test_training_evaluator_is_repeatable_and_depends_on_its_seed(supernet: Supernet, images: Tensor) -> None:
    function = functools.partial(train, images=images)
    architecture = list(supernet.space)[77]
    state, before = torch.get_rng_state(), copy.deepcopy(supernet.module.state_dict())
    losses: list[list[float]] = []
    for seed in (0, 0, 1):
        seen: list[float] = []
        losses.append(seen)
        evaluator = TrainingEvaluator(supernet, function, seed=seed)
        evaluator.evaluate(architecture, lambda step, metrics, seen=seen: seen.append(metrics["loss"]))
    assert losses[0] == losses[1] != losses[2]
    assert len(losses[0]) == 3
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in supernet.module.state_dict().items())


def draws() -> tuple[float, ...]:
    return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002


def draw(network: nn.Module) -> dict[str, float]:
    """As augmentations do, whose generators a user may not know of."""
    return dict(zip(("python", "numpy", "torch"), draws(), strict=True))


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("kind", [TrainingEvaluator, SupernetEvaluator])
def test_every_global_generator_is_seeded_and_put_back(
    supernet: Supernet, no_report: Any, kind: Any, fails: bool
) -> None:
    first, other = list(supernet.space)[5:7]
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002
    expected = draws()
    random.seed(2), np.random.seed(2), torch.manual_seed(2)  # noqa: NPY002
    alone = kind(supernet, draw).evaluate(first, no_report)
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002
    in_between = kind(supernet, draw).evaluate(other, no_report)
    assert kind(supernet, draw).evaluate(first, no_report) == alone, "in any order"
    assert kind(supernet, draw, seed=1).evaluate(first, no_report) != alone
    assert (in_between == alone) == (kind is SupernetEvaluator), "candidates of one supernet see the same batches"
    if fails:
        with pytest.raises(ZeroDivisionError):
            kind(supernet, lambda network: draw(network) and 1 / 0).evaluate(first, no_report)
    assert draws() == expected


@pytest.mark.parametrize("inherit", [False, True])
def test_training_starts_from_scratch_or_from_the_supernet(supernet: Supernet, no_report: Any, inherit: bool) -> None:
    def look(network: nn.Module) -> dict[str, float]:
        same = torch.equal(network.get_parameter("stem.weight"), supernet.module.get_parameter("stem.weight"))
        assert torch.is_grad_enabled()
        return {"same": same}

    evaluator = TrainingEvaluator(supernet, look, inherit=inherit)
    assert evaluator.evaluate(supernet.active, no_report) == {"same": inherit}


def test_training_from_scratch_needs_no_memory_for_the_supernet(net_class: Any, no_report: Any) -> None:
    with torch.device("meta"):
        supernet = Supernet(net_class())

    def look(network: nn.Module) -> dict[str, float]:
        return {"meta": any(p.is_meta for p in network.parameters())}

    assert TrainingEvaluator(supernet, look).evaluate(supernet.active, no_report) == {"meta": False}


def test_failing_training_fails_its_trial(supernet: Supernet) -> None:
    def fails(network: nn.Module) -> dict[str, float]:
        if isinstance(network.get_submodule("shared.op"), nn.Conv2d):
            raise FloatingPointError("diverged")
        return {"value": 1.0}

    result = Search(supernet.space, RandomSearch(), TrainingEvaluator(supernet, fails)).run(12)
    for trial in result.history:
        one = trial.architecture["op9"] == "one"
        assert (trial.state is TrialState.FAILED) == one
        assert not one or "diverged" in (trial.error or "")
