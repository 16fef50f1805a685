from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from autopanoptic.nas import DistillingLoss, SoftLabels
from autopanoptic.nas.supernet.training.losses import detached

GENERATOR = torch.Generator().manual_seed(0)
TEACHER, STUDENT = torch.randn(2, 5, 3, generator=GENERATOR)
LABELS = torch.tensor([0, 1, 2, 2, 1])


class Fixed(nn.Module):
    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits.clone())

    def forward(self, _: Any) -> Tensor:
        return self.logits


def learned(soft: SoftLabels) -> tuple[Tensor, Fixed, Fixed]:
    teacher, student = Fixed(TEACHER), Fixed(STUDENT)
    hard, knowledge = soft.teach(teacher, (None, LABELS))
    torch.testing.assert_close(hard, functional.cross_entropy(TEACHER, LABELS))
    loss = soft.learn(student, (None, LABELS), knowledge)
    loss.backward()
    return loss.detach(), teacher, student


def test_soft_labels_are_the_teachers_probabilities() -> None:
    loss, teacher, student = learned(SoftLabels())
    torch.testing.assert_close(loss, -(TEACHER.softmax(1) * STUDENT.log_softmax(1)).sum(1).mean())
    assert teacher.logits.grad is None
    # The known gradient of a cross-entropy: the difference of the probabilities.
    torch.testing.assert_close(student.logits.grad, (STUDENT.softmax(1) - TEACHER.softmax(1)) / 5)


def test_true_labels_can_count_as_well() -> None:
    loss, _, _ = learned(SoftLabels(hard=0.5))
    torch.testing.assert_close(loss, learned(SoftLabels())[0] + 0.5 * functional.cross_entropy(STUDENT, LABELS))


def test_a_temperature_softens_both_and_keeps_the_gradients_size() -> None:
    loss, _, student = learned(SoftLabels(temperature=2.0))
    soft, own = (TEACHER / 2).softmax(1), (STUDENT / 2).log_softmax(1)
    torch.testing.assert_close(loss, -4 * (soft * own).sum(1).mean())
    torch.testing.assert_close(student.logits.grad, 2 * (own.exp() - soft) / 5)


def test_the_loss_by_true_labels_can_be_another() -> None:
    def smoothed(logits: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(logits, labels, label_smoothing=0.1)

    loss = SoftLabels(true=smoothed)
    batch = (None, LABELS)
    assert loss(Fixed(STUDENT), batch) == smoothed(STUDENT, LABELS)
    assert loss.teach(Fixed(STUDENT), batch)[0] == smoothed(STUDENT, LABELS)
    assert loss(Fixed(STUDENT), batch) != functional.cross_entropy(STUDENT, LABELS)


def test_logits_of_pixels() -> None:
    logits = torch.randn(2, 3, 4, 5, generator=GENERATOR)
    labels = torch.zeros(2, 4, 5, dtype=torch.int64)
    soft = SoftLabels(lambda network, batch: (network(batch), labels))
    _, knowledge = soft.teach(Fixed(logits), None)
    assert knowledge.shape == logits.shape
    torch.testing.assert_close(knowledge.sum(1), torch.ones(2, 4, 5))
    entropy = -(knowledge * knowledge.log()).sum(1).mean()
    torch.testing.assert_close(soft.learn(Fixed(logits), None, knowledge).detach(), entropy)


def test_it_is_a_distilling_loss_and_a_function_is_none() -> None:
    assert isinstance(SoftLabels(), DistillingLoss)
    assert not isinstance(functional.cross_entropy, DistillingLoss)


class Boxes(NamedTuple):
    boxes: Tensor
    image: int


@dataclass(frozen=True)
class Knowledge:
    logits: Tensor
    regions: tuple[Boxes, ...]
    maps: dict[str, list[Tensor | None]]
    name: str = "teacher"


def test_what_is_handed_on_is_detached_whatever_holds_it() -> None:
    tensors = [torch.ones(2, requires_grad=True) * number for number in range(4)]
    given = Knowledge(tensors[0], (Boxes(tensors[1], 3), Boxes(tensors[2], 4)), {"p2": [tensors[3], None]})
    found = detached(given)
    assert isinstance(found, Knowledge)
    assert all(isinstance(region, Boxes) for region in found.regions)
    (last, nothing) = found.maps["p2"]
    assert last is not None
    assert nothing is None
    for was, now in zip(tensors, [found.logits, *(region.boxes for region in found.regions), last], strict=True):
        assert was.requires_grad
        assert not now.requires_grad
        assert torch.equal(was, now)
    assert ([region.image for region in found.regions], found.name) == ([3, 4], "teacher")


@pytest.mark.parametrize("options", [{"hard": -1.0}, {"temperature": 0.0}, {"temperature": float("nan")}])
def test_numbers_out_of_range(options: Any) -> None:
    with pytest.raises(ValueError, match=r"hard=.*temperature="):
        SoftLabels(**options)
