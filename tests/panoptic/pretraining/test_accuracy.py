"""Measurements on the way, by the first of several processes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from torch import nn

from autopanoptic.panoptic.model.padding import BatchNorm2d, SyncBatchNorm2d
from autopanoptic.panoptic.pretraining.accuracy import Accuracy, MeasureEvery
from autopanoptic.panoptic.training.parallel.synced import SyncedNorms


def test_the_process_that_measures_does_not_wait_for_the_statistics_of_others() -> None:
    network = nn.Sequential(BatchNorm2d(2))
    SyncedNorms().apply(network)
    seen: list[type] = []

    def measure(classifier: nn.Sequential) -> list[Accuracy]:
        seen.append(type(classifier[0]))
        return [Accuracy(50.0, 90.0)]

    callback: Any = MeasureEvery(measure, 2, lambda: None)  # type: ignore[arg-type]
    trainer = SimpleNamespace(is_global_zero=True, loggers=[], strategy=SimpleNamespace(barrier=lambda _: None))
    for passes in (1, 2):
        callback.on_train_batch_end(trainer, SimpleNamespace(passes=passes, network=network))
    assert seen == [BatchNorm2d]
    assert type(network[0]) is SyncBatchNorm2d
