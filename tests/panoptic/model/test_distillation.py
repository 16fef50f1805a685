"""What the largest path of a supernet hands on, and what the others learn from it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autopanoptic.nas import Supernet
from autopanoptic.panoptic.configs.models import MODELS
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.distillation import (
    Knowledge,
    between,
    soft_classification,
    soft_losses,
    soft_masks,
    soft_segmentation,
)
from autopanoptic.panoptic.model.heads.regions import RegionLogits, Regions
from autopanoptic.panoptic.model.heads.roi import PanopticRoIHeads
from autopanoptic.panoptic.model.network import PanopticNetwork

GENERATOR = torch.Generator().manual_seed(0)
BOTH = PanopticConfig.scenes(3, 2)
KINDS = {
    "both": BOTH,
    "things": replace(BOTH, num_stuff=0),
    "stuff": replace(BOTH, num_things=0),
}
SOFT = {
    "things": {"classification", "mask"},
    "stuff": {"segmentation"},
    "both": {"classification", "mask", "segmentation"},
}


def network_of(kind: str = "both", seed: int = 0) -> PanopticNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return PanopticNetwork(KINDS[kind])


@pytest.fixture(params=["both", "things", "stuff"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def batch(make_batch: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return make_batch([(64, 64), (50, 40)], [2, 1], 64)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def entropies(known: Knowledge, semantic: Tensor) -> dict[str, Tensor]:
    """Of what a teacher says, averaged as the losses are."""
    found = {}
    if known.things is not None:
        p, q = known.things.classes.softmax(1), known.things.masks.sigmoid()
        found["classification"] = -(p * p.log()).sum(1).mean()
        found["mask"] = -(q * q.log() + (1 - q) * (1 - q).log()).mean()
    if known.segmentation is not None:
        p = known.segmentation.softmax(1)
        shares = (semantic != 255).float().unflatten(2, (-1, 4)).unflatten(1, (-1, 4)).mean((2, 4))
        found["segmentation"] = (-(p * p.log()).sum(1) * shares).sum() / shares.sum()
    return found


def test_who_agrees_with_the_teacher_has_its_entropy_and_no_gradient(kind: str, batch: dict[str, Any]) -> None:
    network = network_of(kind)
    _, knowledge = network.teach(**batch, generator=seeded())
    losses = network.learn(**batch, knowledge=knowledge, generator=seeded())
    soft = {name.removeprefix("soft_"): loss for name, loss in losses.items() if name.startswith("soft_")}
    assert set(soft) == SOFT[kind]
    for name, entropy in entropies(knowledge, batch["semantic"]).items():
        torch.testing.assert_close(soft[name].detach(), entropy)
        assert entropy > 0
    used = [p for p in network.parameters() if p.requires_grad]
    for each, largest in ((soft, True), ({name: losses[name] for name in soft}, False)):
        gradients = torch.autograd.grad(sum(each.values()), used, retain_graph=True, allow_unused=True)
        size = max(gradient.abs().max().item() for gradient in gradients if gradient is not None)
        assert (size < 1e-5) == largest, size


def test_parts_weigh_soft_pixels_by_those_that_have_one(batch: dict[str, Any]) -> None:
    """UPSNet's own loss leaves out crowds, of which a teacher says something."""
    upsnet = MODELS["upsnet"]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = PanopticNetwork(PanopticConfig.from_json({**BOTH.to_json(), **upsnet.parts, **upsnet.network}))
    batch["semantic"][0, :40] = 0
    _, knowledge = network.teach(**batch, generator=seeded())
    whole, shared = (
        network.learn(**batch, knowledge=knowledge, generator=seeded(), shares=shares)
        for shares in (None, lambda counts: counts)
    )
    ratios = {name: (shared[name] / whole[name]).item() for name in ("segmentation", "soft_segmentation")}
    assert ratios["soft_segmentation"] == pytest.approx((batch["semantic"] != 255).sum().item())
    assert ratios["segmentation"] < ratios["soft_segmentation"] - 100


def test_a_teachers_losses_are_those_of_the_truth_bit_for_bit(kind: str, batch: dict[str, Any]) -> None:
    network = network_of(kind)
    plain = network.losses(**batch, generator=seeded())
    taught, _ = network.teach(**batch, generator=seeded())
    assert list(plain) == list(taught)
    assert all(torch.equal(plain[name], taught[name]) for name in plain)


def test_no_gradient_reaches_the_teacher(kind: str, batch: dict[str, Any]) -> None:
    teacher, student = network_of(kind, seed=1), network_of(kind)
    _, knowledge = teacher.teach(**batch, generator=seeded())
    tensors = [
        knowledge.segmentation,
        *([knowledge.things.classes, knowledge.things.masks] if knowledge.things else []),
    ]
    assert not any(tensor.requires_grad for tensor in tensors if tensor is not None)
    student.learn(**batch, knowledge=knowledge, generator=seeded())["total"].backward()
    assert all(p.grad is None for p in teacher.parameters())
    supernet = Supernet(student)
    used = [p for module in supernet.active_modules() for p in module.parameters(recurse=False)]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in used)


def test_no_gradient_passes_through_logits_of_a_teacher_that_have_a_graph() -> None:
    def logits() -> tuple[Tensor, Tensor, Tensor]:
        shapes = (5, 4), (3, 6, 6), (2, 3, 4, 4)
        return tuple(torch.randn(shape, generator=GENERATOR).requires_grad_() for shape in shapes)  # type: ignore[return-value]

    own, teacher = logits(), logits()
    known = [Knowledge(None, RegionLogits(classes, masks), pixels) for classes, masks, pixels in (own, teacher)]
    semantic = torch.zeros(2, 16, 16, dtype=torch.uint8)
    sum(soft_losses(*known, semantic).values(), torch.zeros(())).backward()  # type: ignore[misc]
    assert all(tensor.grad is None for tensor in teacher)
    assert all(tensor.grad is not None and tensor.grad.abs().max() > 0 for tensor in own)


def test_all_paths_have_the_teachers_rois_and_anchors(batch: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    teacher, student = network_of(seed=1), network_of()
    rois: list[Regions] = []
    anchors: list[list[Tensor]] = []
    losses = PanopticRoIHeads.losses

    def noted(self: Any, features: Any, regions: Regions, *others: Any) -> Any:
        rois.append(regions)
        return losses(self, features, regions, *others)

    monkeypatch.setattr(PanopticRoIHeads, "losses", noted)
    for network in (teacher, student):
        sampler: nn.Module = network.rpn.fg_bg_sampler  # type: ignore[union-attr,assignment]
        original = type(sampler).__call__

        class Noted(type(sampler)):  # type: ignore[misc]
            def __call__(self, matched: list[Tensor], original: Any = original) -> Any:
                found = original(self, matched)
                anchors.append([mask for masks in found for mask in masks])
                return found

        sampler.__class__ = Noted
    _, knowledge = teacher.teach(**batch, generator=seeded())
    student.learn(**batch, knowledge=knowledge, generator=seeded())
    student.losses(**batch, generator=seeded())
    taught, learnt, alone = rois
    assert all(torch.equal(a, b) for a, b in zip(taught.boxes, learnt.boxes, strict=True))
    assert not all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(taught.boxes, alone.boxes, strict=True))
    assert len(anchors) == 3
    for other in anchors[1:]:
        assert all(torch.equal(a, b) for a, b in zip(anchors[0], other, strict=True))


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_soft_labels_take_their_part_of_the_total(batch: dict[str, Any], weight: float) -> None:
    teacher, student = network_of(seed=1), network_of()
    _, knowledge = teacher.teach(**batch, generator=seeded())
    losses = student.learn(**batch, knowledge=knowledge, weight=weight, generator=seeded())
    expected = losses["objectness"] + losses["rpn_box"] + losses["box"]
    for name, factor in (("classification", 1), ("mask", 1), ("segmentation", BOTH.loss_weights()["segmentation"])):
        expected = expected + factor * ((1 - weight) * losses[name] + weight * losses[f"soft_{name}"])
    torch.testing.assert_close(losses["total"], expected)


def test_weights_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"must lie in 0..1, not 1.5"):
        between({"mask": torch.ones(())}, {"mask": torch.ones(())}, 1.5)


@pytest.mark.parametrize("things", [[0, 0], [0, 2]])
def test_images_without_things(make_batch: Callable[..., dict[str, Any]], things: list[int]) -> None:
    batch = make_batch([(64, 64)] * 2, things, 64)
    _, knowledge = network_of(seed=1).teach(**batch, generator=seeded())
    network = network_of()
    losses = network.learn(**batch, knowledge=knowledge, generator=seeded())
    losses["total"].backward()
    assert (losses["soft_mask"] == 0) == (sum(things) == 0)
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


def test_values_by_hand() -> None:
    half, sure = math.log(2), math.log(3)
    # Student (1/2, 1/2), teacher (3/4, 1/4): the cross-entropy is log 2 whatever the teacher says.
    assert soft_classification(torch.zeros(4, 2), torch.tensor([[sure, 0.0]] * 4)).item() == pytest.approx(half)
    expected = -(0.5 * math.log(0.75) + 0.5 * math.log(0.25))
    assert soft_classification(torch.tensor([[sure, 0.0]]), torch.zeros(1, 2)).item() == pytest.approx(expected)
    assert soft_masks(torch.full((2, 3, 3), sure), torch.zeros(2, 3, 3)).item() == pytest.approx(expected)


def test_cells_count_by_the_share_of_their_labelled_pixels() -> None:
    logits = torch.zeros(1, 2, 1, 3)
    logits[0, 0] = torch.tensor([[1.0, 2.0, 3.0]])
    semantic = torch.full((1, 4, 12), 255, dtype=torch.uint8)
    semantic[:, :, :4] = 1  # the whole first cell
    semantic[:, 0, 4:8] = 0  # a quarter of the second
    teacher = torch.zeros(1, 2, 1, 3)
    each = -0.5 * logits.log_softmax(1).sum(1)[0, 0]
    torch.testing.assert_close(soft_segmentation(logits, teacher, semantic), (each[0] + each[1] / 4) / 1.25)
    assert soft_segmentation(logits, teacher, torch.full_like(semantic, 255)) == 0
    # One labelled pixel counts as any other.
    semantic[:] = 255
    semantic[0, 2, 9] = 1
    torch.testing.assert_close(soft_segmentation(logits, teacher, semantic), each[2])
