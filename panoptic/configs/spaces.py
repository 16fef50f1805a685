"""What a config may leave out because it goes with the space that it searches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autopanoptic.panoptic.stages.settings import OF_ONE_OBJECTIVE


def with_strategy(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config with the strategy and the cost of its space, where it gives none.

    Widths and depths are worth what they cost, so the space elastic is searched by NSGA-II for quality and GFLOPs; the
    published space by path-priority for quality alone, as in the paper. A strategy of one objective gets no cost.

    Args:
        values: Nested; what is wrong in them stays as it is.
    """
    search = values.get("search") or {}
    if not isinstance(search, Mapping) or search.get("space") != "elastic":
        return dict(values)
    filled = {"strategy": "nsga2", **search}
    cost = None if filled["strategy"] in OF_ONE_OBJECTIVE else "gflops"
    return {**values, "search": {"cost": cost, **filled}}
