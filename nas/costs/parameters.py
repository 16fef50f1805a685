"""The number of parameters, counted on the meta device: nothing is allocated, the supernet itself is not touched."""

from __future__ import annotations

from collections.abc import Mapping

from autopanoptic.nas.space.architecture import Option
from autopanoptic.nas.supernet.supernet import Supernet


class ParameterCount:
    """The number of parameters of an architecture's subnet.

    Args:
        supernet: whose architectures are counted.
        unit: what one is worth; 1e6 gives millions.
    """

    def __init__(self, supernet: Supernet, unit: float = 1.0) -> None:
        self._meta = supernet.meta()
        self.unit = unit

    def __call__(self, architecture: Mapping[str, Option]) -> float:
        """Return the count; parameters that are shared within the subnet count once."""
        self._meta.activate(architecture)
        own = (p for module in self._meta.active_modules() for p in module.parameters(recurse=False))
        return sum({id(p): p.numel() for p in own}.values()) / self.unit
