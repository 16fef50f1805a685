"""Published results to compare with, and the bars that the project has set itself."""

from __future__ import annotations

BUDGET: dict[str, dict[str, tuple[float, float]]] = {
    "random": {"cifar10": (93.70, 0.36), "cifar100": (71.04, 1.07), "ImageNet16-120": (44.57, 1.25)},
    "regularized-evolution-10-3": {
        "cifar10": (93.92, 0.30),
        "cifar100": (71.84, 0.99),
        "ImageNet16-120": (45.15, 0.89),
    },
}
"""Mean and standard deviation of the test accuracy over 500 runs.

Dong and Yang 2020 (NAS-Bench-201), as quoted by He et al. 2024 (RoBoT), table 2.
"""

QUERIES: dict[str, tuple[int, int, int]] = {
    "regularized evolution": (563, 438, 715),
    "LaNAS": (247, 188, 292),
    "WeakNAS": (182, 78, 268),
}
"""Mean number of evaluations until the best is found, on CIFAR-10, CIFAR-100 and ImageNet16-120.

Wu et al., NeurIPS 2021 ("Stronger NAS with weaker predictors").
"""

QUERIES_BAR = (45, 45, 100)
"""The number that the best strategy of the library may need on average on the same data sets."""

SPEED_MS = {
    "random": 1.0,
    "regularized-evolution-10-3": 1.0,
    "regularized-evolution-50-25": 1.0,
    "regularized-evolution": 1.0,
    "evolution": 1.0,
    "evolution-50": 1.0,
    "local-search": 1.0,
    "local-search-full": 1.0,
    "nsga2": 20.0,
    "nsga2-20": 20.0,
}
"""The time that a proposal may take, in milliseconds."""
