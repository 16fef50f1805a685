"""Batch norms that take their statistics over all GPUs that train together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from lightning.pytorch.plugins.layer_sync import LayerSync
from torch import nn

from autopanoptic.panoptic.model.padding import BatchNorm2d, SyncBatchNorm2d

_Classes = Mapping[type[nn.Module], type[nn.Module]]
_SYNCED: _Classes = {BatchNorm2d: SyncBatchNorm2d, nn.BatchNorm2d: nn.SyncBatchNorm}
_OWN: _Classes = {synced: own for own, synced in _SYNCED.items()}


class SyncedNorms(LayerSync):
    """Has the batch norms of a network take their statistics over all processes, for the time of a training.

    torch's conversion puts plain modules in their places, which see padding and stay when Lightning's has been
    reverted. Here modules stay themselves, and change their class.
    """

    def apply(self, model: nn.Module) -> nn.Module:
        """Synchronise batch norms."""
        _exchange(model, _SYNCED)
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Make them what they were."""
        _exchange(model, _OWN)
        return model


@contextmanager
def alone(network: nn.Module) -> Iterator[None]:
    """Have batch norms take the statistics of this process alone meanwhile, as where it measures while others wait."""
    changed = _exchange(network, _OWN)
    try:
        yield
    finally:
        for module in changed:
            _become(module, _SYNCED)


def _exchange(network: nn.Module, classes: _Classes) -> list[nn.Module]:
    found = [module for module in network.modules() if type(module) in classes]
    for module in found:
        _become(module, classes)
    return found


def _become(module: nn.Module, classes: _Classes) -> None:
    changed = cast("Any", module)
    changed.__class__ = classes[type(module)]
    changed.process_group = None  # of a synchronised one: all processes
