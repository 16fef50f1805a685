"""The network for a budget, out of a trained supernet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from autopanoptic.nas.space.architecture import Option
from autopanoptic.nas.supernet.batch_norm import recalibrate, running_norms

if TYPE_CHECKING:
    from autopanoptic.nas.supernet.supernet import Supernet


def specialized_network(
    supernet: Supernet,
    architecture: Mapping[str, Option],
    batches: Iterable[Any] | None,
    forward: Callable[[nn.Module, Any], object] | None,
) -> nn.Module:
    """Return an architecture's network that needs no training; see :meth:`Supernet.specialized`."""
    network = supernet.subnet(architecture).eval()
    if batches is not None:
        recalibrate(network, batches, forward)
        return network
    norms = len(running_norms(network.modules()))
    if norms:
        raise ValueError(
            f"The statistics of its {norms} batch norms mix all paths of the supernet. Give recalibrate_with=, a few "
            "batches of training images. supernet.subnet(result.best_within(...).architecture) is the network as it is."
        )
    return network
