"""The costs of architectures, each worked out once, and the constraints on them."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from numbers import Real
from typing import Any, TypeAlias

from autopanoptic.nas.costs.remembered import Remembered
from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.space import Cost, SearchSpace
from autopanoptic.nas.trials.objective import Constraint

Constraints: TypeAlias = Mapping[str, tuple[float | None, float | None]] | Sequence[Constraint]
LOGGED = 20

logger = logging.getLogger(__name__)


class CostTable:
    """Functions of an architecture that are cheap beside its evaluation, and bounds on them.

    Their values are remembered, because strategies ask for an architecture's costs again and again; see
    :class:`~autopanoptic.nas.costs.remembered.Remembered`.

    An architecture whose bounded cost cannot be worked out, because the function raises an exception or gives NaN or
    what is no number, is refused like one that breaks the bound. Infinity breaks a bound like any large number. A
    warning names each of the first 20 architectures that are refused because a cost could not be worked out.

    Args:
        costs: the functions by name.
        constraints: (low, high) by name, or objects. Those on a cost are checked before an evaluation, those on any
            other metric after it.

    Raises:
        ValueError: for a cost that cannot be called, or constraints of another form.
    """

    def __init__(self, costs: Mapping[str, Cost], constraints: Constraints) -> None:
        for name, cost in costs.items():
            if not callable(cost):
                raise ValueError(f"Cost {name!r} must be a function of an architecture, not {cost!r}.")
        self._costs = dict(costs)
        self.constraints = constraints_of(constraints)
        self._known_before = tuple(constraint for constraint in self.constraints if constraint.name in costs)
        self._remembered = Remembered()
        self._problems = 0
        self._refused: dict[str, tuple[float, float]] = {}
        self._last_problem = ""

    def of(self, architecture: Architecture) -> dict[str, float]:
        """Return all costs of an architecture.

        Raises:
            ValueError: when one cannot be worked out, or is not a finite number; names it and the architecture.
        """
        return {name: self._finite(name, architecture) for name in self._costs}

    def _finite(self, name: str, architecture: Architecture) -> float:
        known = self._remembered.of(architecture).get(name)
        try:
            value = known if isinstance(known, float) else self._work_out(name, architecture)
        except Exception as error:
            raise ValueError(_problem(name, architecture, error)) from error
        if not math.isfinite(value):
            raise ValueError(f"Cost {name!r} of architecture {architecture.id} is {value}; it must be a finite number.")
        return value

    def _work_out(self, name: str, architecture: Architecture) -> float:
        value = _as_float(self._costs[name](architecture))
        self._remembered.of(architecture)[name] = value
        return value

    def allows(self, architecture: Architecture) -> bool:
        """Return whether an architecture keeps all constraints on costs."""
        return self.refusal(architecture) is None

    def refusal(self, architecture: Architecture) -> str | None:
        """Return which constraint on a cost an architecture breaks, and why; None where it keeps them all."""
        return next(filter(None, (self._broken(bounds, architecture) for bounds in self._known_before)), None)

    def _broken(self, bounds: Constraint, architecture: Architecture) -> str | None:
        outcome = self._outcome(bounds.name, architecture)
        if isinstance(outcome, str):
            return outcome
        if bounds.allows(outcome) and math.isfinite(outcome):
            return None
        if math.isfinite(outcome):
            self._remember_refused(bounds.name, outcome)
        why = "is not finite" if bounds.allows(outcome) else f"breaks {bounds}"
        return f"its cost {bounds.name!r} is {outcome:g}, which {why}"

    def _remember_refused(self, name: str, value: float) -> None:
        low, high = self._refused.get(name, (value, value))
        self._refused[name] = (min(low, value), max(high, value))

    def _outcome(self, name: str, architecture: Architecture) -> float | str:
        """Return a bounded cost, or the problem with it, which is remembered and logged."""
        outcome = self._remembered.of(architecture).get(name)
        if outcome is None:
            try:
                outcome = self._work_out(name, architecture)
            except Exception as error:
                outcome = _problem(name, architecture, error)
        if isinstance(outcome, float) and math.isnan(outcome):
            outcome = f"cost {name!r} of architecture {architecture.id} is nan"
        known = self._remembered.of(architecture)
        if isinstance(outcome, str) and known.get(name) != outcome:
            known[name] = outcome
            self._note(outcome)
        return outcome

    def _known(self, name: str, architecture: Architecture) -> float:
        """Return a cost for a strategy's candidate; one that cannot be worked out is not tried again.

        Raises:
            ValueError: where it cannot, or is not a finite number.
        """
        outcome = self._outcome(name, architecture)
        if isinstance(outcome, str):
            raise ValueError(outcome)
        if not math.isfinite(outcome):
            raise ValueError(f"Cost {name!r} of architecture {architecture.id} is {outcome}.")
        return outcome

    def _note(self, problem: str) -> None:
        self._problems += 1
        self._last_problem = problem
        if self._problems <= LOGGED:
            logger.warning("An architecture is refused: %s.", problem)
        if self._problems == LOGGED:
            logger.warning("Further architectures that are refused for such a reason are not logged.")

    def explain(self) -> str:
        """Return what is to be known of the refusals besides the bounds: the values refused, and costs without one."""
        told = [
            f"Those refused have {name} from {low:.4g} to {high:.4g}." for name, (low, high) in self._refused.items()
        ]
        if self._problems:
            told.append(
                f"{self._problems} were refused because a cost could not be worked out, at last: {self._last_problem}."
            )
        return " ".join(told)

    def constrained(self, space: SearchSpace) -> SearchSpace:
        """Return the part of a space that keeps the constraints on costs, with those costs that strategies may ask for.

        These are all but the functions whose attribute ``slow`` is true, such as :class:`~autopanoptic.nas.Latency` and
        :class:`~autopanoptic.nas.FlopCount`: a strategy may ask for the costs of thousands of candidates a trial.
        """
        known = {name: cost for name, cost in space.costs.items() if name not in self._costs}
        known |= {name: partial(self._known, name) for name, cost in self._costs.items() if not is_slow(cost)}
        if known:
            space = space.priced(known)
        if not self._known_before:
            return space
        return space.where(self.allows, " and ".join(map(str, self._known_before)), self.explain)

    def to_json(self) -> dict[str, list[float | None]]:
        """Return the constraints as a JSON object of [low, high]; None where there is no bound."""
        return {c.name: [None if abs(b) == float("inf") else b for b in c.bounds] for c in self.constraints}


def is_slow(cost: Cost) -> bool:
    """Return whether a cost takes too long to be asked for thousands of architectures: its attribute ``slow``."""
    return bool(getattr(cost, "slow", False))


def _problem(name: str, architecture: Architecture, error: Exception) -> str:
    return (
        f"cost {name!r} of architecture {architecture.id} could not be worked out: {type(error).__name__}: "
        f"{str(error).rstrip('.')}"
    )


def _as_float(value: Any) -> float:
    number = value.item() if hasattr(value, "item") else value  # numpy and torch scalars
    if not isinstance(number, Real):
        raise TypeError(f"it returned {value!r}, which is not a number")
    try:
        return float(number)
    except OverflowError:
        return math.copysign(math.inf, number)


def constraints_of(values: Constraints) -> tuple[Constraint, ...]:
    """Return the constraints that a user gave in any of the accepted forms.

    Raises:
        ValueError: names what is no pair of bounds.
    """
    if isinstance(values, Mapping):
        return tuple(_constraint(name, bounds) for name, bounds in values.items())
    found = tuple(values) if isinstance(values, Sequence) and not isinstance(values, str) else (values,)
    if not all(isinstance(constraint, Constraint) for constraint in found):
        raise ValueError(f'Constraints are given as {{"gflops": (None, 4)}} or as Constraint objects, not {values!r}.')
    for name, count in Counter(constraint.name for constraint in found).items():
        if count > 1:
            raise ValueError(f"There are {count} constraints on {name!r}; give both bounds in one.")
    return found


def _constraint(name: str, bounds: Any) -> Constraint:
    if not isinstance(bounds, (tuple, list)) or len(bounds) != 2:
        raise ValueError(
            f"The constraint on {name!r} must be a pair (low, high) of which either may be None, such as "
            f"{{{name!r}: (None, 12)}}, not {bounds!r}."
        )
    return Constraint(name, *bounds)
