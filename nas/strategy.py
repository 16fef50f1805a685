"""What a search strategy is, and what strategies share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from autopanoptic.nas.hyperparameters import ShownHyperparameters
from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.constrained import ENUMERABLE, InfeasibleError
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Objective

Value = TypeVar("Value")

CHILD_ATTEMPTS = 50
BARREN_ATTEMPTS = 10
"""So many of these may find nothing that the constraint accepts, each of which takes a hundred tries."""
SAMPLE_ATTEMPTS = 1000


class Strategy(ShownHyperparameters, ABC):
    """Decides the next architecture; a function of the space and the history.

    The contract:

    - :meth:`propose` depends on its arguments alone: the same space, history and generator state give the same
      architecture. A strategy keeps no random state; a cache is allowed where it can be rebuilt from the history
      (:class:`HistoryMemo` keeps one).
    - It only reads the history, in which the running trials are visible too. It never changes an architecture.
    - Its architectures are canonical, in the space, accepted by the space's constraint, and not in the history.
    - Failed and stopped trials have no objectives: they are never ranked, whatever metrics they have. A model may learn
      from what a stopped one reported. With budgets a trial that is paused below the one that is shown counts as
      stopped, and what was measured of it at each budget as its reports.
    - ``space.costs`` has the functions that give an architecture's costs before it is tried, by the names of the
      metrics, but for those that are ``slow``.
    - Trial n is proposed with ``numpy.random.default_rng([seed, n])``, so that a resumed search goes on exactly as
      the uninterrupted one would have.
    - Its ``repr`` shows its parameters and nothing else, because a journal keeps it to recognise its search. A
      dataclass has such a ``repr``; so has any class whose public attributes are its parameters.

    :func:`autopanoptic.strategies.testing.check_strategy` tests all of this.
    """

    @abstractmethod
    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture | None:
        """Return the architecture of trial ``len(history)``.

        Returns:
            None to wait for running trials, or, while none runs, to end the search.
        """

    def check(self, space: SearchSpace, objectives: Sequence[Objective]) -> None:
        """Refuse a space or objectives that the strategy cannot search; called when a search is made.

        Raises:
            ValueError: says what the strategy cannot do.
        """

    def advise(self, space: SearchSpace, trials: int) -> str | None:
        """Return what a user should know who gives the strategy so many trials in all; None where they suit it.

        :meth:`Search.run` logs it as a warning before it begins. A strategy that learns nothing before trial
        ``trials`` says so here, and how to mend it.
        """
        return None

    def proposes_ahead(self) -> bool:
        """Return whether a proposal does not depend on how the trials end that run while it is made.

        Then :class:`Search` may ask for the next one while workers are busy, and has it ready before it is needed. A
        strategy that says so returns None for as long as running trials matter.
        """
        return False


class BatchStrategy(Strategy):
    """A strategy that proposes several architectures at once for little more than the price of one.

    The contract of :class:`Strategy` holds for both methods. Others are asked for one architecture after another, and
    see those before among the running trials. A search asks for a batch in ``Search.ask(k)``, and in a run without
    ``ordered=True`` where several workers are free at once.
    """

    @abstractmethod
    def propose_batch(
        self, space: SearchSpace, history: History, rngs: Sequence[np.random.Generator]
    ) -> list[Architecture]:
        """Return the architectures of the trials from ``len(history)`` on, each once, at most one for each generator.

        They depend on how many are asked for at a time, and need not be those that :meth:`propose` would return.

        Args:
            space: where to search.
            history: the trials so far, those of this batch not among them.
            rngs: for trial n ``numpy.random.default_rng([seed, n])``, of the next trials in order.

        Returns:
            An empty list where :meth:`propose` shall be asked for the next one instead.
        """


class HistoryMemo(Generic[Value]):
    """Keeps values that a strategy has worked out from a history, and drops them with the history.

    It is a cache, never the truth: every value must follow from the history, so that a resumed search works it out
    again. Searches that share a strategy do not see each other's values, and a copied or pickled strategy starts with
    an empty memo.
    """

    def __init__(self) -> None:
        self._values: WeakKeyDictionary[History, dict[Hashable, Value]] = WeakKeyDictionary()

    def get(self, history: History, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the value kept under a key of a history, made when it is first asked for."""
        known = self._values.setdefault(history, {})
        if key not in known:
            known[key] = make()
        return known[key]

    def __reduce__(self) -> tuple[type[HistoryMemo[Value]], tuple[()]]:
        return type(self), ()


def unseen(
    space: SearchSpace,
    history: History,
    rng: np.random.Generator,
    make: Callable[[], Architecture] | None = None,
) -> Architecture | None:
    """Return an architecture that has no trial yet.

    Tries ``make`` 50 times, but gives it up when 10 of these have found nothing that the constraint accepts; where all
    of its children are known, draws from the whole space; where 1,000 draws (fewer in a smaller space) are known or
    refused, looks through the space if it has at most 100,000 architectures, else through the neighbors of those that
    have a trial, in random order and 100,000 at most.

    Args:
        space: where to draw from.
        history: what is known.
        rng: the source of randomness.
        make: makes a child, or raises InfeasibleError where its parents have none that is accepted, or StopIteration
            where there are no more; None to draw from the space at once.

    Returns:
        None when every architecture has been tried.

    Raises:
        InfeasibleError: when the space's constraint refuses nearly everything, and states the acceptance rate; or when
            nothing new is found in a space that is too large to look through.
    """
    if space.has_at_most(len(history)):
        return None
    child = None if make is None else _unseen_child(make, history)
    # An architecture without choices is an empty mapping.
    return _draw_unseen(space, history, rng) if child is None else child


def _unseen_child(make: Callable[[], Architecture], history: History) -> Architecture | None:
    barren = 0
    for _ in range(CHILD_ATTEMPTS):
        try:
            child = make()
        except InfeasibleError:  # of these parents; others may have children
            barren += 1
            if barren == BARREN_ATTEMPTS:
                return None
        except StopIteration:
            return None
        else:
            if child not in history:
                return child
    return None


def _draw_unseen(space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture | None:
    refusal: InfeasibleError | None = None
    try:
        # To look through a small space costs less than draws.
        for _ in range(space.size if space.has_at_most(SAMPLE_ATTEMPTS) else SAMPLE_ATTEMPTS):
            architecture = space.sample(rng)
            if architecture not in history:
                return architecture
    except InfeasibleError as error:
        refusal = error
    if space.has_at_most(ENUMERABLE):
        return _any_of([architecture for architecture in space if architecture not in history], rng)
    found, looked = _unseen_neighbor(space, history, rng)
    # Single changes lead from each architecture to all others where no constraint stands between them.
    if found is not None or (space.constraint is None and looked < ENUMERABLE):
        return found
    raise refusal or InfeasibleError(
        f"{SAMPLE_ATTEMPTS} draws in a row had been tried before, among {len(history)} trials in a space of "
        f"{space.counted} architectures that is too large to look through, and so had all of {looked} neighbors of "
        f"these. {'Ask' if space.constraint is None else 'Widen the constraint, or ask'} for fewer trials."
    )


def _unseen_neighbor(space: SearchSpace, history: History, rng: np.random.Generator) -> tuple[Architecture | None, int]:
    """Return a neighbor of a trial that has none itself, and how many were looked at."""
    looked = 0
    for index in rng.permutation(len(history)):
        beside = list(space.neighbors(history[int(index)].architecture))
        found = _any_of([architecture for architecture in beside if architecture not in history], rng)
        looked += len(beside)
        if found is not None or looked >= ENUMERABLE:
            return found, looked
    return None, looked


def _any_of(found: Sequence[Architecture], rng: np.random.Generator) -> Architecture | None:
    return found[int(rng.integers(len(found)))] if found else None


def exhausted(space: SearchSpace, history: History) -> bool:
    """Return whether every architecture has a trial; of a space above 100,000 only where it is plain by the number."""
    if space.has_at_most(len(history)):
        return True
    return space.has_at_most(ENUMERABLE) and all(architecture in history for architecture in space)


def too_few_trials(owner: str, trials: int, random: int, mend: str) -> str | None:
    """Return the advice for a strategy whose first trials are random; None where there are more trials than these.

    Args:
        owner: the strategy's name.
        trials: all there shall be.
        random: how many the strategy draws at random before it learns.
        mend: what to do about it.
    """
    if trials > random:
        return None
    return f"{owner} draws its first {random} trials at random, so {trials} trials are random search. {mend}"


def require_count(owner: str, name: str, value: object, low: int = 1) -> None:
    """Refuse a parameter that is not a whole number of at least ``low``.

    Raises:
        ValueError: names the parameter and its value.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise ValueError(f"{owner} needs {name} to be a whole number of at least {low}, not {value!r}.")


def require_probability(owner: str, name: str, value: object) -> None:
    """Refuse a parameter that is not a number from 0 to 1.

    Raises:
        ValueError: names the parameter and its value.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 1:
        raise ValueError(f"{owner} needs {name} to be a number from 0 to 1, not {value!r}.")
