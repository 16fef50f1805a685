"""Racing in whole searches, and between the paths of a supernet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from autopanoptic.nas import (
    Architecture,
    Choice,
    Evolution,
    RandomSearch,
    RegularizedEvolution,
    Search,
    SearchSpace,
    Strategy,
    TrialState,
)
from autopanoptic.nas.stopping.racing import Racing

Chunks = NDArray[np.float64]
BETTING: dict[str, Any] = {"bound": "betting", "low": 0, "high": 100}

SPACE = SearchSpace(Choice(f"c{i}", range(6)) for i in range(4))
STEPS = 30
NOISE = np.random.default_rng(7).normal(0, 4, STEPS)


def chunks_of(architecture: Architecture) -> Chunks:
    """Chunks that are harder or easier for all, and noise of the architecture's own."""
    options = [int(option) for option in architecture.values()]
    own = np.random.default_rng(options).normal(0, 3, STEPS)
    return np.asarray(np.clip(30 + 0.9 * sum(options) + NOISE + own, 0, 100), dtype=np.float64)


def measure(architecture: Architecture, report: Callable[..., None]) -> float:
    chunks = chunks_of(architecture)
    for step in range(1, STEPS + 1):
        report(step, {"value": float(chunks[:step].mean())})
    return float(chunks.mean())


STRATEGIES: list[Callable[[], Strategy]] = [
    RandomSearch,
    lambda: Evolution(population=20, parents=5),
    lambda: RegularizedEvolution(population=20, sample=5),
]


def finals(search: Search) -> list[float]:
    return sorted((float(chunks_of(trial.architecture).mean()) for trial in search.history), reverse=True)


@pytest.mark.parametrize("make", STRATEGIES, ids=lambda make: repr(make()))
def test_it_saves_work_with_any_strategy_and_keeps_the_best(make: Callable[[], Strategy]) -> None:
    search = Search(SPACE, make(), measure, stopper=Racing(STEPS, top=5), seed=1)
    result = search.run(150)
    chunks = sum(len(trial.reports) for trial in result.history)
    assert len(result.history) == 150
    assert chunks < 0.75 * 150 * STEPS
    assert {trial.state for trial in result.history} == {TrialState.COMPLETED, TrialState.STOPPED}
    completed = [trial.metrics["value"] for trial in result.history.ranked()[:5]]
    assert completed == finals(search)[:5], "none of the five best was stopped"


@pytest.mark.parametrize("given", [{}, {"bound": "betting", "low": 10, "high": 70}])
def test_a_strategy_that_looks_at_the_best_alone_chooses_as_without_the_rule(given: dict[str, Any]) -> None:
    searches = [
        Search(SPACE, Evolution(population=15, parents=5), measure, stopper=stopper, seed=3)
        for stopper in (None, Racing(STEPS, top=5, **given))
    ]
    for search in searches:
        search.run(120)
    plain, raced = ([trial.architecture for trial in search.history] for search in searches)
    assert raced == plain
    assert searches[1].history.n_completed < 90


class Interrupted:
    """The same measurement, with Ctrl-C at one of its reports."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, architecture: Architecture, report: Callable[..., None]) -> float:
        def counted(step: int, metrics: dict[str, float]) -> None:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
            report(step, metrics)

        return measure(architecture, counted)


@pytest.mark.parametrize("make", STRATEGIES, ids=lambda make: repr(make()))
def test_an_interrupted_search_makes_the_same_decisions(make: Callable[[], Strategy], tmp_path: Path) -> None:
    stopper = Racing(STEPS, top=2)
    whole = Search(SPACE, make(), measure, stopper=stopper)
    whole.run(16)
    journal = tmp_path / "journal.jsonl"
    with pytest.raises(KeyboardInterrupt):
        Search(SPACE, make(), Interrupted(200), stopper=stopper, journal=journal).run(16)
    resumed = Search(SPACE, make(), measure, stopper=Racing(STEPS, top=2), journal=journal)
    assert 2 < len(resumed.history) < 16
    resumed.run(16)
    assert [replace(t, seconds=0.0) for t in resumed.history] == [replace(t, seconds=0.0) for t in whole.history]
    assert any(trial.state is TrialState.STOPPED for trial in whole.history)


# With a supernet


def test_paths_of_a_supernet_race() -> None:
    import torch
    from torch import Tensor, nn

    from autopanoptic.nas import LayerChoice, ModelSpace, Supernet, SupernetEvaluator

    class Shift(nn.Module):
        def __init__(self, by: float) -> None:
            super().__init__()
            self.by = nn.Parameter(torch.tensor(by))

        def forward(self, x: Tensor) -> Tensor:
            return x + self.by

    class Net(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            self.first = LayerChoice({str(by): Shift(float(by)) for by in range(5)}, label="first")
            self.second = LayerChoice({str(by): Shift(float(by)) for by in range(5)}, label="second")

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.second(self.first(x))
            return found

    batches = torch.randn(20, 16, generator=torch.Generator().manual_seed(0))

    def validate(network: nn.Module, report: Callable[..., None]) -> dict[str, float]:
        errors = torch.stack([(network(batch) - batch).abs().mean() + 0.3 * batch.mean() for batch in batches])
        for step in range(1, len(batches) + 1):
            report(step, {"error": float(errors[:step].mean())})
        return {"error": float(errors.mean())}

    supernet = Supernet(Net())
    search = Search(
        supernet.space,
        RandomSearch(),
        SupernetEvaluator(supernet, validate),
        objectives={"error": "min"},
        stopper=Racing(len(batches), top=3),
    )
    result = search.run(25)
    assert dict(result.best.architecture) == {"first": "0", "second": "0"}
    stopped = [trial for trial in result.history if trial.state is TrialState.STOPPED]
    assert len(stopped) > 8
    for trial in stopped:
        assert trial.architecture["first"] != "0" or trial.architecture["second"] != "0"
        assert 5 <= len(trial.reports) < 20
