"""A module of its own for each depth of a :class:`Repeat`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from autopanoptic.nas.supernet import _nni
from autopanoptic.nas.supernet.mutables import Repeat


class PerDepth(Repeat):
    """The module that belongs to the active depth of a stack of blocks, such as the classifier behind it.

    What the first block makes is not what the last one makes, so that one classifier for all depths of a stack without
    residual connections fits none of them. Networks with several exits give each its own, as BranchyNet does
    (Teerapittayanon et al. 2016), and so does this::

        self.layers = Repeat(layer, (1, 3), label="depth", tied=True)
        self.classify = PerDepth(lambda depth: nn.Linear(64, 10), (1, 3), label="depth")

    It is always tied to the other choices of its label. In a subnet the module of its depth stands in its place.

    Args:
        build: a function from the depth to the module.
        depth: (fewest, most) as the stack has them; at least 1.
        label: of the stack.

    Attributes:
        blocks: the modules, from that of the fewest on.

    Raises:
        ValueError: for a range that is none, or begins below 1.
    """

    def __init__(self, build: Callable[[int], nn.Module], depth: tuple[int, int], *, label: str) -> None:
        if not isinstance(depth, tuple) or not 1 <= depth[0] <= depth[1]:
            raise ValueError(f"PerDepth cannot have depth={depth!r}; use (fewest, most) with 1 <= fewest <= most.")
        super().__init__(lambda index: nn.Identity(), depth, label=label, tied=True)
        self.blocks = nn.ModuleList(build(one) for one in range(depth[0], depth[1] + 1))

    @classmethod
    def create_fixed_module(  # type: ignore[override]
        cls, sample: dict[str, Any], build: Callable[[int], nn.Module], depth: tuple[int, int], *, label: str
    ) -> nn.Module:
        """Return the module of the depth that ``sample`` names; NNI calls this to build a single architecture."""
        return build(sample[label])

    @property
    def active(self) -> nn.Module:
        """The module of the active depth."""
        return self.of(self._dry_run_depth)

    def of(self, depth: int) -> nn.Module:
        """Return the module of a depth.

        Raises:
            ValueError: for a depth that the stack cannot have.
        """
        if not self.min_depth <= depth <= self.max_depth:
            raise ValueError(f"Choice {self.label!r} has depths {self.min_depth} to {self.max_depth}, not {depth}.")
        found: nn.Module = self.blocks[depth - self.min_depth]
        return found

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the active module on the given arguments."""
        return self.active(*args, **kwargs)

    def freeze(self, sample: dict[str, Any]) -> nn.Module:
        """Return the module of the depth that ``sample`` names, frozen; NNI calls it to fix a network in place."""
        self.validate(sample)
        frozen: nn.Module = _nni.recursive_freeze(self.of(sample[self.label]), sample)[0]
        return frozen
