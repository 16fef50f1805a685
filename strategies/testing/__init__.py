"""A conformance suite for search strategies: it tests the contract that :class:`Strategy` states.

All at once, or check by check in pytest::

    check_strategy(MyStrategy)

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_my_strategy(check):
        check(MyStrategy)

Every check takes a function that makes the strategy, a seed and the most trials of a search, and raises
AssertionError with the rule that was broken and how. Give the strategy such parameters that it leaves its start-up
phase within ``max_trials``: an evolution with a population of 8, say. The checks do not need pytest.
"""

from __future__ import annotations

from autopanoptic.strategies.testing.conformance import (
    CHECKS,
    CONSTRAINED,
    FLAT,
    MIXED,
    NESTED,
    SINGLE,
    SMALL,
    SMALL_NESTED,
    SYMMETRIC,
    Check,
    Make,
    check_batches,
    check_constrained_spaces,
    check_covers_space,
    check_determinism,
    check_ends,
    check_failed_trials,
    check_measured_constraints,
    check_nested_spaces,
    check_objectives,
    check_proposals,
    check_proposes_ahead,
    check_read_only,
    check_resume,
    check_running_trials,
    check_seeds_differ,
    check_shared_state,
    check_strategy,
    check_symmetries,
)
from autopanoptic.strategies.testing.simulation import Simulation

__all__ = [
    "CHECKS",
    "CONSTRAINED",
    "FLAT",
    "MIXED",
    "NESTED",
    "SINGLE",
    "SMALL",
    "SMALL_NESTED",
    "SYMMETRIC",
    "Check",
    "Make",
    "Simulation",
    "check_batches",
    "check_constrained_spaces",
    "check_covers_space",
    "check_determinism",
    "check_ends",
    "check_failed_trials",
    "check_measured_constraints",
    "check_nested_spaces",
    "check_objectives",
    "check_proposals",
    "check_proposes_ahead",
    "check_read_only",
    "check_resume",
    "check_running_trials",
    "check_seeds_differ",
    "check_shared_state",
    "check_strategy",
    "check_symmetries",
]
