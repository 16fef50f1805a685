"""Which parameters a loss has reached."""

from __future__ import annotations

from autopanoptic.nas import Supernet


def without_gradient(supernet: Supernet) -> list[str]:
    """Return the parameters of the active path that have none."""
    return [
        name
        for module in supernet.active_modules()
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.grad is None
    ]
