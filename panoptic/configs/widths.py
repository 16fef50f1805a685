"""The published backbones by name, for which a config writes ``width``.

Chen et al. 2019, "DetNAS", has the three, named by the FLOPs of their networks on ImageNet; Auto-Panoptic (Wu et al.
2020) searches in 1.3G and retrains in 3.8G.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WIDTH = "width"
"""The key: in ``network`` or ``retrained_network``, or beside them for both."""
WIDTHS: dict[str, dict[str, Any]] = {
    "300m": {"stem_width": 16, "stage_widths": [64, 160, 320, 640], "stage_depths": [4, 4, 8, 4]},
    "1.3g": {"stem_width": 48, "stage_widths": [96, 240, 480, 960], "stage_depths": [8, 8, 16, 8]},
    "3.8g": {"stem_width": 72, "stage_widths": [172, 432, 864, 1728], "stage_depths": [8, 8, 16, 8]},
}
"""What each name stands for."""
NETWORKS = ("network", "retrained_network")
"""Sections that may have a width."""


def spelled_out(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a config with channels and depths in place of widths' names.

    What stands beside a name, such as another ``stem_width``, is kept.

    Args:
        values: Nested, of one file or one command line; what is no section is left as it is.

    Raises:
        ValueError: If there is no such width; begins with the key.
    """
    found = {key: value for key, value in values.items() if key != WIDTH}
    both = {} if WIDTH not in values else _named(WIDTH, values[WIDTH])
    for section in NETWORKS:
        given = found.get(section, {})
        if not isinstance(given, Mapping):
            continue
        own = {} if WIDTH not in given else _named(f"{section}.{WIDTH}", given[WIDTH])
        given = {**both, **own, **{key: value for key, value in given.items() if key != WIDTH}}
        if given or section in found:
            found[section] = given
    return found


def _named(key: str, name: object) -> dict[str, Any]:
    known = WIDTHS.get(name.lower()) if isinstance(name, str) else None
    if known is None:
        raise ValueError(f"{key} must be one of {', '.join(WIDTHS)}, not {name!r}")
    return known
