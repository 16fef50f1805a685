"""Hyperband: brackets of successive halving, from many trials with small budgets to a few with the largest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, pairwise
from typing import NamedTuple

from autopanoptic.nas.budgets.asha import require_spread
from autopanoptic.nas.budgets.schedule import Promotion, Schedule, point_of
from autopanoptic.nas.budgets.standings import ranked
from autopanoptic.nas.strategy import HistoryMemo, require_count
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import Trial, TrialState


class Bracket(NamedTuple):
    """One run of successive halving.

    Attributes:
        sizes: how many trials are evaluated at each rung.
        budgets: with how much, in ascending order; the last is the largest.
    """

    sizes: tuple[int, ...]
    budgets: tuple[int, ...]


@dataclass(frozen=True)
class Hyperband(Schedule):
    """Runs successive halving with one trade-off after another between many trials and long evaluations.

    Li et al. 2018, "Hyperband: a novel bandit-based approach to hyperparameter optimization" (JMLR 18), algorithm 1:
    bracket s, from ``floor(log(R / r) / log(eta))`` down to 0, begins with ``ceil((s_max + 1) * eta**s / (s + 1))``
    trials and a budget of ``R / eta**s``, rounded to a whole number; of the trials at a rung the best ``1 / eta`` go
    on, when the last of them has been measured. After the last bracket the first comes again. Trials belong to the
    brackets in the order of their numbers.

    While a rung waits for its last trial, free workers begin the next bracket. With several objectives the trials at a
    rung are ranked as by :class:`ASHA`. What fails or is stopped does not go on, and nothing takes its place.

    Args:
        max_budget: with which a trial is completed (R in the paper).
        min_budget: the least with which one begins (1 in the paper).
        reduction: the reduction factor (eta in the paper).
        spread: which trials of one front go before others: ``"epsilon-net"`` or ``"crowding"``.
        enough: a strategy learns from the largest budget at which at least so many trials have been measured; by
            default one more than the space has choices.

    Raises:
        ValueError: for parameters that make no sense.
    """

    max_budget: int
    min_budget: int = 1
    reduction: int = 3
    spread: str = "epsilon-net"
    enough: int | None = None
    _closed: HistoryMemo[list[int]] = field(default_factory=HistoryMemo, init=False, repr=False, compare=False)
    _given_up: HistoryMemo[dict[int, list[int]]] = field(
        default_factory=HistoryMemo, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        self._make_plain()
        require_count("Hyperband", "max_budget", self.max_budget)
        require_count("Hyperband", "min_budget", self.min_budget)
        require_count("Hyperband", "reduction", self.reduction, low=2)
        require_spread("Hyperband", self.spread)
        if self.enough is not None:
            require_count("Hyperband", "enough", self.enough)
        if self.min_budget * self.reduction > self.max_budget:
            raise ValueError(
                f"Hyperband has nothing to promote: min_budget={self.min_budget} times reduction={self.reduction} is "
                f"above max_budget={self.max_budget}. Give a smaller min_budget, or budget={self.max_budget}."
            )

    @property
    def brackets(self) -> tuple[Bracket, ...]:
        """The brackets of one round."""
        most, eta = 0, self.reduction
        while self.min_budget * eta ** (most + 1) <= self.max_budget:
            most += 1
        return tuple(self._bracket(s, most) for s in range(most, -1, -1))

    def _bracket(self, s: int, most: int) -> Bracket:
        eta = self.reduction
        begun = -(-(most + 1) * eta**s // (s + 1))
        sizes = tuple(begun // eta**i for i in range(s + 1))
        return Bracket(sizes, tuple((2 * self.max_budget + eta**i) // (2 * eta**i) for i in range(s, -1, -1)))

    @property
    def trials(self) -> int:
        """How many trials one round of all brackets has."""
        return sum(bracket.sizes[0] for bracket in self.brackets)

    @property
    def largest(self) -> int:
        """``max_budget``."""
        return self.max_budget

    def first(self, number: int) -> int:
        """Return the lowest rung of the trial's bracket."""
        left = number % self.trials
        for bracket in self.brackets:
            if left < bracket.sizes[0]:
                break
            left -= bracket.sizes[0]
        return bracket.budgets[0]

    def advise(self, trials: int) -> str | None:
        """Warn where the last bracket would not be full, so that none of its trials goes on."""
        before, after, whole = 0, 0, trials // self.trials * self.trials
        for bracket in self.brackets:
            before, after = after, after + bracket.sizes[0]
            if before < trials - whole < after:
                full = " or ".join(str(whole + count) for count in (before, after) if whole + count)
                return (
                    f"Hyperband's last bracket would have {trials - whole - before} of its {bracket.sizes[0]} trials, "
                    f"of which none goes on: take {full} trials."
                )
        return None

    def promotion(self, history: History, *, last: bool = False) -> Promotion | None:
        """Return the best trial of the first bracket in which one is to go on."""
        closed = self._closed.get(history, "closed", lambda: [0])
        brackets, begin = self.brackets, 0
        for number in range(len(history)):
            if begin >= len(history):
                break
            bracket = brackets[number % len(brackets)]
            members, begin = history[begin : begin + bracket.sizes[0]], begin + bracket.sizes[0]
            full = begin <= len(history)
            if number < closed[0] or not (full or last):
                continue
            found = self._of_bracket(history, bracket, members)
            if found is not None:
                return found
            if full and number == closed[0] and not any(trial.state is TrialState.RUNNING for trial in members):
                closed[0] += 1
        return None

    def given_up(self, history: History) -> list[int]:
        """Return the paused trials that were not among the best of a rung whose last trial has been measured."""
        known = self._given_up.get(history, "brackets", dict)
        found: list[int] = []
        for number, (bracket, members) in enumerate(self._full_brackets(history)):
            lost = known[number] if number in known else self._lost(history, bracket, members)
            if not any(_may_go_on(trial, lost) for trial in members):
                known[number] = lost
            found += lost
        return found

    def _full_brackets(self, history: History) -> Iterator[tuple[Bracket, Sequence[Trial]]]:
        """Yield the brackets that have all their trials, with these."""
        begin = 0
        for bracket in cycle(self.brackets):
            members, begin = history[begin : begin + bracket.sizes[0]], begin + bracket.sizes[0]
            if begin > len(history):
                return
            yield bracket, members

    def _lost(self, history: History, bracket: Bracket, members: Sequence[Trial]) -> list[int]:
        found = []
        for rung, _, best in self._closed_rungs(history, bracket, members):
            found += [t.id for t in members if _paused_at(t, rung) and t.id not in best]
            if any(_paused_at(history[trial_id], rung) for trial_id in best):
                break  # the next rung waits for them
        return found

    def _of_bracket(self, history: History, bracket: Bracket, members: Sequence[Trial]) -> Promotion | None:
        """Return which trial of a bracket goes on, to which no trials come any more."""
        for rung, following, best in self._closed_rungs(history, bracket, members):
            for trial_id in best:
                if _paused_at(history[trial_id], rung):
                    return Promotion(trial_id, following)
        return None

    def _closed_rungs(
        self, history: History, bracket: Bracket, members: Sequence[Trial]
    ) -> Iterator[tuple[int, int, list[int]]]:
        """Yield the budget of each rung whose last trial has been measured, the one behind it, and who goes on."""
        for number, (rung, following) in enumerate(pairwise(bracket.budgets), 1):
            if any(trial.state is TrialState.RUNNING and _end(trial) <= rung for trial in members):
                return
            # Only the last bracket of all may have fewer than its share, where the strategy has come to an end.
            size = max(1, len(members) // self.reduction**number)
            points = {t.id: point_of(history, result) for t in members for result in t.rungs if result.budget == rung}
            yield rung, following, ranked(points, size, self.spread)


def _paused_at(trial: Trial, rung: int) -> bool:
    return trial.state is TrialState.PAUSED and trial.reached == rung


def _may_go_on(trial: Trial, lost: Sequence[int]) -> bool:
    return trial.state in (TrialState.RUNNING, TrialState.PAUSED) and trial.id not in lost


def _end(trial: Trial) -> int:
    return 0 if trial.budget is None else trial.budget.end
