"""The numbers of a training step, which come from the device together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from autopanoptic.nas.space.architecture import Architecture


class StepNumbers:
    """What a training step wants to log, and the losses that it has to look at: the host waits for all of them once."""

    def __init__(self) -> None:
        self._on_host: dict[str, float] = {}
        self._on_device: dict[str, Tensor] = {}

    def note(self, name: str, value: Tensor | float) -> None:
        """Keep a scalar to be logged; a later one of the same name takes its place."""
        if isinstance(value, Tensor):
            self._on_device[name] = value.detach()
            self._on_host.pop(name, None)
        else:
            self._on_host[name] = float(value)
            self._on_device.pop(name, None)

    def take(
        self, losses: Sequence[Tensor], mean: Callable[[Tensor], Tensor] | None = None
    ) -> tuple[list[float], dict[str, float]]:
        """Return some losses and what was noted since the last call.

        Args:
            losses: scalars, at least one.
            mean: averages losses and noted tensors over processes, as one tensor (N,). What is not finite in one of
                them is so in all then, and none goes on with gradients that have come from there.
        """
        noted = [value.to(losses[0].device, torch.float32) for value in self._on_device.values()]
        shown = torch.stack(noted) if noted else losses[0].new_zeros(0)
        both = torch.cat((torch.stack(list(losses)), shown))
        values: list[float] = (both if mean is None else mean(both)).tolist()
        own, others = values[: len(losses)], values[len(losses) :]
        numbers = {**dict(zip(self._on_device, others, strict=True)), **self._on_host}
        self._on_host, self._on_device = {}, {}
        return own, numbers


def require_finite(loss: float, step: int, path: Architecture) -> None:
    """Refuse a loss that is no finite number.

    Raises:
        FloatingPointError: names the pass and the path.
    """
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"The loss of pass {step} is {loss}, on path {path.id} ({dict(path)}). "
            "Lower the learning rate or clip the gradient."
        )
