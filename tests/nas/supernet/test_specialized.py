"""The network for a budget."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autopanoptic.nas import (
    Architecture,
    Constraint,
    ElasticBatchNorm2d,
    ElasticConv2d,
    FlopCount,
    GridSearch,
    History,
    LayerChoice,
    ModelSpace,
    Objective,
    Result,
    Search,
    SearchSpace,
    Supernet,
    SupernetEvaluator,
    Trial,
    TrialState,
    Width,
    recalibrated,
)

OBJECTIVES = (Objective("accuracy"), Objective("gflops", "min"))


def result_of(*metrics: Mapping[str, float] | None, constraints: tuple[Constraint, ...] = ()) -> Result:
    """Return a result of trials with these metrics, None for one that failed."""
    history = History(OBJECTIVES, constraints)
    for number, found in enumerate(metrics):
        trial = Trial(number, Architecture({"width": number}))
        history.add(trial)
        ended = (
            replace(trial, state=TrialState.FAILED)
            if found is None
            else replace(trial, state=TrialState.COMPLETED, metrics=found)
        )
        history.update(ended)
    return Result(SearchSpace([]), history)


FRONT = [{"accuracy": a, "gflops": g} for a, g in [(60.0, 0.1), (70.0, 0.2), (70.0, 0.15), (90.0, 0.9), (65.0, 0.05)]]


@pytest.mark.parametrize(
    ("bounds", "objective", "best"),
    [
        ({}, None, 3),
        ({"gflops": (None, 0.2)}, None, 1),  # the earliest of equals, ends included
        ({"gflops": (None, 0.19)}, None, 2),
        ({"gflops": (0.06, 0.12)}, None, 0),
        ({"gflops": (None, 0.5), "accuracy": (62, None)}, "gflops", 4),
    ],
)
def test_the_best_within_bounds(bounds: dict[str, Any], objective: str | None, best: int) -> None:
    assert result_of(*FRONT).best_within(bounds, objective).id == best


def test_trials_that_break_a_constraint_or_failed_are_left_out() -> None:
    trials = [None, {**FRONT[0], "memory": 9.0}, {**FRONT[3], "memory": 11.0}]
    found = result_of(*trials, constraints=(Constraint("memory", None, 10),))
    assert found.best_within({"gflops": (None, 1)}).id == 1


def test_where_there_is_none_the_error_names_the_nearest() -> None:
    message = r"None of the 5 completed trials keeps gflops <= 0.04; trial 4 .*, with accuracy = 65, gflops = 0.05"
    with pytest.raises(ValueError, match=message):
        result_of(*FRONT).best_within({"gflops": (None, 0.04)})
    with pytest.raises(ValueError, match=r"keeps gflops <= 0\.2 and 80 <= accuracy; trial 1 comes nearest"):
        result_of(*FRONT).best_within({"gflops": (None, 0.2), "accuracy": (80, None)})


def test_names_that_are_unknown_are_refused() -> None:
    found = result_of(*FRONT)
    with pytest.raises(ValueError, match=r"no objective 'pq'; it has \['accuracy', 'gflops'\]"):
        found.best_within({}, "pq")
    with pytest.raises(ValueError, match=r"has a metric 'gflop'; .* Did you mean 'gflops'\?"):
        found.best_within({"gflop": (None, 1)})
    with pytest.raises(ValueError, match=r"must be a pair \(low, high\)"):
        found.best_within({"gflops": 0.2})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="None of the 2 trials completed"):
        result_of(None, None).best_within({})


# Out of a supernet


class Net(ModelSpace):
    def __init__(self, *, norm: bool = True) -> None:
        super().__init__()
        width = Width("width", [2, 4, 8])
        self.stem = ElasticConv2d(1, width, 3, padding=1)
        self.norm = ElasticBatchNorm2d(width) if norm else nn.Identity()
        self.op = LayerChoice({"conv": ElasticConv2d(width, width, 3, padding=1), "skip": nn.Identity()}, label="op")
        self.aside = ElasticBatchNorm2d(width) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.op(self.norm(self.stem(x)).relu())
        return found.flatten(1).mean(1)


BATCHES = list(torch.randn(3, 8, 1, 6, 6, generator=torch.Generator().manual_seed(0)) * 2 + 1)


def searched(norm: bool) -> tuple[Supernet, Result]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        supernet = Supernet(Net(norm=norm))
    evaluator = SupernetEvaluator(
        supernet,
        lambda network: {"score": float(network(BATCHES[0]).sum())},
        recalibrate_with=BATCHES if norm else None,
    )
    cost = FlopCount(supernet, torch.zeros(1, 1, 6, 6))
    search = Search(
        supernet.space, GridSearch(), evaluator, objectives={"score": "max", "flops": "min"}, costs={"flops": cost}
    )
    return supernet, search.run(6)


def test_it_gives_what_the_search_measured_without_training() -> None:
    supernet, result = searched(norm=True)
    trials = []
    for bounds in ((None, 700), (700, 2_000), (2_000, None)):
        network = supernet.specialized(result, flops=bounds, recalibrate_with=BATCHES)
        trial = result.best_within({"flops": bounds})
        assert not any(module.training for module in network.modules())
        assert float(network(BATCHES[0]).sum().detach()) == pytest.approx(trial.metrics["score"], rel=1e-5)
        assert type(network.stem) is nn.Conv2d
        trials.append(trial.id)
    assert len(set(trials)) == 3


def test_its_statistics_are_those_of_the_path_and_the_supernet_keeps_its_own(caplog: pytest.LogCaptureFixture) -> None:
    supernet, result = searched(norm=True)
    before = {name: tensor.clone() for name, tensor in supernet.module.state_dict().items()}
    with caplog.at_level(logging.WARNING):
        network = supernet.specialized(result, flops=(None, 800), recalibrate_with=BATCHES)
    assert caplog.messages == ["Batch norms saw no batch and keep statistics that mix all paths: ['aside']."]
    supernet.activate(result.best_within({"flops": (None, 800)}).architecture)
    with recalibrated(supernet, BATCHES):
        assert torch.equal(network.norm.running_mean, supernet.module.norm.active_tensor("running_mean"))
    assert (network.norm.momentum, network.aside.running_var.unique().tolist()) == (0.1, [1.0])
    assert all(torch.equal(tensor, before[name]) for name, tensor in supernet.module.state_dict().items())


def test_batch_norms_need_batches() -> None:
    supernet, result = searched(norm=True)
    with pytest.raises(ValueError, match=r"2 batch norms mix all paths of the supernet\. Give recalibrate_with="):
        supernet.specialized(result, flops=(None, 4_000))
    with pytest.raises(ValueError, match="without a batch; the given batches are empty"):
        supernet.specialized(result, recalibrate_with=[])
    plain, found = searched(norm=False)
    network = plain.specialized(found, objective="flops")
    assert float(network(BATCHES[0]).sum().detach()) == found.best_within({}, "flops").metrics["score"]


def test_no_trial_within_the_bounds_is_an_error() -> None:
    supernet, result = searched(norm=False)
    with pytest.raises(ValueError, match=r"keeps flops <= 1; trial \d+ comes nearest"):
        supernet.specialized(result, flops=(None, 1))
