"""What a worker occupies of the nodes of a Ray cluster."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

NAMES = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
"""Ray's options of an actor, and what it calls the same of a node; other resources have one name."""


@dataclass(frozen=True)
class Resources:
    """What one worker occupies.

    Attributes:
        num_cpus: processors; also how many threads its libraries use, at least one.
        num_gpus: GPUs, or a fraction of one.
        memory: bytes that Ray sets aside; a worker may use more.
        others: of the nodes' own resources, by name.
    """

    num_cpus: float = 1
    num_gpus: float = 0
    memory: int = 0
    others: Mapping[str, float] = field(default_factory=dict)

    @property
    def threads(self) -> int:
        """How many threads torch, OpenMP and BLAS use in a worker."""
        return max(1, int(self.num_cpus))

    @property
    def options(self) -> dict[str, Any]:
        """Ray's options of a worker's actor."""
        memory = {"memory": self.memory} if self.memory else {}
        return {"num_cpus": self.num_cpus, "num_gpus": self.num_gpus, "resources": dict(self.others), **memory}

    @property
    def of_a_node(self) -> dict[str, float]:
        """The same by a node's names for it, without what is 0."""
        found = {NAMES[name]: getattr(self, name) for name in NAMES} | dict(self.others)
        return {name: amount for name, amount in found.items() if amount}

    def room_on(self, nodes: Iterable[Mapping[str, float]]) -> float:
        """Return how many workers fit on some nodes that run nothing else.

        Args:
            nodes: the resources of each.
        """
        return sum(min((self._room(node, name) for name in self.of_a_node), default=math.inf) for node in nodes)

    def _room(self, node: Mapping[str, float], name: str) -> float:
        need, there = self.of_a_node[name], node.get(name, 0)
        if name == "GPU" and need < 1:  # a worker's fraction is of one GPU
            return math.floor(there) * math.floor(1 / need + 1e-9)
        return math.floor(there / need + 1e-9)

    def __str__(self) -> str:
        return ", ".join(f"{amount:g} {name}" for name, amount in self.of_a_node.items()) or "nothing"


def resources_of(given: Mapping[str, float]) -> Resources:
    """Return what a user asks for a worker.

    Args:
        given: ``num_cpus`` (1 unless given), ``num_gpus``, ``memory`` in bytes; any other name is one of the nodes'
            own resources.

    Raises:
        ValueError: when an amount is no finite number from 0, or more than one GPU and no whole number.
    """
    for name, amount in given.items():
        number = isinstance(amount, numbers.Real) and not isinstance(amount, bool)
        if not (number and math.isfinite(amount) and amount >= 0):
            raise ValueError(f"resources[{name!r}] must be a finite number from 0, not {amount!r}.")
    gpus = given.get("num_gpus", 0)
    if gpus > 1 and gpus != int(gpus):
        raise ValueError(f"resources['num_gpus'] must be a fraction below 1 or a whole number, not {gpus!r}.")
    own = {name: given[name] for name in NAMES if name in given}
    if "memory" in own:
        own["memory"] = int(own["memory"])
    return Resources(**own, others={name: amount for name, amount in given.items() if name not in NAMES})  # type: ignore[arg-type]
