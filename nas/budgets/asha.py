"""Asynchronous successive halving (ASHA): trials are paused at rungs, and the best of a rung are promoted."""

from __future__ import annotations

from dataclasses import dataclass, field

from autopanoptic.nas.budgets.schedule import Promotion, Schedule
from autopanoptic.nas.budgets.standings import Standings
from autopanoptic.nas.stopping.rungs import SPREADS
from autopanoptic.nas.strategy import HistoryMemo, require_count
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import TrialState


@dataclass(frozen=True)
class ASHA(Schedule):
    """At each rung the best ``1 / reduction`` of the trials that have come to it go on to the next.

    Li et al. 2020, "A system for massively parallel hyperparameter tuning", algorithm 2. Whenever there is room for an
    evaluation, the highest rung is looked for at which a trial is among the best ``floor(n / reduction)`` of the n
    measured there, and has not been promoted: the best of these goes on. Where there is none at any rung, a new trial
    begins at the lowest. Nothing is waited for, so a rung never empties the workers; a trial that was paused long ago
    goes on when others make the rung larger.

    With several objectives the trials at a rung are ranked as in MO-ASHA (Schmucker et al. 2021, "Multi-objective
    asynchronous successive halving"): by non-dominated sorting, and within a front by an epsilon-net or by crowding
    distance. What breaks a constraint comes last. Trials that have failed or were stopped at a rung are not of it.

    The rungs are ``min_budget * reduction**k`` as long as these are below ``max_budget``, and ``max_budget`` itself.
    Where that is no such number the last step is shorter than the others; the paper leaves that rung out.

    Args:
        max_budget: with which a trial is completed (R in the paper).
        min_budget: with which a trial begins (r in the paper, with ``early_stopping_rate=0``).
        reduction: the reduction factor (eta in the paper).
        early_stopping_rate: how many of the first rungs are left out (s in the paper).
        spread: which trials of one front go before others: ``"epsilon-net"`` or ``"crowding"``.
        enough: a strategy learns from the largest budget at which at least so many trials have been measured; by
            default one more than the space has choices.

    Raises:
        ValueError: for parameters that make no sense, or where there is no rung below ``max_budget``.
    """

    max_budget: int
    min_budget: int = 1
    reduction: int = 3
    early_stopping_rate: int = 0
    spread: str = "epsilon-net"
    enough: int | None = None
    _standings: HistoryMemo[Standings] = field(default_factory=HistoryMemo, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._make_plain()
        require_count("ASHA", "max_budget", self.max_budget)
        require_count("ASHA", "min_budget", self.min_budget)
        require_count("ASHA", "reduction", self.reduction, low=2)
        require_count("ASHA", "early_stopping_rate", self.early_stopping_rate, low=0)
        require_spread("ASHA", self.spread)
        if self.enough is not None:
            require_count("ASHA", "enough", self.enough)
        first = self.min_budget * self.reduction**self.early_stopping_rate
        if first >= self.max_budget:
            raise ValueError(
                f"ASHA has nothing to promote: its first rung, a budget of {first}, is not below max_budget="
                f"{self.max_budget}. Give a smaller min_budget or early_stopping_rate, or budget={self.max_budget}."
            )

    @property
    def rungs(self) -> tuple[int, ...]:
        """The budgets at which trials are compared, and the largest."""
        found = [self.min_budget * self.reduction**self.early_stopping_rate]
        while found[-1] * self.reduction < self.max_budget:
            found.append(found[-1] * self.reduction)
        return (*found, self.max_budget)

    @property
    def largest(self) -> int:
        """``max_budget``."""
        return self.max_budget

    def first(self, number: int) -> int:
        """Return the lowest rung."""
        return self.rungs[0]

    def promotion(self, history: History, *, last: bool = False) -> Promotion | None:
        """Return the best trial of the highest rung at which one is to go on."""
        standings = self._standings.get(history, "standings", lambda: Standings(self.spread))
        standings.read(history)
        rungs = self.rungs
        for rung, following in zip(rungs[-2::-1], rungs[:0:-1], strict=True):
            for trial_id in standings.best(rung, standings.count(rung) // self.reduction):
                trial = history[trial_id]
                if trial.state is TrialState.PAUSED and trial.reached == rung:
                    return Promotion(trial_id, following)
        return None


def require_spread(owner: str, spread: str) -> None:
    """Refuse a name that orders no front.

    Raises:
        ValueError: names it.
    """
    if spread not in SPREADS:
        raise ValueError(f"{owner} needs spread to be {' or '.join(map(repr, SPREADS))}, not {spread!r}.")
