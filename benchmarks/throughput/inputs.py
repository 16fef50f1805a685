"""Batches of any size without a data set: random pixels, rectangles for things, blocks for stuff."""

from __future__ import annotations

from itertools import product

import torch

from autopanoptic.panoptic.data.categories import VOID
from autopanoptic.panoptic.data.loading.batches import Batch, Target

THINGS = 10
"""Of each image; COCO has 7 on average."""


def random_batch(batch: int, size: tuple[int, int], counts: tuple[int, int], divisor: int, seed: int = 0) -> Batch:
    """Make a batch.

    Args:
        batch: Images.
        size: Height and width without padding.
        counts: Thing and stuff classes.
        divisor: Images are padded to multiples of it.
        seed: Decides everything.
    """
    generator = torch.Generator().manual_seed(seed)
    height, width = size
    padded = tuple(-(-side // divisor) * divisor for side in size)
    images = torch.zeros((batch, 3, *padded))
    images[:, :, :height, :width] = torch.randn((batch, 3, height, width), generator=generator)
    semantic = torch.full((batch, *padded), VOID, dtype=torch.uint8)
    targets = [_target(size, counts[0], generator) for _ in range(batch)]
    cells = torch.randint(1, counts[1] + 1, (batch, 4, 4), generator=generator, dtype=torch.uint8)
    for index, row, column in product(range(batch), range(4), range(4)):
        rows, columns = (slice(at * side // 4, (at + 1) * side // 4) for at, side in ((row, height), (column, width)))
        semantic[index, rows, columns] = cells[index, row, column]
    for index, target in enumerate(targets):
        semantic[index, :height, :width][target["masks"].any(0)] = 0
    return Batch(images, [size] * batch, [size] * batch, targets, semantic, list(range(batch)))


def _target(size: tuple[int, int], things: int, generator: torch.Generator) -> Target:
    limits = torch.tensor([size[1], size[0]])
    extent = (torch.rand((THINGS, 2), generator=generator) * 0.4 + 0.04) * limits
    corner = torch.rand((THINGS, 2), generator=generator) * (limits - extent)
    boxes = torch.cat((corner, corner + extent), dim=1).round()
    masks = torch.zeros((THINGS, *size), dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.long().tolist(), strict=True):
        mask[y1:y2, x1:x2] = True
    return {"boxes": boxes, "labels": torch.randint(1, things + 1, (THINGS,), generator=generator), "masks": masks}
