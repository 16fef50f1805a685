"""The checks of the conformance suite, and the spaces that they search."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any, Protocol, TypeAlias

import numpy as np

from autopanoptic.nas.space.architecture import Architecture, Option
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.strategy import BatchStrategy, Strategy
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Constraint, Objective
from autopanoptic.nas.trials.trial import Trial, TrialState
from autopanoptic.strategies.testing.simulation import Outcome, Simulation, completed, propose, replay, require_valid

Make: TypeAlias = Callable[[], Strategy]

BATCH = 4
"""How many architectures are asked for at a time."""


class Check(Protocol):
    """One check of the suite."""

    __name__: str

    def __call__(self, make: Make, *, seed: int = 0, max_trials: int = 60) -> None:
        """Raise AssertionError where the strategies that ``make`` returns break the contract."""


def _sorted(architecture: Architecture) -> dict[str, Option]:
    return dict(zip(architecture, sorted(architecture.values(), key=str), strict=True))


FLAT = SearchSpace(Choice(f"op{i}", ["conv", "pool", "skip"]) for i in range(8))
MIXED = SearchSpace(
    [Choice("width", [16, 24.5, 32]), Choice("se", [False, True]), Choice("one", ["only"]), *FLAT.choices]
)
NESTED = SearchSpace(
    [
        Choice("depth", [1, 2, 3]),
        Choice("op1", ["conv", "attention"]),
        Choice("kernel1", [3, 5, 7], ("op1", "conv")),
        Choice("heads1", [1, 2, 4], ("op1", "attention")),
        Choice("op2", ["conv", "attention"], ("depth", (2, 3))),
        Choice("kernel2", [3, 5], ("op2", "conv")),
        Choice("dilation", [1, 2], [("kernel1", 7), ("kernel2", 5)]),
        Choice("op3", ["conv", "pool"], ("depth", 3)),
    ]
)
SMALL = SearchSpace([Choice("a", [1, 2, 3]), Choice("b", ["x", "y"]), Choice("c", [True, False])])
SMALL_NESTED = SearchSpace(
    [Choice("a", [1, 2, 3]), Choice("b", ["x", "y"], ("a", (2, 3))), Choice("c", [0, 1], ("b", "y"))]
)
SYMMETRIC = SearchSpace([Choice(f"op{i}", ["conv", "pool", "skip"]) for i in range(4)], canonical=_sorted)
SINGLE = SearchSpace([Choice("a", ["only"])])


def _few_pools(architecture: Architecture) -> bool:
    return sum(option == "pool" for option in architecture.values()) <= 1


def _no_wide_kernel(architecture: Architecture) -> bool:
    return architecture.get("kernel1") != 7 and architecture["depth"] != 1


def _first_of_a(architecture: Architecture) -> bool:
    return architecture["a"] == 1 or architecture.get("b") == "y"


CONSTRAINED = (
    FLAT.where(_few_pools, "pools <= 1"),
    NESTED.where(_no_wide_kernel, "no kernel of 7, depth > 1"),
    SMALL.where(_first_of_a, "a = 1 or b = y"),
)


def check_strategy(
    make: Make, *, seeds: Iterable[int] = (0, 1), max_trials: int = 60, skip: Collection[Check] = ()
) -> None:
    """Run every check with every seed.

    Args:
        make: returns a new strategy, always with the same parameters.
        seeds: seeds of the searches.
        max_trials: the most trials of a search.
        skip: checks of what the strategy does not promise: :func:`check_seeds_differ` for one that uses no randomness,
            :func:`check_covers_space` for one that ends by itself.

    Raises:
        AssertionError: names the rule that was broken, and how.
    """
    for check in CHECKS:
        if check not in skip:
            for seed in seeds:
                check(make, seed=seed, max_trials=max_trials)


def check_proposals(make: Make, *, seed: int = 0, max_trials: int = 60) -> None:
    """Proposals are architectures of the space that have not been tried; a search proposes at least one."""
    for space in (FLAT, MIXED):
        if not Simulation(make(), space, seed).run(max_trials).history:
            raise AssertionError(f"A strategy must propose something: {make()!r} ended at once in {space!r}.")


def check_determinism(make: Make, *, seed: int = 0, max_trials: int = 60) -> None:
    """Two strategies with the same parameters propose the same, and say so in their ``repr``."""
    first, second = repr(make()), repr(make())
    if first != second or re.search(r" at 0x[0-9a-f]+", first):
        raise AssertionError(f"repr must show the parameters and nothing else, but gave {first} and {second}.")
    one, two = (Simulation(make(), FLAT, seed, workers=2).run(max_trials) for _ in range(2))
    _require_same(one, two, "The same seed must give the same search")


def check_seeds_differ(make: Make, *, seed: int = 0, max_trials: int = 60) -> None:
    """Another seed gives another search."""
    first, *others = (Simulation(make(), FLAT, seed + n).run(max_trials).architectures for n in range(4))
    if all(other == first for other in others):
        raise AssertionError(
            f"Other seeds must give other searches, but seeds {seed} to {seed + 3} gave {first[:3]}... each time: take "
            "all randomness from rng."
        )


def check_resume(make: Make, *, seed: int = 0, max_trials: int = 60) -> None:
    """A new strategy goes on from any point of a recorded history as the one that made it did."""
    for space, workers in ((FLAT, 1), (FLAT, 3), (NESTED, 2)):
        recorded = Simulation(make(), space, seed, workers=workers).run(max_trials)
        for events, expected in recorded.calls:
            history = replay(recorded.objectives, recorded.events[:events])
            strategy = make()
            for attempt in ("after a resume", "when asked again"):
                found = propose(strategy, space, history, seed)
                if found != expected:
                    raise AssertionError(
                        f"A strategy must be a function of the history: trial {len(history)} was {expected!r}, but "
                        f"{attempt} it is {found!r}, with {len(history.running)} trials running."
                    )


def check_running_trials(make: Make, *, seed: int = 0, max_trials: int = 60) -> None:
    """Trials that run are not proposed again, however many there are and in whatever order they end."""
    for space in (SMALL, FLAT, NESTED):
        for workers in (3, max_trials):
            Simulation(make(), space, seed, workers=workers).run(max_trials)


def check_ends(make: Make, *, seed: int = 0, max_trials: int = 60) -> None:
    """A search of a small space ends, also one of a single architecture, and stays ended."""
    for space in (SINGLE, SMALL, SMALL_NESTED):
        for workers in (1, 3):
            search = Simulation(make(), space, seed, workers=workers).run(space.size + 1)
            again = propose(search.strategy, space, search.history, seed)
            if not search.ended or again is not None:
                raise AssertionError(f"A search must end with None, but {make()!r} did not in {space!r}: {again!r}.")
            if not search.history:
                raise AssertionError(f"A strategy must propose something: {make()!r} ended at once in {space!r}.")


def check_covers_space(make: Make, *, seed: int = 0, max_trials: int = 60) -> None:
    """A search goes on until every architecture that the space accepts has been tried."""
    for space in (SINGLE, SMALL, SMALL_NESTED, CONSTRAINED[-1]):
        for workers in (1, 3):
            search = Simulation(make(), space, seed, workers=workers).run(space.size + 1)
            left = [architecture for architecture in space if architecture not in search.history]
            if left:
                raise AssertionError(
                    f"A search must go on while there is something to try: {make()!r} ended in {space!r} with "
                    f"{len(left)} architectures left, such as {left[0]!r}."
                )


def check_failed_trials(make: Make, *, seed: int = 0, max_trials: int = 60) -> None:
    """Failed and stopped trials do no harm, and what metrics they have is not regarded."""
    for share in (1, 3):
        outcomes = [partial(_mostly_failed, share, metrics) for metrics in ({}, _NOT_NUMBERS, _TEMPTING)]
        searches = [Simulation(make(), FLAT, seed, outcome=outcome).run(max_trials) for outcome in outcomes]
        for other in searches[1:]:
            _require_same(searches[0], other, "The metrics of failed and stopped trials must not be regarded")


_NOT_NUMBERS = {"value": float("nan"), "cost": float("nan")}
_TEMPTING = {"value": 1e9, "cost": -1e9}


def _mostly_failed(share: int, metrics: dict[str, float], trial: Trial) -> Outcome:
    """Complete every trial of ``share`` but the first; with a share of 1 fail or stop all of them."""
    if trial.id % share:
        return completed(trial)
    return (TrialState.FAILED if trial.id % 2 else TrialState.STOPPED), metrics


def check_nested_spaces(make: Make, *, seed: int = 0, max_trials: int = 60) -> None:
    """Architectures of a space with conditional choices have their active choices and no others."""
    for space in (NESTED, SMALL_NESTED):
        Simulation(make(), space, seed).run(max_trials)


def check_constrained_spaces(make: Make, *, seed: int = 0, max_trials: int = 60) -> None:
    """Architectures satisfy the space's constraint."""
    for space in CONSTRAINED:
        for workers in (1, 3):
            Simulation(make(), space, seed, workers=workers).run(max_trials)


def check_symmetries(make: Make, *, seed: int = 0, max_trials: int = 60) -> None:
    """Of architectures that are one network only the representative is proposed."""
    for workers in (1, 3):
        Simulation(make(), SYMMETRIC, seed, workers=workers).run(max_trials)


def check_measured_constraints(make: Make, *, seed: int = 0, max_trials: int = 60) -> None:
    """Trials that turn out to break a constraint do no harm, also when all of them do."""
    for bound in (4.0, -1.0):
        limit = [Constraint("cost", None, bound)]
        one, two = (Simulation(make(), NESTED, seed, workers=2, constraints=limit).run(max_trials) for _ in range(2))
        _require_same(one, two, "The same seed must give the same search under a constraint on a metric")


def check_read_only(make: Make, *, seed: int = 0, max_trials: int = 60) -> None:
    """``propose`` changes neither the space nor the history nor anything in it."""
    for space in (FLAT, NESTED):
        search = Simulation(make(), space, seed, workers=3)
        while not search.ended and len(search.history) < max_trials:
            before = _picture(space, search.history)
            proposed = propose(search.strategy, space, search.history, seed)
            if _picture(space, search.history) != before:
                raise AssertionError(
                    f"propose must only read, but trial {len(search.history)}'s changed its arguments."
                )
            if proposed is not None:
                require_valid(proposed, space, search.history)
            search.step(max_trials)


def _picture(space: SearchSpace, history: History) -> list[Any]:
    trials = [(trial.id, trial.state, dict(trial.architecture), dict(trial.metrics)) for trial in history]
    order = [[trial.id for trial in part] for part in (history.running, history.finished, history.completed)]
    return [space.to_json(), history.objectives, trials, order]


def check_shared_state(make: Make, *, seed: int = 0, max_trials: int = 60) -> None:
    """One strategy serves several searches in turns as if each had its own."""
    games: list[Callable[[Strategy], Simulation]] = [
        lambda strategy: Simulation(strategy, FLAT, seed),
        lambda strategy: Simulation(strategy, FLAT, seed, outcome=_negated),
        lambda strategy: Simulation(strategy, FLAT, seed + 1),
        lambda strategy: Simulation(strategy, NESTED, seed, workers=2),
    ]
    shared = make()
    together = [game(shared) for game in games]
    for _ in range(2 * max_trials):
        for search in together:
            if not search.ended and (len(search.history) < max_trials or search.history.running):
                search.step(max_trials)
    for search, game in zip(together, games, strict=True):
        _require_same(game(make()).run(max_trials), search, "Searches that share a strategy must not affect each other")


def check_proposes_ahead(make: Make, *, seed: int = 0, max_trials: int = 60) -> None:
    """Who says that a proposal does not depend on running trials makes the same one before and after they end."""
    if not make().proposes_ahead():
        return
    for space, workers in ((FLAT, 3), (SMALL, 2), (NESTED, 8)):
        recorded = Simulation(make(), space, seed, workers=workers).run(max_trials)
        begun = 0  # events until the last trial that was asked for
        for events, expected in recorded.calls:
            for early in range(begun, events):
                history = replay(recorded.objectives, recorded.events[:early])
                found = propose(make(), space, history, seed)
                if found not in (None, expected):
                    raise AssertionError(
                        f"{make()!r} says that it proposes ahead, but trial {len(history)} was {found!r} while "
                        f"{len(history.running)} trials were running and {expected!r} later."
                    )
            begun = begun if expected is None else events + 1


def _negated(trial: Trial) -> Outcome:
    state, metrics = completed(trial)
    return state, {name: -value for name, value in metrics.items()}


def check_objectives(make: Make, *, seed: int = 0, max_trials: int = 60) -> None:
    """The direction of an objective is regarded; several objectives work, or ``check`` refuses them by ValueError."""
    most = Simulation(make(), FLAT, seed).run(max_trials)
    least = Simulation(make(), FLAT, seed, objectives=[Objective("value", "min")], outcome=_negated).run(max_trials)
    _require_same(most, least, "To minimise a metric must be the same as to maximise its negative")
    several = (Objective("value"), Objective("cost", "min"))
    if _accepts(make(), several):
        Simulation(make(), NESTED, seed, objectives=several, workers=2).run(max_trials)


def check_batches(make: Make, *, seed: int = 0, max_trials: int = 60) -> None:
    """A :class:`BatchStrategy` proposes valid architectures, each once, and the same when it is asked again."""
    if not isinstance(make(), BatchStrategy):
        return
    for space in (FLAT, NESTED, SMALL, *CONSTRAINED[:2]):
        recorded = Simulation(make(), space, seed, workers=3).run(max_trials)
        for events, _ in recorded.calls[:: max(1, len(recorded.calls) // 4)]:
            history = replay(recorded.objectives, recorded.events[:events])
            batch, again = (_batch(make(), space, history, seed) for _ in range(2))
            if batch != again:
                raise AssertionError(f"A batch must be a function of the history, but {batch!r} became {again!r}.")
            if len(batch) > BATCH or len(set(batch)) < len(batch):
                raise AssertionError(f"A batch of {BATCH} must have at most so many, each once: {batch!r}.")
            for proposed in batch:
                require_valid(proposed, space, history)


def _batch(strategy: Strategy, space: SearchSpace, history: History, seed: int) -> list[Architecture]:
    assert isinstance(strategy, BatchStrategy)
    numbers = range(len(history), len(history) + BATCH)
    return strategy.propose_batch(space, history, [np.random.default_rng([seed, number]) for number in numbers])


def _accepts(strategy: Strategy, objectives: Sequence[Objective]) -> bool:
    try:
        strategy.check(NESTED, objectives)
    except ValueError as error:
        if not str(error):
            raise AssertionError(f"check must say what {strategy!r} cannot do; its ValueError is empty.") from error
        return False
    except Exception as error:
        raise AssertionError(f"check must refuse by ValueError, but {strategy!r} raised {error!r}.") from error
    return True


def _require_same(expected: Simulation, found: Simulation, rule: str) -> None:
    for number, ((_, wanted), (_, got)) in enumerate(zip(expected.calls, found.calls, strict=False)):
        if wanted != got:
            raise AssertionError(f"{rule}, but call {number} of propose gave {got!r} in place of {wanted!r}.")
    if len(expected.calls) != len(found.calls):
        raise AssertionError(f"{rule}, but one took {len(expected.calls)} calls of propose, one {len(found.calls)}.")


CHECKS: tuple[Check, ...] = (
    check_proposals,
    check_determinism,
    check_seeds_differ,
    check_resume,
    check_running_trials,
    check_ends,
    check_covers_space,
    check_failed_trials,
    check_nested_spaces,
    check_constrained_spaces,
    check_symmetries,
    check_measured_constraints,
    check_read_only,
    check_shared_state,
    check_proposes_ahead,
    check_objectives,
    check_batches,
)
