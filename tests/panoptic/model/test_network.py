from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from autopanoptic.nas import FlopCount, ParameterCount, Supernet
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from tests.gradients import without_gradient

LOSSES = {"objectness", "rpn_box", "classification", "box", "mask", "segmentation", "total"}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_scenes_space_has_19_choices_and_its_size(supernet: Supernet) -> None:
    assert len(supernet.space.choices) == 19
    first = supernet.space.canonical({choice.label: choice.options[0] for choice in supernet.space.choices})
    total = sum(p.numel() for p in supernet.module.parameters())
    assert 1.3e6 < total < 1.6e6
    assert 0.4e6 < ParameterCount(supernet)(first) < 0.6e6


def test_coco_space_has_the_papers_56_choices() -> None:
    with torch.device("meta"):
        supernet = Supernet(PanopticNetwork(PanopticConfig.coco()))
    options = {choice.label: len(choice.options) for choice in supernet.space.choices}
    assert sum(label.startswith("backbone.") for label in options) == 40
    assert [options[f"mask.{i}"] for i in range(4)] + [options[f"segmentation.{i}"] for i in range(3)] == [6] * 7
    fusion = [f"f2b.p{level}" for level in range(2, 6)] + [f"b2f.p{level}" for level in range(2, 7)]
    assert [options[label] for label in fusion] == [3] * 9
    assert len(options) == 56


def test_losses_are_finite_and_every_active_parameter_learns(
    supernet: Supernet, make_batch: Callable[..., dict[str, Any]]
) -> None:
    network = supernet.module
    supernet.activate(supernet.space.sample(np.random.default_rng(3)))
    batch = make_batch([(96, 96), (80, 70)], [3, 2])
    losses = network.losses(**batch, generator=seeded(0))
    assert set(losses) == LOSSES
    assert all(loss.isfinite() and loss.dim() == 0 for loss in losses.values())
    parts = sum(losses[name] for name in LOSSES - {"total", "segmentation"})
    weight = network.config.loss_weights()["segmentation"]
    torch.testing.assert_close(losses["total"], parts + weight * losses["segmentation"])
    losses["total"].backward()
    assert without_gradient(supernet) == []


def test_sampling_depends_on_the_generator_alone(
    network: PanopticNetwork, make_batch: Callable[..., dict[str, Any]]
) -> None:
    batch = make_batch([(96, 96)] * 2, [3, 2])
    # Batch norm's running statistics do not enter the losses, so repeated passes compare.
    totals = [network.losses(**batch, generator=seeded(s))["total"].item() for s in (0, 0, 1)]
    assert totals[0] == totals[1] != totals[2]


@pytest.mark.parametrize("things", [[0, 0], [0, 2]])
def test_images_without_things_train_the_segmentation_branch(
    network: PanopticNetwork, make_batch: Callable[..., dict[str, Any]], things: list[int]
) -> None:
    losses = network.losses(**make_batch([(96, 96)] * 2, things), generator=seeded(0))
    assert all(loss.isfinite() for loss in losses.values())
    assert losses["segmentation"] > 0
    losses["total"].backward()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert all(g.isfinite().all() for g in gradients)
    assert network.segmentation.score.weight.grad.abs().sum() > 0


def test_a_few_steps_on_one_batch_lower_the_loss(
    network: PanopticNetwork, make_batch: Callable[..., dict[str, Any]]
) -> None:
    batch = make_batch([(96, 96)] * 2, [2, 2])
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    totals = []
    for step in range(12):
        loss = network.losses(**batch, generator=seeded(step))["total"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        totals.append(loss.item())
    assert totals[-1] < 0.6 * totals[0]


def test_predictions_have_the_original_size(
    network: PanopticNetwork, make_batch: Callable[..., dict[str, Any]]
) -> None:
    network.eval()
    with torch.no_grad():  # make the untrained network see things
        network.roi_heads.box_predictor.classes.bias[1] = 3
    batch = make_batch([(96, 96), (80, 60)], [0, 0])
    predictions = network.predict(batch["images"], batch["sizes"], [(96, 96), (160, 120)])
    for prediction, (height, width) in zip(predictions, [(96, 96), (160, 120)], strict=True):
        count = len(prediction.boxes)
        assert 0 < count <= network.config.detections_per_image
        assert prediction.masks.shape == (count, height, width)
        assert prediction.masks.dtype == torch.bool
        assert prediction.semantic.shape == (height, width)
        assert prediction.semantic.min() >= 0
        assert prediction.semantic.max() <= network.config.num_stuff
        assert (prediction.boxes >= 0).all()
        assert prediction.boxes[:, 2].max() <= width
        assert prediction.boxes[:, 3].max() <= height
        assert (prediction.scores.diff() <= 0).all()
        assert prediction.labels.min() >= 1


def test_things_of_low_scores_need_no_masks(
    network: PanopticNetwork, make_batch: Callable[..., dict[str, Any]]
) -> None:
    network.eval()
    with torch.no_grad():
        network.roi_heads.box_predictor.classes.bias[1] = 3
        network.roi_heads.box_predictor.classes.weight.mul_(20)  # so that the scores differ
    batch = make_batch([(96, 96), (80, 60)], [0, 0])
    sizes = [(96, 96), (80, 60)]
    whole = network.predict(batch["images"], batch["sizes"], sizes)
    least = torch.cat([found.scores for found in whole]).median().item()
    masks: list[int] = []
    head = network.roi_heads.mask_head
    head.register_forward_pre_hook(lambda _, inputs: masks.append(len(inputs[0])))
    some = network.predict(batch["images"], batch["sizes"], sizes, least_score=least)
    for all_of_them, found in zip(whole, some, strict=True):
        kept = all_of_them.scores >= least
        assert torch.equal(found.scores, all_of_them.scores[kept])
        assert torch.equal(found.labels, all_of_them.labels[kept])
        assert torch.equal(found.boxes, all_of_them.boxes[kept])
        assert torch.equal(found.masks, all_of_them.masks[kept])
        assert torch.equal(found.semantic, all_of_them.semantic)
    count = sum(len(found.scores) for found in some)
    assert masks == [count]
    assert 0 < count < sum(len(found.scores) for found in whole)
    nothing = network.predict(batch["images"], batch["sizes"], sizes, least_score=1)
    assert [found.masks.shape for found in nothing] == [(0, 96, 96), (0, 80, 60)]


def test_the_subnet_predicts_what_the_path_predicts(
    supernet: Supernet, make_batch: Callable[..., dict[str, Any]]
) -> None:
    batch = make_batch([(96, 96)], [0])
    for seed in range(2):
        architecture = supernet.space.sample(np.random.default_rng(seed))
        supernet.activate(architecture)
        supernet.module.eval()
        subnet = supernet.subnet(architecture)
        with torch.no_grad():
            expected, found = supernet.module(batch["images"]), subnet(batch["images"])
        for a, b in zip(expected, found, strict=True):
            for left, right in zip(a, b, strict=True):
                torch.testing.assert_close(left, right)
        inputs = (batch["images"], batch["sizes"], batch["sizes"])
        predicted, direct = supernet.module.predict(*inputs), subnet.predict(*inputs)  # type: ignore[operator]
        assert torch.equal(predicted[0].semantic, direct[0].semantic)


def test_flops_are_counted_on_the_meta_device(supernet: Supernet) -> None:
    flops = FlopCount(supernet, torch.empty(1, 3, 96, 96), unit=1e6)
    base = {choice.label: choice.options[0] for choice in supernet.space.choices}
    plain = flops(base)
    config = supernet.module.config
    side, channels = config.mask_roi_size, config.pyramid_channels
    pixels = config.detections_per_image * side**2
    separable, dense = channels**2 + channels * 9, channels**2 * 9
    dilated = flops({**base, "mask.0": "at3"}) - plain
    assert dilated * 1e6 == pytest.approx(pixels * (dense - separable))
    deformable = flops({**base, "mask.0": "df3"}) - plain
    assert deformable * 1e6 == pytest.approx(pixels * (dense + channels * 9 * 27 - separable))


@pytest.mark.parametrize("neck", ["panet", "bifpn", "search"])
def test_other_necks_train(config: PanopticConfig, make_batch: Callable[..., dict[str, Any]], neck: str) -> None:
    network = PanopticNetwork(replace(config, neck=neck))
    network.losses(**make_batch([(64, 64)], [1], 64), generator=seeded(0))["total"].backward()
    assert len(Supernet(network).space.choices) == 19 + (neck == "search")


def test_bfloat16_autocast_trains(network: PanopticNetwork, make_batch: Callable[..., dict[str, Any]]) -> None:
    for layer in (*network.segmentation.layers, *network.roi_heads.mask_head):
        layer[0]._dry_run_choice = "df3"
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = network.losses(**make_batch([(64, 64)], [2], 64), generator=seeded(0))
    assert all(loss.isfinite() for loss in losses.values())
    losses["total"].backward()
    network.eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        network.predict(torch.randn(1, 3, 64, 64), [(64, 64)], [(64, 64)])


def test_batch_norm_is_found_in_the_backbone_alone(network: PanopticNetwork) -> None:
    everywhere = {m for m in network.modules() if isinstance(m, nn.BatchNorm2d)}
    assert everywhere == {m for m in network.backbone.modules() if isinstance(m, nn.BatchNorm2d)}
    assert {m.momentum for m in everywhere} == {network.config.batch_norm_momentum}


def test_wrong_modes_are_refused(network: PanopticNetwork, make_batch: Callable[..., dict[str, Any]]) -> None:
    batch = make_batch([(64, 64)], [1], 64)
    with pytest.raises(RuntimeError, match=r"call network.eval\(\)"):
        network.predict(batch["images"], batch["sizes"], batch["sizes"])
    network.eval()
    with pytest.raises(RuntimeError, match=r"call network.train\(\)"):
        network.losses(**batch)


def test_batch_norms_need_more_than_one_cell(
    network: PanopticNetwork, make_batch: Callable[..., dict[str, Any]]
) -> None:
    with pytest.raises(ValueError, match=r"one image of 32x20 pixels has one cell at a stride of 32, .*\(batch_size\)"):
        network.losses(**make_batch([(32, 20)], [1], 32))
    assert torch.isfinite(network.losses(**make_batch([(32, 20), (32, 32)], [1, 1], 32))["total"])
    network.backbone.eval()
    assert torch.isfinite(network.losses(**make_batch([(32, 20)], [1], 32))["total"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": torch.zeros(1, 3, 64, 70)}, "multiples of 32, not 64 x 70"),
        ({"sizes": [(65, 64)]}, r"\[\(65, 64\)\] do not fit"),
        ({"sizes": [(64, 64)] * 2}, "do not fit 1 images"),
        ({"targets": []}, "as many targets, not 0"),
        ({"semantic": torch.zeros(1, 32, 64)}, r"not \(1, 32, 64\)"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused(
    network: PanopticNetwork, make_batch: Callable[..., dict[str, Any]], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        network.losses(**{**make_batch([(64, 64)], [1], 64), **changes})
