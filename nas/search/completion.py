"""What an evaluation's metrics become before they are written down."""

from __future__ import annotations

import traceback
from collections.abc import Sequence

from autopanoptic.nas.costs.table import CostTable
from autopanoptic.nas.evaluation.evaluator import Metrics
from autopanoptic.nas.evaluation.metrics import check_complete, checked
from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.trials.objective import Objective


class Completion:
    """Adds an architecture's costs to its metrics, and sees that nothing is missing.

    Args:
        costs: the costs, and the constraints on all metrics.
        objectives: what the metrics must hold as well.
    """

    def __init__(self, costs: CostTable, objectives: Sequence[Objective]) -> None:
        self._costs, self._objectives = costs, objectives

    def cost_problem(self, architecture: Architecture) -> str | None:
        """Return why a cost of an architecture cannot be worked out; None where all can."""
        try:
            self._costs_of(architecture)
        except ValueError as problem:
            return str(problem)
        return None

    def metrics(self, architecture: Architecture, metrics: Metrics) -> dict[str, float]:
        """Return the costs and the metrics, which take the place of costs with the same name, as plain floats.

        Raises:
            MissingObjectiveError: when an objective or a constrained metric is missing.
            ValueError: when a metric is no finite number, or a cost cannot be worked out.
        """
        found = {**self._costs_of(architecture), **checked(metrics)}
        check_complete(found, self._objectives, self._costs.constraints)
        return found

    def _costs_of(self, architecture: Architecture) -> dict[str, float]:
        try:
            return self._costs.of(architecture)
        except Exception as problem:
            raise ValueError(f"A cost could not be worked out.\n{traceback.format_exc()}") from problem
