"""Numbers of numpy are hyperparameters as any others."""

from __future__ import annotations

import numpy as np
import pytest

from autopanoptic.nas import ASHA, Hyperband
from autopanoptic.strategies import (
    NSGA2,
    BayesianOptimization,
    Evolution,
    LocalSearch,
    PathPriority,
    RegularizedEvolution,
)


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (RegularizedEvolution(np.int64(20), np.int32(5), np.float32(0.5)), RegularizedEvolution(20, 5, 0.5)),
        (Evolution(np.int64(20), np.int64(5), mutation_rate=np.float32(0.5)), Evolution(20, 5, mutation_rate=0.5)),
        (NSGA2(np.int64(20), np.float32(0.5)), NSGA2(20, 0.5)),
        (LocalSearch(np.int64(2), np.bool_(True)), LocalSearch(2, True)),
        (PathPriority(np.int64(2), cycle_length=np.int64(4)), PathPriority(2, cycle_length=4)),
        (BayesianOptimization(np.int64(3), np.int64(9), np.float32(2)), BayesianOptimization(3, 9, 2.0)),
        (ASHA(np.int64(9), enough=np.int64(3)), ASHA(9, enough=3)),
        (Hyperband(np.int64(9)), Hyperband(9)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_numbers_of_numpy_make_the_object_of_plain_ones(given: object, plain: object) -> None:
    assert repr(given) == repr(plain)
    assert given == plain
