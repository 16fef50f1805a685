"""Logits that are free to be anything learn a map, which is then made of them: targets, loss and merge agree."""

import pytest
import torch

from autopanoptic.panoptic.data.categories import Categories, Category
from autopanoptic.panoptic.model.panoptic_head.inference import label_cells, panoptic_map
from autopanoptic.panoptic.model.panoptic_head.logits import panoptic_logits
from autopanoptic.panoptic.model.panoptic_head.overlap import filled, overlap_truth, relation_loss
from autopanoptic.panoptic.model.panoptic_head.pruning import (
    kept_instances,
    panoptic_loss,
    panoptic_target,
    quartered,
)
from autopanoptic.panoptic.model.panoptic_head.relation import Relation
from autopanoptic.panoptic.model.panoptic_head.rules import HeadRules

CATEGORIES = Categories(Category(n, str(n), n > 2, (0, 0, 0)) for n in (1, 2, 3, 4))
STUFF, THINGS, SIZE = 2, 2, (48, 64)


@pytest.fixture(name="image")
def _image():
    """Two stuff classes, and three things of two classes, of which one lies within another."""
    semantic, instances = torch.ones(SIZE, dtype=torch.int64), torch.zeros(SIZE, dtype=torch.int64)
    semantic[24:] = 2
    for number, (top, left, bottom, right) in enumerate([(8, 8, 40, 32), (16, 16, 28, 24), (4, 40, 44, 60)], start=1):
        instances[top:bottom, left:right] = number
        semantic[top:bottom, left:right] = 0
    boxes = torch.tensor([[8.0, 8, 32, 40], [16, 16, 24, 28], [40, 4, 60, 44]])
    return semantic, instances, boxes, torch.tensor([1, 2, 1])


def learnt(image, relation=None, steps=80):
    semantic, instances, boxes, labels = image
    generator = torch.Generator().manual_seed(0)
    scores = torch.zeros(STUFF + THINGS, 12, 16, requires_grad=True)
    masks = torch.zeros(3, 14, 14, requires_grad=True)
    others = [] if relation is None else list(relation.parameters())
    optimizer = torch.optim.Adam([scores, masks, *others], lr=0.3 if relation is None else 0.1)
    truth = overlap_truth(filled(torch.stack([instances == n for n in (1, 2, 3)])))
    for _ in range(steps):
        kept = kept_instances(3, generator, 0.7 if relation is None else 1)
        overlaps = None if relation is None else relation(boxes[kept], labels[kept])
        logits = panoptic_logits(
            scores, boxes[kept] / 4, labels[kept], masks[kept], STUFF,
            aligned=True, unknown=relation is None, overlaps=overlaps,
        )  # fmt: skip
        target = panoptic_target(quartered(semantic), quartered(instances), kept, 3, STUFF, unknown=relation is None)
        loss = panoptic_loss(logits, target)
        if overlaps is not None:
            loss = loss + relation_loss(overlaps, truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    overlaps = None if relation is None else relation(boxes, labels)
    logits = panoptic_logits(
        scores, boxes / 4, labels, masks, STUFF, aligned=True, unknown=relation is None, overlaps=overlaps
    )
    return logits.detach(), scores.detach(), overlaps


def right(image, logits, scores):
    """The share of the cells, at the pixels beside their middles, whose segment is the true one."""
    semantic, instances, _, labels = image
    channels, classes = (label_cells(one, SIZE, SIZE) for one in (logits, scores))
    found = panoptic_map(channels, classes, torch.full((3,), 0.9), labels, CATEGORIES, HeadRules(stuff_area=10))
    assert [segment.category_id for segment in found.segments] == [3, 4, 3, 1, 2]
    wanted = torch.where(instances > 0, instances, semantic + 3)
    return (quartered(found.ids) == quartered(wanted)).double().mean().item()


def test_pruned_instances_teach_the_unknown(image):
    logits, scores, _ = learnt(image)
    assert right(image, logits, scores) > 0.99
    # An image of which nothing is detected is unknown where its things are.
    nothing = panoptic_logits(
        scores, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 14, 14), STUFF, aligned=True
    )
    unknown = label_cells(nothing, SIZE, SIZE) == STUFF
    assert (unknown == (image[1] > 0)).double().mean() > 0.9


def test_relations_learn_who_lies_upon_whom(image):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        relation = Relation(THINGS, 8, 8)
    logits, scores, overlaps = learnt(image, relation)
    assert len(logits) == STUFF + 3
    assert right(image, logits, scores) > 0.99
    together = (overlaps + overlaps.T).detach()
    assert together[0, 1] > 0.8
    assert together[0, 2] < 0.2
    assert together[1, 2] < 0.2
