"""The choices of components: their labels, and what an architecture says of them; loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from autopanoptic.panoptic.model.parts.fitting import OPTIONS, PARTNERS, PUBLISHED

if TYPE_CHECKING:
    from autopanoptic.panoptic.model.config import PanopticConfig

HEAD, MASK = "semantic_head", "mask_head"
"""Labels of the choices that are always made: every mask head fits every semantic head."""


def label_of(field: str, head: str) -> str:
    """Return the label of the choice of a component.

    What fits hangs on the semantic head, so that there is one choice of the fusion and one of the panoptic head beside
    each of them, which is made where that head is, and whose options are those that fit.

    Args:
        field: A component's field of the config.
        head: Name of the semantic head.
    """
    return f"{field}.{head}" if field in PARTNERS else field


def is_component(label: str) -> bool:
    """Return whether a choice is one of components, and no operator or size."""
    return label.split(".")[0] in OPTIONS


def design_of(config: PanopticConfig, architecture: Mapping[str, Any]) -> dict[str, str]:
    """Return the names of a network's components by their fields.

    Args:
        config: Of the network.
        architecture: Its own, which says them in the space published; elsewhere the config does.
    """
    if config.space != PUBLISHED:
        return {field: getattr(config, field) for field in OPTIONS}
    head = str(architecture[HEAD])
    return {field: str(architecture[label_of(field, head)]) for field in OPTIONS}
