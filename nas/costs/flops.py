"""Floating-point operations, counted on the meta device: nothing is allocated, the supernet itself is not touched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from autopanoptic.nas.costs.shapes_alone import shapes_alone
from autopanoptic.nas.space.architecture import Option
from autopanoptic.nas.supernet.dataflow import follow
from autopanoptic.nas.supernet.elastic.sharing import coupled
from autopanoptic.nas.supernet.sites import selects_inputs
from autopanoptic.nas.supernet.supernet import Supernet


class FlopCount:
    """The floating-point operations of one forward pass of an architecture's subnet.

    A multiply and an add together count as one operation, as papers on architecture search and fvcore count them, so
    the figures compare with published ones. Convolutions, matrix products and attention are counted, element-wise
    operations are not. In a network with an :class:`InputChoice` an operation counts where the output depends on its
    result, so a branch that none takes costs nothing, although the network as it is written may still run it. In any
    other network all that runs counts, which takes far less time.

    Args:
        supernet: whose architectures are counted; its network's ``forward`` must run on the meta device.
        *inputs: example inputs, of which only shapes and types matter; those of the supernet by default.
        unit: what one is worth; 1e9 gives GFLOPs.
        formulas: operations that torch's ``FlopCounterMode`` does not know, as for its ``custom_mapping`` (which
            counts a multiply and an add as two).

    Raises:
        ValueError: when neither this nor the supernet has inputs.
    """

    slow = True
    """Strategies do not ask for the FLOPs of thousands of candidates; see :meth:`CostTable.constrained`."""

    def __init__(
        self,
        supernet: Supernet,
        *inputs: torch.Tensor,
        unit: float = 1.0,
        formulas: Mapping[Any, Callable[..., int]] | None = None,
    ) -> None:
        self._meta = supernet.meta()
        self._meta.module.eval()
        self._inputs = [value.to("meta") for value in inputs or supernet.inputs]
        if not self._inputs:
            raise ValueError("FlopCount needs example inputs: FlopCount(supernet, example).")
        self._follows = selects_inputs(self._meta.module)
        self._formulas = dict(formulas or {})
        self.unit = unit

    @property
    def why_no_sum(self) -> str | None:
        """Why the count is no sum over the choices; None where it may be one."""
        return coupled(self._meta.module)

    def __call__(self, architecture: Mapping[str, Option]) -> float:
        """Return the count."""
        self._meta.activate(architecture)
        with FlopCounterMode(display=False, custom_mapping=self._formulas) as counter, torch.no_grad():
            unused = self._run(counter.get_total_flops)
        return float(counter.get_total_flops() - unused) / 2 / self.unit

    def _run(self, flops: Callable[[], int]) -> int:
        """Run the network, and return how many of the operations counted serve no output."""
        if not self._follows:
            with shapes_alone(self._formulas):
                self._meta.module(*self._inputs)
            return 0
        flow = follow(self._meta.module, self._inputs, flops=flops)
        unused = set(range(len(flow.operations))) - flow.live()
        return sum(flow.operations[number].flops for number in unused)
