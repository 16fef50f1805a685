"""Which switches of a training go together."""

from __future__ import annotations

from autopanoptic.nas.supernet.paths import PathSampler
from autopanoptic.nas.supernet.training.losses import DistillingLoss

SEVERAL = "a sampler of several paths a cycle, such as SandwichPaths"


def check_reduction(reduction: str, *, divide_rates: bool, cycles: bool) -> None:
    """Refuse a reduction that there is not, and rates divided by the uses in a cycle where no cycle is an update.

    Raises:
        ValueError: says what to give instead.
    """
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction must be 'mean' or 'sum', not {reduction!r}")
    if divide_rates and not cycles:
        raise ValueError(
            "divide_rates=True divides by the uses in a cycle, so it needs accumulate=True or same_batch=True."
        )


def check_same_batch(paths: PathSampler, loss: object, *, same_batch: bool, distillation: bool, ranking: bool) -> None:
    """Refuse switches that need all paths of a cycle on one batch where they cannot have them.

    Raises:
        ValueError: says what is missing.
        TypeError: when the loss cannot teach.
    """
    if not same_batch:
        for name in ["distillation"] * distillation + ["ranking"] * ranking:
            raise ValueError(f"{name} compares paths on one batch, so it needs same_batch=True.")
        return
    if paths.cycle < 2:
        raise ValueError(f"same_batch=True needs {SEVERAL}; this one's cycles have {paths.cycle}.")
    if distillation:
        _check_teacher(paths, loss)
    if distillation and ranking and paths.cycle < 3:
        raise ValueError(
            "With distillation the ranking compares the paths that learn, of which cycles of 2 paths have only one; "
            "it needs longer cycles."
        )


def _check_teacher(paths: PathSampler, loss: object) -> None:
    if not isinstance(loss, DistillingLoss):
        raise TypeError(
            f"distillation=True needs a loss with the methods teach and learn, such as SoftLabels, not {loss!r}."
        )
    roles: tuple[str, ...] = getattr(paths, "roles", None) or ()
    if roles[:1] != ("largest",):
        raise ValueError(
            "The first path of each cycle teaches the others, so distillation=True needs a sampler that begins each "
            f"with the largest and says so by its roles, such as SandwichPaths. {type(paths).__name__} has "
            + (f"the roles {roles}." if roles else "no roles.")
        )
