"""How batches come to the device."""

from __future__ import annotations

from typing import Any

import torch

from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.data.loading.batch import collate_labelled
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.training.chunks import TrainingData
from autopanoptic.panoptic.training.recipe import Recipe
from autopanoptic.panoptic.training.training import Training
from tests.pretended_gpu import GPU, PretendedGpu


def test_a_batch_in_page_locked_memory_is_sent_without_a_wait(datasets: Datasets) -> None:
    transform = Transform(short_side=None)
    data: Any = TrainingData(Training(datasets.train, transform, Recipe(passes=1)), divisor=32)
    examples = [transform(datasets.train[index]) for index in range(2)]
    batch = collate_labelled(examples, 32, transform.normalization)
    with PretendedGpu() as gpu:
        sent = data.transfer_batch_to_device(batch.pin_memory(), GPU, 0)
        assert {one.device for one in (sent.images, sent.semantic, sent.targets[0]["boxes"])} == {GPU}
        assert all(len(target["masks"]) == len(next(iter(target["masks"].windows())).masks) for target in sent.targets)
        assert not +gpu.waits
        data.transfer_batch_to_device(batch, GPU, 0)
        assert gpu.waits.total() > 2  # of pageable memory
    torch.testing.assert_close(sent.images.inner, batch.images)
