"""Several trials are asked for at a time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from autopanoptic.nas import (
    Architecture,
    BatchStrategy,
    BayesianOptimization,
    Choice,
    Evolution,
    GridSearch,
    History,
    Journal,
    JournalError,
    RandomSearch,
    Result,
    Search,
    SearchSpace,
    Strategy,
    Trial,
    TrialState,
)
from autopanoptic.nas.journals.repairing import repair
from autopanoptic.nas.storage import journal as journal_module
from autopanoptic.nas.storage.reading import MORE
from benchmarks.scaling.simulated import SimulatedExecutor

SPACE = SearchSpace([Choice(f"c{i}", range(4)) for i in range(5)])


@dataclass(frozen=True)
class Batches(BatchStrategy):
    """Draws at random; a batch holds what was tried before and what breaks the rules of a batch, as ``spoilt`` says."""

    spoilt: str = ""

    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture:
        return space.sample(rng)

    def propose_batch(
        self, space: SearchSpace, history: History, rngs: Sequence[np.random.Generator]
    ) -> list[Architecture]:
        if self.spoilt == "none":
            return []
        found = [space.sample(rng) for rng in rngs]
        if self.spoilt == "too many":
            return [*found, *found]
        if self.spoilt == "repeated":
            return [*found[:-2], *found[:1], history[0].architecture][-len(rngs) :] if history else found
        return found


def value(trial: Trial) -> dict[str, float]:
    return {"value": float(sum(int(option) for option in trial.architecture.values()))}


def architectures(search: Search) -> list[Architecture]:
    return [trial.architecture for trial in search.history]


@pytest.mark.parametrize("strategy", [RandomSearch(), Evolution(4, 2), GridSearch()], ids=repr)
def test_a_strategy_that_makes_no_batches_is_asked_as_often(strategy: RandomSearch) -> None:
    one, many = Search(SPACE, strategy), Search(SPACE, strategy)
    for _ in range(4):
        for search, trials in ((one, [one.ask() for _ in range(3)]), (many, many.ask(3))):
            for trial in trials:
                if trial is not None:  # a generation is full
                    search.tell(trial, value(trial))
    assert architectures(one) == architectures(many)
    assert len(one.history) >= 8


def test_a_batch_is_what_the_strategy_proposes_with_the_trials_own_randomness() -> None:
    search = Search(SPACE, Batches(), seed=7)
    trials = search.ask(4)
    assert [trial.id for trial in trials] == [0, 1, 2, 3]
    assert [t.architecture for t in trials] == [SPACE.sample(np.random.default_rng([7, n])) for n in range(4)]
    assert [trial.state for trial in search.history] == [TrialState.RUNNING] * 4
    assert [trial.id for trial in search.ask(1)] == [4]


@pytest.mark.parametrize("spoilt", ["repeated", "none"])
def test_what_a_batch_lacks_is_asked_for_one_by_one(spoilt: str) -> None:
    search = Search(SPACE, Batches(spoilt))
    search.ask(3)
    assert [trial.id for trial in search.ask(6)] == [3, 4, 5, 6, 7, 8]
    assert len(set(architectures(search))) == 9


def test_more_than_were_asked_for_are_refused() -> None:
    with pytest.raises(ValueError, match="Batches proposed 6 architectures at once, not 3"):
        Search(SPACE, Batches("too many")).ask(3)


@pytest.mark.parametrize("count", [0, -1, 1.5, "2"])
def test_a_number_of_trials_is_whole_and_positive(count: int) -> None:
    with pytest.raises(ValueError, match="the number of trials to ask for must be a whole number from 1"):
        Search(SPACE, RandomSearch()).ask(count)


def test_an_empty_list_says_that_the_strategy_waits_or_has_ended() -> None:
    small = SearchSpace([Choice("a", range(3))])
    search = Search(small, RandomSearch())
    assert len(search.ask(5)) == 3
    assert search.ask(5) == []


def test_initial_architectures_and_interrupted_trials_come_first(tmp_path: Path) -> None:
    first = [{f"c{i}": 3 for i in range(5)}, {f"c{i}": 2 for i in range(5)}]
    with Search(SPACE, Batches(), initial=first, journal=tmp_path / "j") as search:
        asked = search.ask(3)
        assert [dict(trial.architecture) for trial in asked[:2]] == first
        search.tell(asked[1], value(asked[1]))
    with Search(SPACE, Batches(), initial=first, journal=tmp_path / "j") as again:
        assert [trial.id for trial in again.ask(4)] == [0, 2, 3, 4]


def test_a_kill_leaves_a_batch_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Search(SPACE, BayesianOptimization(initial=2), journal=path) as search:
        for trial in search.ask(2):
            search.tell(trial, value(trial))
        before = path.stat().st_size
        search.ask(4)
        expected = architectures(search)
    written = path.read_bytes()
    for end in range(before, len(written)):
        path.write_bytes(written[:end])
        assert Journal(path).count == len(written[:before].splitlines())
    for end in range(before, len(written), 97):
        path.write_bytes(written[:end])
        with Search(SPACE, BayesianOptimization(initial=2), journal=path) as again:
            assert len(again.history) == 2
            again.ask(4)
            assert architectures(again) == expected
        assert [json.loads(line)["event"] for line in path.read_text().splitlines()[-4:]] == ["asked"] * 4


def test_a_journal_to_which_another_search_has_added_a_batch_is_not_cut(tmp_path: Path) -> None:
    one, two = (Search(SPACE, Batches(), journal=tmp_path / "j") for _ in range(2))
    one.ask(3)
    one.close()
    with pytest.raises(JournalError, match="has changed since"):
        two.ask(2)
    assert len(Result.from_journal(tmp_path / "j").history) == 3


def test_a_repair_keeps_a_batch_whose_end_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Search(SPACE, Batches(), journal=path) as search:
        search.ask(3)
    lines = path.read_bytes().splitlines(keepends=True)
    assert [json.loads(line).get(MORE) for line in lines] == [None, True, True, None]
    path.write_bytes(b"".join(lines[:-1]))
    assert len(Result.from_journal(path).history) == 0
    done = repair(path)
    assert [text for _, text in done.mending.problems] == [
        "begins or continues a group whose end is lost, so a search would leave it out; it is kept"
    ]
    assert len(Result.from_journal(path).history) == 2
    assert repair(path).mending.problems == []


def test_what_was_written_before_an_error_is_handed_out_again() -> None:
    class Fails(RandomSearch):
        def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture | None:
            if len(history) == 2:
                raise RuntimeError("thinks wrong")
            return super().propose(space, history, rng)

    search = Search(SPACE, Fails())
    with pytest.raises(RuntimeError, match="thinks wrong"):
        search.ask(3)
    assert search.waiting
    assert [trial.id for trial in search.ask(2)] == [0, 1]


class Counting(Batches):
    """Keeps how many architectures it was asked for at a time, and waits for generations of some size."""

    def __init__(self, generation: int = 0) -> None:
        super().__init__()
        object.__setattr__(self, "generation", generation)
        object.__setattr__(self, "asked", [])

    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture | None:
        if self.generation and history.n_running and len(history) % self.generation == 0:
            return None
        self.asked.append(1)
        return super().propose(space, history, rng)

    def propose_batch(
        self, space: SearchSpace, history: History, rngs: Sequence[np.random.Generator]
    ) -> list[Architecture]:
        left = self.generation - len(history) % self.generation if self.generation else len(rngs)
        if self.generation and history.n_running and left == self.generation:
            return []
        self.asked.append(len(rngs[:left]))
        return super().propose_batch(space, history, rngs[:left])


def ran(strategy: Counting, workers: int, seconds: list[float]) -> History:
    executor = SimulatedExecutor(workers, seconds.__getitem__)
    search = Search(SPACE, strategy, lambda a: float(sum(map(int, a.values()))), executor=executor)
    return search.run(len(seconds), progress=False).history


def test_a_run_asks_for_as_many_as_there_are_free_workers() -> None:
    strategy = Counting()
    history = ran(strategy, 4, [1.0, 1.0, 2.0, 2.0, 2.0, 3.5, 1.0, 1.0, 1.0, 1.0])
    # Two are free after a second, two after two, and two after three, where there is no need for a third.
    assert strategy.asked == [4, 2, 2, 2]
    assert [trial.architecture for trial in history] == [SPACE.sample(np.random.default_rng([0, n])) for n in range(10)]


def test_a_run_asks_for_no_more_than_there_shall_be() -> None:
    strategy = Counting()
    assert len(ran(strategy, 4, [1.0] * 6)) == 6
    assert strategy.asked == [4, 2]


def test_a_generation_is_asked_for_at_once() -> None:
    strategy = Counting(generation=5)
    ran(strategy, 3, [1.0, 2.0, 4.0, 1.5, 5.0] * 2)
    # Three workers, then one by one as they become free, and again when the generation has ended.
    assert strategy.asked == [3, 1, 1, 3, 1, 1]


def test_an_ordered_run_is_that_of_a_strategy_without_batches() -> None:
    class Single(Strategy):
        def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture | None:
            return BayesianOptimization(initial=3).propose(space, history, rng)

    durations = [float(number * 7 % 5) + 1 for number in range(14)]

    def history(strategy: Strategy, ordered: bool) -> list[Architecture]:
        executor = SimulatedExecutor(4, lambda trial_id: float(durations[trial_id] > 2))
        search = Search(SPACE, strategy, lambda a: -float(a["c0"]), executor=executor, ordered=ordered)
        return [trial.architecture for trial in search.run(14, progress=False).history]

    assert history(BayesianOptimization(initial=3), True) == history(Single(), True)
    # Of several free workers only the first gets what it would have been given alone.
    assert history(BayesianOptimization(initial=3), False) != history(Single(), False)


def test_a_run_goes_on_from_a_batch_of_which_trials_were_running(tmp_path: Path) -> None:
    def made(strategy: Counting) -> Search:
        executor = SimulatedExecutor(3, lambda trial_id: 1.0)
        return Search(SPACE, strategy, lambda a: 1.0, executor=executor, journal=tmp_path / "j")

    made(Counting()).run(9, progress=False)
    lines = (tmp_path / "j").read_bytes().splitlines(keepends=True)
    for count in range(1, len(lines)):
        (tmp_path / "j").write_bytes(b"".join(lines[:count]))
        history = made(Counting()).run(9, progress=False).history
        assert [t.architecture for t in history] == [SPACE.sample(np.random.default_rng([0, n])) for n in range(9)]
        assert history.n_completed == 9


@pytest.mark.parametrize("strategy", [RandomSearch(), Batches()], ids=["one by one", "at once"])
def test_several_trials_wait_for_the_disk_once(
    strategy: Strategy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Search(SPACE, strategy, journal=tmp_path / "j") as search:
        search.ask()
        synced: list[int] = []
        monkeypatch.setattr(journal_module.os, "fsync", lambda handle: synced.append(Journal(tmp_path / "j").count))
        assert len(search.ask(5)) == 5
        assert synced == [7], "a header, and six trials"


def test_trials_of_which_the_disk_fails_are_handed_out_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(handle: int) -> None:
        raise OSError("Input/output error")

    with Search(SPACE, RandomSearch(), journal=tmp_path / "j") as search:
        search.ask()
        with monkeypatch.context() as patch:
            patch.setattr(journal_module.os, "fsync", failing)
            with pytest.raises(JournalError, match="Input/output error"):
                search.ask(3)
        assert [trial.id for trial in search.ask(4)] == [1, 2, 3, 4]
    assert architectures(search) == [trial.architecture for trial in Result.from_journal(tmp_path / "j").history]
