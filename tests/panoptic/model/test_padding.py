"""What the padding of a batch does to the images in it: nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from autopanoptic.nas import Supernet
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.padding import BatchNorm2d, GroupNorm, blank, extend, padded, true_cells
from autopanoptic.panoptic.model.prediction import Prediction

SIZES = [(64, 64), (50, 37), (33, 64)]
ODD = [(96, 64), (64, 96), (32, 70)]
"""Sides of an odd number of cells at P5, into whose half of a coarser cell resizing spills."""


@pytest.fixture
def images() -> Tensor:
    images = torch.zeros(len(SIZES), 3, 64, 64)
    for image, (height, width) in zip(images, SIZES, strict=True):
        image[:, :height, :width] = torch.randn(3, height, width)
    return images


def network_of(config: PanopticConfig, options: dict[str, str]) -> PanopticNetwork:
    """A network that sees things, with batch-norm statistics of its own."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        supernet = Supernet(PanopticNetwork(replace(config, detections_per_image=8)))
        first = {choice.label: choice.options[0] for choice in supernet.space.choices}
        chosen = {label: options.get(label.partition(".")[0], option) for label, option in first.items()}
        network = supernet.subnet(supernet.space.canonical(chosen))
        assert isinstance(network, PanopticNetwork)
        with torch.no_grad():
            for _ in range(20):
                network.backbone(torch.randn(4, 3, 64, 64))
            network.roi_heads.box_predictor.classes.weight.normal_(std=0.3)
            network.rpn.head.cls_logits.weight.normal_(std=0.3)
            for name, parameter in network.named_parameters():
                if name.endswith("offset.weight"):
                    parameter.normal_(std=0.1)
    return network.eval()


def predictions(network: PanopticNetwork, images: Tensor, sizes: list[tuple[int, int]]) -> list[Prediction]:
    """What is found in some images of a batch."""
    return network.predict(images, sizes, sizes)


def agree(network: PanopticNetwork, images: Tensor) -> bool:
    """Whether images alone are seen as in a batch with 64 pixels more both ways, up to rounding."""
    together = predictions(network, functional.pad(images, (0, 64, 0, 64)), SIZES)
    alone = [predictions(network, images[k : k + 1], SIZES[k : k + 1])[0] for k in range(len(SIZES))]
    assert all(len(found.boxes) > 5 for found in alone)
    return all(
        len(a.boxes) == len(b.boxes)
        and torch.allclose(a.boxes, b.boxes, atol=1e-2)
        and torch.allclose(a.scores, b.scores, atol=1e-4)
        and (a.masks != b.masks).float().mean() < 1e-3
        and (a.semantic != b.semantic).float().mean() < 1e-3
        for a, b in zip(together, alone, strict=True)
    )


@pytest.mark.parametrize(
    ("block", "layer", "neck"),
    [("shuffle3", "dw3", "bifpn"), ("xception3", "df5", "fpn"), ("shuffle7", "at5", "panet")],
)
def test_an_image_is_seen_as_if_it_were_alone(
    config: PanopticConfig, images: Tensor, block: str, layer: str, neck: str
) -> None:
    options = {"backbone": block, "mask": layer, "segmentation": layer}
    assert agree(network_of(replace(config, neck=neck), options), images)


@pytest.mark.parametrize("neck", ["fpn", "panet", "bifpn"])
def test_an_image_that_ends_within_a_coarse_cell_is_seen_as_if_it_were_alone(config: PanopticConfig, neck: str) -> None:
    network = network_of(replace(config, neck=neck), {})
    for height, width in ODD:
        image = torch.randn(1, 3, height, width)
        near = functional.pad(image, (0, -width % 32, 0, -height % 32))
        far = torch.randn(2, 3, 128, 128)
        far[0] = functional.pad(image[0], (0, 128 - width, 0, 128 - height))
        with torch.no_grad():
            with padded(near, [(height, width)]):
                alone = network.neck(network.backbone(near))
            with padded(far, [(height, width), (128, 128)]):
                beside = network.neck(network.backbone(far))
        for level, stride in (("p2", 4), ("p3", 8), ("p4", 16), ("p5", 32)):
            rows, columns = -(-height // stride), -(-width // stride)
            torch.testing.assert_close(
                beside[level][:1, :, :rows, :columns], alone[level][:, :, :rows, :columns], rtol=1e-3, atol=1e-4
            )


@pytest.mark.parametrize("published", [{"padding_ignored": False}, {"segmentation_align_corners": True}])
def test_the_published_forms_see_the_padding(
    config: PanopticConfig, images: Tensor, published: dict[str, bool]
) -> None:
    assert not agree(network_of(replace(config, **published), {}), images)  # type: ignore[arg-type]


def test_training_draws_no_anchor_from_the_padding(config: PanopticConfig, images: Tensor) -> None:
    network = network_of(config, {}).train()
    targets = [{"boxes": torch.tensor([[4.0, 4, 24, 24]]), "labels": torch.tensor([1])} for _ in SIZES]
    anchors = network.rpn.anchor_generator
    wide = functional.pad(images, (0, 64, 0, 64))
    maps = [torch.zeros(3, 1, -(-128 // stride), -(-128 // stride)) for stride in (4, 8, 16, 32, 64)]
    with padded(wide, SIZES):
        anchors.set_cell_anchors(torch.float32, torch.device("cpu"))
        boxes = [torch.cat(anchors.grid_anchors([x.shape[-2:] for x in maps], anchors.strides)) for _ in SIZES]
        labels, _ = network.rpn.assign_targets_to_anchors(boxes, targets)
    for found, of_image, (height, width) in zip(labels, boxes, SIZES, strict=True):
        x, y = (of_image[:, 0] + of_image[:, 2]) / 2, (of_image[:, 1] + of_image[:, 3]) / 2
        beside = (x >= width) | (y >= height)
        assert (found[beside] == -1).all()
        assert (found[~beside] == 0).any()
        assert (found[~beside] == 1).any()


@pytest.mark.parametrize("sizes", [SIZES, [(40, 48)] * 3])
def test_norms_are_those_of_the_images_themselves(sizes: list[tuple[int, int]]) -> None:
    x = torch.randn(3, 8, 16, 16, requires_grad=True)
    cells = [(-(-height // 4), -(-width // 4)) for height, width in sizes]
    crops = [image[None, :, :h, :w] for image, (h, w) in zip(x, cells, strict=True)]
    grouped, plain, batch = GroupNorm(2, 8), nn.GroupNorm(2, 8), BatchNorm2d(8)
    reference = nn.BatchNorm2d(8)
    with padded(torch.zeros(3, 3, 64, 64), sizes):
        by_group, by_batch = grouped(x), batch(x)
    flat = torch.cat([crop.flatten(2)[0] for crop in crops], dim=1)
    whole = reference(flat[None, :, :, None])[0, :, :, 0].split([h * w for h, w in cells], dim=1)
    for k, ((h, w), crop) in enumerate(zip(cells, crops, strict=True)):
        torch.testing.assert_close(by_group[k, :, :h, :w], plain(crop)[0])
        torch.testing.assert_close(by_batch[k, :, :h, :w], whole[k].view(8, h, w))
        for found in (by_group, by_batch):
            assert not found[k, :, h:].any()
            assert not found[k, :, :, w:].any()
    torch.testing.assert_close(batch.running_mean, reference.running_mean)
    torch.testing.assert_close(batch.running_var, reference.running_var)
    (into,) = torch.autograd.grad((by_group + by_batch).square().sum(), x)
    assert not into[1, :, cells[1][0] :].any()
    assert into.isfinite().all()


def test_borders_are_repeated_and_padding_is_blanked() -> None:
    x = torch.arange(16.0).view(1, 1, 4, 4) + 1
    with padded(torch.zeros(1, 3, 16, 16), [(9, 8)]):
        assert blank(x)[0, 0].tolist() == [[1, 2, 0, 0], [5, 6, 0, 0], [9, 10, 0, 0], [0, 0, 0, 0]]
        assert extend(x)[0, 0].tolist() == [[1, 2, 2, 2], [5, 6, 6, 6], [9, 10, 10, 10], [9, 10, 10, 10]]
    assert true_cells(x) is None


def test_without_padding_nothing_is_masked() -> None:
    with padded(torch.zeros(2, 3, 64, 96), [(64, 96)] * 2):
        assert true_cells(torch.zeros(2, 1, 16, 24)) is None
    with padded(torch.zeros(2, 3, 64, 96), [(64, 96), (64, 95)]):
        assert true_cells(torch.zeros(2, 1, 64, 96)) is not None
        # At stride 4 the 95 columns cover all 24 cells.
        assert true_cells(torch.zeros(2, 1, 16, 24)) is None
