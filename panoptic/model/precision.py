"""In which precision a network computes, the same for training and for evaluation."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    import torch

Precision: TypeAlias = Literal["32-true", "bf16-mixed"]
"""Lightning's names: single precision, or bfloat16 where that is safe."""
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


def computing(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Return the context in which a network computes outside of Lightning.

    Raises:
        ValueError: If the precision is none of `PRECISIONS`.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r} is none of {', '.join(PRECISIONS)}")
    import torch

    return nullcontext() if precision == "32-true" else torch.autocast(device.type, torch.bfloat16)


def in_full_precision(device: torch.device) -> AbstractContextManager[Any]:
    """Return the context in which single precision stays what it is, within that of `computing`."""
    import torch

    # Where there are no values there is no precision.
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)
