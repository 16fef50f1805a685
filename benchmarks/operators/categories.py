"""What the page says of single categories: which of them the seeds decide on, and which gain by longer trainings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOLD = 5
"""Categories that gain most, which are named."""


def noise(found: Mapping[str, Any]) -> str:
    """Say how far trainings of one network lie apart, and how much of that is one category.

    Args:
        found: Results of at least two seeds.
    """
    values = {name: _values(entry) for name, entry in found["networks"].items()}
    names = list(next(iter(found["networks"].values()))["by_category"])
    spread = {name: _deviation([one[place] for one in values.values()]) for place, name in enumerate(names)}
    most = max(spread, key=lambda name: spread[name])
    place = names.index(most)
    whole = _deviation([one.mean(axis=0) for one in values.values()])
    rest = _deviation([np.delete(one, place, axis=0).mean(axis=0) for one in values.values()])
    ends = np.concatenate([one[place] for one in values.values()])
    return (
        f"Trainings of one network with other seeds have a standard deviation of {whole:.1f} PQ. Of {len(names)} "
        f"categories {most} adds most to that: it has {ends.min():.0f} to {ends.max():.0f} PQ, with a deviation of "
        f"{spread[most]:.0f} between trainings of one network. Without it they deviate by {rest:.1f}."
    )


def gains(found: Mapping[str, Any], short: Mapping[str, Any]) -> Iterator[str]:
    """Say for each network of a longer training which categories it gains by, beside the same seeds of the shorter."""
    for name, entry in found["networks"].items():
        before = short["networks"][name]["by_category"]
        places = [short["seeds"].index(seed) for seed in found["seeds"]]
        gained = {
            category: float(np.mean(ends) - np.mean([before[category][place] for place in places]))
            for category, ends in entry["by_category"].items()
        }
        most = sorted(gained, key=lambda category: -gained[category])[:TOLD]
        rest = [value for category, value in gained.items() if category not in most]
        told = ", ".join(f"{category} {gained[category]:+.0f}" for category in most)
        others = f", and {np.mean(rest):+.0f} in each of the others on average" if rest else ""
        yield f"{name} gains by {told}{others}"


def _values(entry: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return the PQ by category and seed."""
    return np.array(list(entry["by_category"].values()), np.float64)


def _deviation(groups: list[NDArray[np.float64]]) -> float:
    """Return the standard deviation within groups of equal size, over all of them."""
    return float(np.sqrt(np.mean([np.var(group, ddof=1) for group in groups])))
