import math

import pytest
import torch

from autopanoptic.panoptic.model.panoptic_head.relation import Relation, offsets
from tests.pretended_gpu import PretendedGpu, on_gpu

BOXES = torch.tensor([[0.0, 0, 4, 2], [2.0, 1, 4, 5]])


def test_two_boxes_by_hand():
    """Centres (2, 1) and (3, 3), widths 4 and 2, heights 2 and 4; one class, embeddings of width 1."""
    relation = Relation(num_things=1, classes=1, boxes=1)
    with torch.no_grad():
        relation.subject.weight.fill_(2)
        relation.object.weight.fill_(0.5)
        relation.geometry.weight.copy_(torch.tensor([[1.0, 2, 0, 0]]))
        relation.geometry.bias.fill_(0.25)
        relation.score.weight.copy_(torch.tensor([[0.5, 1]]))
    # From the first box the other lies at (1/4, 2/2): ReLU(1/4 + 2 + 1/4) = 2.5, and with the classes' 0.5 * 2 * 0.5
    # the score is 3. From the second it lies at (-1/2, -2/4): ReLU(-1/2 - 1 + 1/4) = 0, and the score is 0.5.
    labels = torch.ones(2, dtype=torch.int64)
    scores = relation.logits(BOXES, labels)
    assert scores[0, 1].item() == pytest.approx(3)
    assert scores[1, 0].item() == pytest.approx(0.5)
    found = relation(BOXES, labels)
    expected = 1 / (1 + math.exp(-3)) - 1 / (1 + math.exp(-0.5))
    assert found[0, 1].item() == pytest.approx(expected)
    assert found[1, 0] == found[0, 0] == found[1, 1] == 0


def test_boxes_are_seen_from_each_other():
    found = offsets(BOXES)
    assert found.shape == (2, 2, 4)
    assert found[0, 1].tolist() == pytest.approx([1 / 4, 1, math.log(1 / 2), math.log(2)])
    assert found[1, 0].tolist() == pytest.approx([-1 / 2, -1 / 2, math.log(2), math.log(1 / 2)])
    assert not found[[0, 1], [0, 1]].any()
    assert offsets(torch.zeros(2, 4)).isfinite().all()


def test_equals_the_embedding_as_it_is_written():
    relation = Relation(num_things=5)
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(6, 2, generator=generator) * 50
    boxes = torch.cat((corner, corner + 1 + torch.rand(6, 2, generator=generator) * 30), dim=1)
    labels = torch.tensor([1, 5, 2, 2, 3, 4])
    found = relation.logits(boxes, labels)
    for i in range(6):
        for j in range(6):
            own, other = (torch.eye(5)[labels[k] - 1] for k in (i, j))
            classes = relation.subject(own).relu() * relation.object(other).relu()
            place = relation.geometry(offsets(boxes)[i, j]).relu()
            torch.testing.assert_close(found[i, j], relation.score(torch.cat((classes, place)))[0])


def test_of_two_instances_one_gives_way_at_most():
    relation = Relation(num_things=3)
    boxes, labels = torch.cat((BOXES, BOXES * 2, BOXES + 3)), torch.tensor([1, 2, 3, 1, 2, 3])
    found = relation(boxes, labels)
    assert ((found >= 0) & (found < 1)).all()
    assert not (found * found.T).any()
    assert found.any()
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    torch.testing.assert_close(relation(boxes[order], labels[order]), found[order][:, order])


def test_parameters_are_those_of_the_paper():
    count = sum(parameter.numel() for parameter in Relation(80).parameters())
    assert count == 2 * 80 * 256 + (4 * 128 + 128) + 384


def test_gradients_reach_every_parameter_and_no_instance_is_fine():
    relation = Relation(num_things=3)
    found = relation(torch.cat((BOXES, BOXES * 3)), torch.tensor([1, 2, 3, 2]))
    (found + found.T - 1).square().mean().backward()
    assert all(parameter.grad.any() for parameter in relation.parameters())
    assert relation(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)).shape == (0, 0)


def test_half_precision_compares_in_single_and_a_gpu_needs_no_wait():
    relation, labels = Relation(num_things=3), torch.tensor([1, 2, 3, 2])
    boxes = torch.cat((BOXES, BOXES * 3))
    with torch.no_grad():
        expected = relation(boxes, labels)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(relation(boxes, labels), expected)
        with PretendedGpu() as gpu:
            found = on_gpu(relation)(on_gpu(boxes), on_gpu(labels))
    assert gpu.waits.total() == 0
    torch.testing.assert_close(found.inner, expected)
