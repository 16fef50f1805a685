"""Optuna's samplers as strategies: the contract, and that they go on from a history as in a study of Optuna's own."""

# ruff: noqa: E402 - this file is skipped where Optuna is not installed
from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

optuna = pytest.importorskip("optuna")

from optuna.distributions import IntDistribution
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    GridSampler,
    NSGAIIISampler,
    NSGAIISampler,
    PartialFixedSampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.trial import TrialState as State

from autopanoptic.nas.results import _optuna
from autopanoptic.nas.search.search import Search
from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Constraint, Objective
from autopanoptic.nas.trials.trial import Trial, TrialState
from autopanoptic.strategies.optuna.replay import Replay
from autopanoptic.strategies.optuna.sampler import OptunaSampler
from autopanoptic.strategies.optuna.state import reseed
from autopanoptic.strategies.testing import CHECKS, FLAT, NESTED, Check, check_strategy
from autopanoptic.strategies.testing.simulation import Outcome, Simulation, completed, propose, replay
from tests.spaces import nested_spaces

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

MAKE: list[Callable[[], OptunaSampler]] = [
    lambda: OptunaSampler(TPESampler(n_startup_trials=4)),
    lambda: OptunaSampler(NSGAIISampler(population_size=4), ordinal=False),
]
NUMBERS = SearchSpace(Choice(f"c{i}", range(1, 21, 2)) for i in range(8))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("make", MAKE, ids=lambda make: repr(make())[:25])
def test_sampler_conforms(make: Callable[[], OptunaSampler], check: Check) -> None:
    check(make, max_trials=10)


def _of_group(seed: int) -> BaseSampler:
    return TPESampler(seed=seed, n_startup_trials=3, multivariate=True, group=True)


@pytest.mark.parametrize("make", [NSGAIIISampler, QMCSampler, lambda: _of_group])
def test_more_samplers_conform(make: Callable[[], Any]) -> None:
    check_strategy(lambda: OptunaSampler(make()), seeds=[1], max_trials=5)


def squares(trial: Trial) -> Outcome:
    return TrialState.COMPLETED, {"value": -float(sum((int(x) - 7) ** 2 for x in trial.architecture.values()))}


def in_optuna(sampler: BaseSampler, ordinal: bool, trials: int) -> list[Architecture]:
    """Search NUMBERS in a study of Optuna's, with a sampler that is seeded for each trial as a strategy is."""
    study = optuna.create_study(direction="maximize")
    found: list[Architecture] = []
    for number in range(trials):
        rng = np.random.default_rng([0, number])
        rng.integers(2**32)
        study.sampler = copy.deepcopy(sampler)
        reseed(study.sampler, rng)
        trial = study.ask()
        options = [list(choice.options) for choice in NUMBERS.choices]
        values = [
            x[trial.suggest_int(f"c{i}", 0, 9)] if ordinal else trial.suggest_categorical(f"c{i}", x)
            for i, x in enumerate(options)
        ]
        found.append(Architecture({f"c{i}": value for i, value in enumerate(values)}))
        study.tell(trial, squares(Trial(number, found[-1]))[1]["value"])
    return found


@pytest.mark.parametrize(
    ("make", "ordinal", "trials"),
    [
        (lambda: TPESampler(n_startup_trials=5, multivariate=True), True, 40),
        (lambda: TPESampler(n_startup_trials=12, multivariate=True), False, 16),
        (lambda: NSGAIISampler(population_size=5, mutation_prob=0.5), False, 25),
        (lambda: NSGAIISampler(population_size=10, mutation_prob=0.5), True, 40),
        (lambda: CmaEsSampler(), True, 50),
        (lambda: GPSampler(n_startup_trials=4), True, 8),
        (lambda: QMCSampler(), True, 20),
    ],
)
def test_proposes_what_a_study_of_optuna_suggests(make: Callable[[], BaseSampler], ordinal: bool, trials: int) -> None:
    if isinstance(make(), CmaEsSampler):
        pytest.importorskip("cmaes")
    expected = in_optuna(make(), ordinal, trials)
    assert len(set(expected)) == trials  # a search would repeat none
    assert (
        Simulation(OptunaSampler(make(), ordinal=ordinal), NUMBERS, 0, outcome=squares).run(trials).architectures
        == expected
    )


def some_end_early(trial: Trial) -> Outcome:
    states = {1: TrialState.FAILED, 2: TrialState.STOPPED}
    return (states[trial.id % 4], {}) if trial.id % 4 in states else completed(trial)


@pytest.mark.parametrize("make", MAKE, ids=lambda make: repr(make())[:25])
@settings(max_examples=12, deadline=None)
@given(space=nested_spaces(), seed=st.integers(0, 2**32), workers=st.integers(1, 4))
def test_searches_are_valid_end_and_resume(
    make: Callable[[], OptunaSampler], space: SearchSpace, seed: int, workers: int
) -> None:
    search = Simulation(make(), space, seed, outcome=some_end_early, workers=workers).run(14)
    events, expected = search.calls[len(search.calls) // 2]
    assert propose(make(), space, replay(search.objectives, search.events[:events]), seed) == expected
    assert len(search.history) == min(space.size, 14)


def test_an_interrupted_search_goes_on_as_it_would_have(tmp_path: Path) -> None:
    def search(journal: str) -> Search:
        strategy = OptunaSampler(NSGAIISampler(population_size=4))
        return Search(NESTED, strategy, lambda found: len(found), journal=tmp_path / journal)

    whole = search("whole.jsonl").run(16).history
    search("parts.jsonl").run(7)
    assert [trial.architecture for trial in search("parts.jsonl").run(16).history] == [
        trial.architecture for trial in whole
    ]


# What the sampler sees


def trials_of(space: SearchSpace, history: History, **options: Any) -> list[Any]:
    settings = {"ordinal": frozenset(), "asks": False, **options}
    storage = Replay(space, history.objectives, **settings).storage(history, RandomSampler)
    return storage.get_all_trials(storage.get_study_id_from_name("replay"))


def test_study_holds_the_trials_in_the_order_in_which_they_ended() -> None:
    space = SearchSpace([Choice("op", ["a", "b"]), Choice("k", [7, 3, 5], ("op", "b"))])
    history = History([Objective("loss", "min")])
    architectures = [{"op": "a"}, {"op": "b", "k": 7}, {"op": "b", "k": 3}, {"op": "b", "k": 5}]
    found = [Trial(n, Architecture(options)) for n, options in enumerate(architectures)]
    for trial in found:
        history.add(trial)
    reports = ((1, {"loss": 4.0}), (2, {"other": 1.0}), (2, {"loss": 3.0}))
    history.update(Trial(2, found[2].architecture, TrialState.COMPLETED, {"loss": 2.0}))
    history.update(Trial(3, found[3].architecture, TrialState.STOPPED, {"loss": 9.0}, reports))
    history.update(Trial(0, found[0].architecture, TrialState.FAILED))
    seen = trials_of(space, history, ordinal=frozenset("k"))
    assert [trial.state for trial in seen] == [State.COMPLETE, State.PRUNED, State.FAIL, State.RUNNING]
    assert [trial.params for trial in seen] == [
        {"op": "b", "k": 0},
        {"op": "b", "k": 1},
        {"op": "a"},
        {"op": "b", "k": 2},
    ]
    assert [trial.values for trial in seen] == [[-2.0], None, None, None]
    assert seen[1].intermediate_values == {1: -4.0, 2: -3.0}
    assert seen[0].distributions["k"] == IntDistribution(0, 2)


def test_generations_are_counted_by_the_order_in_which_trials_end() -> None:
    search = Simulation(OptunaSampler(NSGAIISampler(population_size=3)), FLAT, 0, workers=4, outcome=some_end_early)
    history = search.run(16).history
    make = lambda: NSGAIISampler(population_size=3, seed=0)  # noqa: E731
    storage = Replay(FLAT, history.objectives, frozenset(), asks=True).storage(history, make)
    complete = storage.get_all_trials(0, states=(State.COMPLETE,))
    generations = [[v for k, v in t.system_attrs.items() if k.endswith("generation")] for t in complete]
    assert generations == [[n // 3] for n in range(history.n_completed)]
    assert history.n_completed == 8


def test_stopped_trials_of_several_objectives_are_left_out() -> None:
    several = (Objective("a"), Objective("b"))
    history = History(several)
    history.add(Trial(0, Architecture({"a": 1})))
    history.update(Trial(0, Architecture({"a": 1}), TrialState.STOPPED, {}, ((1, {"a": 1.0, "b": 1.0}),)))
    space = SearchSpace([Choice("a", [1, 2])])
    assert trials_of(space, history)[0].state == State.FAIL
    assert trials_of(space, history)[0].intermediate_values == {}
    strategy = OptunaSampler(TPESampler(n_startup_trials=1))
    assert strategy.propose(space, history, np.random.default_rng(0)) == {"a": 2}


@pytest.mark.parametrize("make", [lambda: TPESampler(n_startup_trials=6), lambda: NSGAIISampler(population_size=6)])
def test_bounds_on_metrics_are_regarded(make: Callable[[], BaseSampler]) -> None:
    space = SearchSpace(Choice(f"c{i}", ["low", "high"]) for i in range(12))

    def count(trial: Trial) -> Outcome:
        high = float(sum(option == "high" for option in trial.architecture.values()))
        return TrialState.COMPLETED, {"value": high, "cost": high}

    def highs(constraints: Sequence[Constraint]) -> float:
        search = Simulation(OptunaSampler(make()), space, 0, outcome=count, constraints=constraints).run(26)
        return float(np.mean([trial.metrics["cost"] for trial in search.history[16:]]))

    free = highs(())
    assert free > 7
    assert highs([Constraint("cost", None, 100.0)]) == free
    assert highs([Constraint("cost", None, 4.0)]) < free - 1.5


# Suggestions that do not do


class Stubborn(RandomSampler):
    """Suggests the first options always."""

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        return param_distribution.to_external_repr(0)


def test_repeated_and_refused_suggestions_are_mutated() -> None:
    first = Architecture({choice.label: choice.options[0] for choice in FLAT.choices})
    search = Simulation(OptunaSampler(Stubborn()), FLAT, 0).run(8)
    assert search.architectures[0] == first
    assert set(search.architectures[1:]) <= set(FLAT.neighbors(first))
    part = FLAT.where(lambda found: found != first, "not the first")
    assert Simulation(OptunaSampler(Stubborn()), part, 0).run(1).architectures[0] in FLAT.neighbors(first)


class Counts(RandomSampler):
    """Keeps in the study how often it was asked and what became of it, and suggests by these numbers alone."""

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        count = study._storage.get_study_system_attrs(study._study_id).get("asked", 0)
        study._storage.set_study_system_attr(study._study_id, "asked", count + 1)
        return {f"op{i}": ["conv", "pool", "skip"][count // 3**i % 3] for i in range(8)}

    def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
        assert trial.state == State.RUNNING
        assert (values is None) == (state != State.COMPLETE)


def test_a_sampler_of_ones_own_may_keep_its_state_in_the_study() -> None:
    search = Simulation(OptunaSampler(Counts()), FLAT, 0, workers=3, outcome=some_end_early).run(30)
    assert search.architectures == [
        Architecture({f"op{i}": ["conv", "pool", "skip"][n // 3**i % 3] for i in range(8)}) for n in range(30)
    ]


# What is refused


class Global(BaseSampler):
    """Draws from NumPy's global generator."""

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        return {}

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        return param_distribution.to_external_repr(0)


class Uncopied(RandomSampler):
    def __deepcopy__(self, memo: object) -> Any:
        raise ValueError("one of its kind")


def used() -> BaseSampler:
    study = optuna.create_study(sampler=TPESampler(multivariate=True))
    study.optimize(lambda trial: trial.suggest_int("a", 0, 1), n_trials=2)
    return study.sampler  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: "tpe", TypeError, "needs a sampler, such as .*, not 'tpe'"),
        (lambda: TPESampler, TypeError, "needs a sampler, such as .*, not <class"),
        (lambda: lambda seed: seed, TypeError, "must make an Optuna sampler of a seed, but it made 0"),
        (Global, TypeError, "No random state was found in the attributes of Global. Give .* a function of a seed"),
        (Uncopied, TypeError, "Uncopied cannot be copied .one of its kind.. Give .* a function of a seed"),
        (lambda: GridSampler({"a": [1]}), TypeError, "Use GridSearch"),
        (lambda: PartialFixedSampler({"a": 1}, GridSampler({"b": [1]})), TypeError, "Use GridSearch"),
        (lambda: CmaEsSampler(with_margin=True), TypeError, "with_margin"),
        (used, ValueError, "This TPESampler has been used in a study"),
    ],
)
def test_refuses(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        OptunaSampler(make())


@pytest.mark.filterwarnings("ignore:.*constraints_func")
def test_refuses_a_function_of_constraints() -> None:
    with pytest.raises(TypeError, match="constraints_func, which is not called"):
        OptunaSampler(TPESampler(constraints_func=lambda trial: [0.0]))


def test_a_function_of_a_seed_makes_any_sampler() -> None:
    check_strategy(lambda: OptunaSampler(lambda seed: Global()), seeds=[0], max_trials=4, skip=CHECKS[3:])
    seeds: list[int] = []

    def make(seed: int) -> BaseSampler:
        seeds.append(seed)
        return TPESampler(seed=seed)

    strategy = OptunaSampler(make)
    assert repr(strategy) == "OptunaSampler(TPESampler(), ordinal=True)"
    Simulation(strategy, FLAT, 0).run(5)
    assert all(isinstance(seed, int) and 0 <= seed < 2**32 for seed in seeds)
    assert len(set(seeds)) >= 6


def test_cma_es_searches_numbers_that_are_always_made() -> None:
    pytest.importorskip("cmaes")
    objectives = (Objective("value"),)
    with pytest.raises(ValueError, match=re.escape("CmaEsSampler searches the numbers") + ".*Give ordinal=True"):
        OptunaSampler(CmaEsSampler(), ordinal=False).check(NUMBERS, objectives)
    with pytest.raises(ValueError, match=r"finds none in .*Use another sampler"):
        OptunaSampler(CmaEsSampler()).check(FLAT, objectives)
    mixed = SearchSpace([*NUMBERS.choices, Choice("op", ["a", "b"]), Choice("k", [1, 3], ("op", "b"))])
    search = Simulation(OptunaSampler(CmaEsSampler()), mixed, 0, workers=2).run(25)
    storage = Replay(mixed, objectives, frozenset(choice.label for choice in NUMBERS.choices), asks=True).storage(
        search.history, lambda: CmaEsSampler(seed=0)
    )
    assert storage.get_all_trials(0)[-1].system_attrs["cma:generation"] == 2  # of 10 trials each, in 8 dimensions


def test_several_objectives_are_refused_where_the_sampler_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cmaes")
    several = (Objective("value"), Objective("cost", "min"))
    OptunaSampler(NSGAIISampler()).check(NUMBERS, several)
    with pytest.raises(ValueError, match=r"CmaEsSampler cannot search .* for \['value', 'cost'\]: .*multi-objective"):
        OptunaSampler(CmaEsSampler()).check(NUMBERS, several)
    monkeypatch.setattr("autopanoptic.strategies.optuna.state.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install cmaes"):
        OptunaSampler(CmaEsSampler())


def test_missing_optuna_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_optuna, "find_spec", lambda name: None)
    with pytest.raises(
        ImportError, match=re.escape('OptunaSampler needs Optuna. Install it by: pip install "autopanoptic[optuna]"')
    ):
        OptunaSampler(TPESampler())


# What is shown


class WithGenerators(RandomSampler):
    """Has generators of several kinds in several places, and parameters that are no plain values."""

    def __init__(self, scale: float = 1.0, table: Any = None) -> None:
        super().__init__()
        self._several = {"a": [np.random.default_rng()], "b": (np.random.RandomState(),)}
        self.scale, self.table, self.function = scale, table, np.median
        self.myself = self


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (TPESampler, "TPESampler()"),
        (lambda: TPESampler(seed=3), "TPESampler()"),
        (
            lambda: TPESampler(n_startup_trials=4, n_ei_candidates=9),
            "TPESampler(n_startup_trials=4, n_ei_candidates=9)",
        ),
        (lambda: CmaEsSampler(independent_sampler=TPESampler(n_startup_trials=1)), "CmaEsSampler(independent_sampler="),
        (lambda: QMCSampler(scramble=True, seed=5), "QMCSampler(scramble=True, seed=5)"),
        (QMCSampler, "QMCSampler(seed=0)"),
        (WithGenerators, "WithGenerators(myself=...)"),
        (lambda: WithGenerators(2.0, np.eye(2)), "WithGenerators(scale=2.0, table=[[1.0, 0.0], [0.0, 1.0]], myself="),
        (
            lambda: PartialFixedSampler({"op0": "conv"}, TPESampler()),
            "PartialFixedSampler(fixed_params={'op0': 'conv'}, base_sampler=TPESampler(",
        ),
    ],
)
def test_repr_shows_the_class_and_what_differs_from_its_defaults(make: Callable[[], BaseSampler], shown: str) -> None:
    first, second = repr(OptunaSampler(make())), repr(OptunaSampler(make()))
    assert first == second
    assert first.startswith(f"OptunaSampler({shown}")
    assert not re.search("0x[0-9a-f]{6}", first)


def test_generators_of_every_kind_are_seeded() -> None:
    sampler = WithGenerators()
    assert reseed(sampler, np.random.default_rng(0)) == 3
    other = copy.deepcopy(WithGenerators())
    reseed(other, np.random.default_rng(0))
    drawn = [(s._several["a"][0].random(), s._several["b"][0].rand(), s._rng.rng.rand()) for s in (sampler, other)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 3


@pytest.fixture
def verbosity() -> Iterator[int]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.INFO)
    yield optuna.logging.INFO
    optuna.logging.set_verbosity(before)


def test_nothing_is_logged_and_the_verbosity_stays(verbosity: int, capfd: pytest.CaptureFixture[str]) -> None:
    OptunaSampler(GPSampler(n_startup_trials=2)).check(NESTED, (Objective("value"),))
    search = Simulation(OptunaSampler(GPSampler(n_startup_trials=2)), NESTED, 0).run(3)
    strategy = OptunaSampler(NSGAIISampler(population_size=2))
    made = strategy.propose(NESTED, search.history, np.random.default_rng(0))
    assert made not in search.history
    assert optuna.logging.get_verbosity() == verbosity
    assert capfd.readouterr() == ("", "")


def test_a_sampler_that_raises_leaves_the_verbosity(verbosity: int) -> None:
    strategy = OptunaSampler(PartialFixedSampler({"op0": "no option"}, TPESampler()))
    with pytest.raises(ValueError, match=r"PartialFixedSampler cannot search .*no option"):
        strategy.check(FLAT, (Objective("value"),))
    assert optuna.logging.get_verbosity() == verbosity
