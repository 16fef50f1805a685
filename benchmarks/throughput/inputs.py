"""Batches of any size without a data set: random pixels, rectangles for things, blocks for stuff."""

from __future__ import annotations

from itertools import product

import torch

from autopanoptic.panoptic.data.categories import VOID
from autopanoptic.panoptic.data.loading.batch import LabelledBatch
from autopanoptic.panoptic.data.loading.masks import window_of
from autopanoptic.panoptic.data.loading.normalization import IMAGENET

THINGS = 10
"""Of each image; COCO has 7 on average."""
BLOCKS = 4
"""Of stuff along each side."""


def random_batch(
    batch: int, size: tuple[int, int], counts: tuple[int, int], divisor: int, seed: int = 0
) -> LabelledBatch:
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
    padded = [-(-side // divisor) * divisor for side in size]
    pixels = torch.zeros((batch, *padded, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    pixels[:, :, :height, :width] = torch.randint(256, (batch, 3, height, width), generator=generator)
    boxes = [_boxes(size, generator) for _ in range(batch)]
    numbers = torch.zeros((batch, *padded), dtype=torch.uint8)
    numbers[:, :height, :width] = torch.stack([_numbers(size, own) for own in boxes])
    stuff = torch.randint(1, counts[1] + 1, (batch, BLOCKS**2), generator=generator)
    things = torch.zeros((batch, THINGS), dtype=torch.int64)
    return LabelledBatch(
        pixels=pixels,
        sizes=[size] * batch,
        original_sizes=[size] * batch,
        image_ids=list(range(batch)),
        normalization=IMAGENET,
        numbers=numbers,
        semantic_labels=torch.cat((torch.full((batch, 1), VOID), things, stuff), dim=1).to(torch.uint8),
        things=torch.arange(1, THINGS + 1).repeat(batch),
        labels=torch.randint(1, counts[0] + 1, (batch * THINGS,), generator=generator),
        boxes=torch.cat(boxes),
        counts=[THINGS] * batch,
        windows=[window_of(own, size) for own in boxes],
    )


def _boxes(size: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    limits = torch.tensor([size[1], size[0]])
    extent = (torch.rand((THINGS, 2), generator=generator) * 0.4 + 0.04) * limits
    corner = torch.rand((THINGS, 2), generator=generator) * (limits - extent)
    return torch.cat((corner, corner + extent), dim=1).round()


def _numbers(size: tuple[int, int], boxes: torch.Tensor) -> torch.Tensor:
    """The map of an image: things 1, 2, ... on blocks of stuff with the numbers that follow."""
    numbers = torch.zeros(size, dtype=torch.uint8)
    edges = [[at * side // BLOCKS for at in range(BLOCKS + 1)] for side in size]
    for row, column in product(range(BLOCKS), range(BLOCKS)):
        rows, columns = (slice(*one[at : at + 2]) for one, at in zip(edges, (row, column), strict=True))
        numbers[rows, columns] = 1 + THINGS + row * BLOCKS + column
    for number, (x1, y1, x2, y2) in enumerate(boxes.long().tolist(), 1):
        numbers[y1:y2, x1:x2] = number
    return numbers
