"""Processes that torchrun has started, on one machine or several: the first runs the program, the others train along.

What `RANK`, `WORLD_SIZE`, `LOCAL_RANK`, `LOCAL_WORLD_SIZE`, `MASTER_ADDR` and `MASTER_PORT` say is followed,
whoever has set them. Importing this loads no torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

WAIT = timedelta(hours=6)
"""Time after which a process of a training gives the others up: the first may measure a network meanwhile."""
BETWEEN = timedelta(days=365)
"""The same between two trainings: the first may search meanwhile."""
WANTED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Launch:
    """Which of the processes this one is.

    Attributes:
        rank: Of all, from 0.
        world: How many there are.
        local_rank: Of those on this machine.
        local_world: How many are on this machine, as on every other.
    """

    rank: int
    world: int
    local_rank: int
    local_world: int

    @property
    def nodes(self) -> int:
        """How many machines there are."""
        return self.world // self.local_world


def launched() -> Launch | None:
    """Return which process this is, where several were started to train together; None where it is alone.

    Raises:
        ValueError: If the environment says so by halves, or contradicts itself.
    """
    world = _number("WORLD_SIZE")
    if world is None or world < 2:
        return None
    if missing := [name for name in WANTED if name not in os.environ]:
        raise ValueError(f"WORLD_SIZE is {world}, but {', '.join(missing)} is not set; start the program by torchrun")
    rank, local_rank = _number("RANK") or 0, _number("LOCAL_RANK") or 0
    local_world = _number("LOCAL_WORLD_SIZE")
    if local_world is None:
        if rank != local_rank:
            raise ValueError(
                "LOCAL_WORLD_SIZE is not set, the processes of each machine; start the program by torchrun"
            )
        local_world = world
    if world % local_world or not (0 <= rank < world and 0 <= local_rank < local_world):
        raise ValueError(
            f"RANK={rank} of WORLD_SIZE={world}, LOCAL_RANK={local_rank} of LOCAL_WORLD_SIZE={local_world}: ranks "
            "count from 0, and every machine has as many processes"
        )
    return Launch(rank, world, local_rank, local_world)


def _number(name: str) -> int | None:
    text = os.environ.get(name)
    try:
        return None if text is None else int(text)
    except ValueError:
        raise ValueError(f"{name} must be a whole number, not {text!r}") from None


class _Connection:
    """How this process reaches the others; None until it does."""

    control: ProcessGroup | None = None


@contextmanager
def leading() -> Iterator[None]:
    """Run what follows in the first of the processes alone; the others take part in its trainings, and end with it.

    A program that torchrun starts keeps its work in this block. Without torchrun it changes nothing.

    Raises:
        SystemExit: In the other processes, when the first has left the block; not 0 where it has failed.
        ValueError: If the environment says by halves who is who.
    """
    found = launched()
    if found is None or _Connection.control is not None:
        yield
        return
    _connect(found)
    if found.rank:
        raise SystemExit(_follow())
    yield  # after an error the others see that this process has gone
    _announce(None)
    _disconnect()


def train_together(work: Callable[[], None]) -> None:
    """Have the other processes do a part of a training, while this one begins its own.

    Args:
        work: What they do; sent to them.

    Raises:
        RuntimeError: If this program does not lead.
    """
    if _Connection.control is None:
        raise RuntimeError(
            "torchrun has started several processes, and each runs the whole program; keep its work under "
            "`with leading():` of autopanoptic.panoptic.training.parallel.launch"
        )
    _announce(work)


def _connect(found: Launch) -> None:
    import torch
    from torch import distributed

    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(found.local_rank % torch.cuda.device_count())
    backend = "cpu:gloo,cuda:nccl" if on_gpu else "gloo"
    distributed.init_process_group(backend, rank=found.rank, world_size=found.world, timeout=WAIT)
    _Connection.control = cast("ProcessGroup", distributed.new_group(backend="gloo", timeout=BETWEEN))


def _disconnect() -> None:
    from torch import distributed

    _Connection.control = None
    distributed.destroy_process_group()


def _announce(work: Callable[[], None] | None) -> None:
    from torch import distributed

    distributed.broadcast_object_list([work], src=0, group=_Connection.control)


def _follow() -> int:
    """Take part in trainings until the first process says that there are no more; returns an exit status."""
    from torch import distributed

    from autopanoptic.panoptic.training.terminal import silence

    silence()
    while True:
        found: list[Any] = [None]
        try:
            distributed.broadcast_object_list(found, src=0, group=_Connection.control)
        except RuntimeError:  # the first process has ended by an error, which it tells itself
            return 1
        except KeyboardInterrupt:
            return 130
        if found[0] is None:
            _disconnect()
            return 0
        found[0]()
