"""Which parameters a loss has reached."""

from __future__ import annotations

from autopanoptic.nas import Supernet

ATTENTION = ".units."
"""In the names of the attention's parameters."""


def without_gradient(supernet: Supernet) -> list[str]:
    """Return the parameters of the active path that have none, or one of zeros.

    Zeros are right in the attention: a unit has so few hidden channels that all may be 0 for a batch, and those
    of coarse levels see no anchor of the loss where none is sampled.
    """
    names = {module: name for name, module in supernet.module.named_modules()}
    found = []
    for module in supernet.active_modules():
        for own, parameter in module.named_parameters(recurse=False):
            name = f"{names[module]}.{own}"
            if parameter.grad is None or not (ATTENTION in name or parameter.grad.any()):
                found.append(name)
    return found
