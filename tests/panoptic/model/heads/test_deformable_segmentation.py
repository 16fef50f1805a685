import pytest
import torch
from torch.nn import functional

from autopanoptic.nas import Width
from autopanoptic.panoptic.model.heads.deformable_segmentation import (
    DeformableSegmentation,
    all_classes,
    region_loss,
)
from autopanoptic.panoptic.model.heads.roi_align import roi_align
from autopanoptic.panoptic.model.padding import padded
from autopanoptic.panoptic.model.shapes import FeatureShape
from tests.pretended_gpu import PretendedGpu, on_gpu

LEVELS = {f"p{level}": FeatureShape(8, 2**level) for level in range(2, 7)}
PUBLISHED = {f"p{level}": FeatureShape(256, 2**level) for level in range(2, 7)}


def a_pyramid(batch=2, height=64, width=96, channels=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        level: torch.randn(batch, channels, height // shape.stride, width // shape.stride, generator=generator)
        for level, shape in LEVELS.items()
    }


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(name="head")
def _head():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DeformableSegmentation(LEVELS, 5, (12, 6))


def test_layers_and_parameters_are_those_of_the_paper():
    head = DeformableSegmentation(PUBLISHED, 133)
    offsets = 3 * 18 + 9 * 18 * (256 + 256 + 128)
    kernels = 9 * (256 * 256 + 256 * 128 + 128 * 128) + 256 + 128 + 128
    assert count(head) == offsets + kernels + 512 * 133 + 133
    assert head.classes.in_channels == 512
    assert {shape.channels for shape in head.output_shape.values()} == {128}
    for conv, *_ in head.layers:
        assert not conv.modulated
        assert not conv.offset.weight.any()
        assert not conv.offset.bias.any()


def test_it_begins_as_plain_convolutions(head):
    pyramid = a_pyramid()
    features = head(pyramid)
    assert list(features) == ["p2", "p3", "p4", "p5"]
    for level, found in features.items():
        expected = pyramid[level]
        for conv, *_ in head.layers:
            expected = functional.conv2d(expected, conv.weight, conv.bias, padding=1).relu()
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_all_classes_are_scored_from_all_levels_side_by_side(head):
    features = head(a_pyramid())
    size = features["p2"].shape[-2:]
    enlarged = [functional.interpolate(x, size=size, mode="bilinear") for x in features.values()]
    joined = torch.cat(enlarged, dim=1)
    torch.testing.assert_close(head.joined(features), joined)
    found = head.classify(features)
    assert found.shape == (2, 5, 16, 24)
    torch.testing.assert_close(found, head.classes(joined))


def test_gradients_reach_every_parameter(head):
    head.classify(head(a_pyramid())).square().sum().backward()
    # The offsets' kernels start at zero, and so have a gradient themselves.
    assert all(parameter.grad.any() for parameter in head.parameters())


def test_an_image_does_not_depend_on_its_padding(head):
    pyramid = a_pyramid(1, 32, 64)
    for conv, *_ in head.layers:
        torch.nn.init.normal_(conv.offset.weight, std=0.1, generator=torch.Generator().manual_seed(1))
    alone = head.classify(head(pyramid))
    larger = {
        level: functional.pad(x, (0, 64 // LEVELS[level].stride, 0, 64 // LEVELS[level].stride))
        for level, x in pyramid.items()
    }
    with padded(torch.zeros(1, 3, 96, 128), [(32, 64)]):
        together = head.classify(head(larger))
    torch.testing.assert_close(together[:, :, :8, :16], alone, rtol=1e-4, atol=1e-5)


def test_elastic_widths_are_possible(in_space):
    head = in_space(lambda: DeformableSegmentation(LEVELS, 5, (Width("segmentation.width", (6, 12)),) * 2))
    assert head.classify(head(a_pyramid())).shape == (2, 5, 16, 24)


@pytest.mark.parametrize(("classes", "widths"), [(5, ()), (0, (8,)), (256, (8,))])
def test_what_cannot_be_is_refused(classes, widths):
    with pytest.raises(ValueError, match=f"{len(widths)} layers, {classes} classes"):
        DeformableSegmentation(LEVELS, classes, widths)


def test_all_classes_by_hand():
    semantic = torch.tensor([[1, 2, 0, 0], [0, 255, 0, 0]], dtype=torch.uint8)
    instances = torch.tensor([[0, 0, 1, 2], [2, 0, 0, 1]])
    found = all_classes(semantic, instances, torch.tensor([3, 1]), 2)
    assert found.tolist() == [[0, 1, 4, 2], [2, 255, 255, 4]]
    assert all_classes(semantic[:, :2], instances[:, :2] * 0, torch.tensor([], dtype=torch.int64), 2).tolist() == [
        [0, 1],
        [255, 255],
    ]


def test_the_loss_of_regions_equals_its_description(head):
    """RoIAlign of the joined features, the same 1x1, cross-entropy with the classes in the box."""
    features = head(a_pyramid())
    classes = torch.randint(0, 5, (2, 64, 96), generator=torch.Generator().manual_seed(2))
    classes[:, 30:40] = 255
    boxes = [torch.tensor([[3.0, 5, 50.5, 40]]), torch.tensor([[10.0, 20, 20, 60], [0, 0, 96, 64]])]
    rois = torch.cat([torch.cat((torch.full((len(b), 1), i), b), dim=1) for i, b in enumerate(boxes)])
    pooled = head.classes(roi_align(head.joined(features), rois, 28, 0.25, 2, True))
    total, cells = 0, 0
    for index, (image, x1, y1, x2, y2) in enumerate(rois.tolist()):
        for row in range(28):
            for column in range(28):
                y, x = int(y1 + (row + 0.5) / 28 * (y2 - y1)), int(x1 + (column + 0.5) / 28 * (x2 - x1))
                wanted = int(classes[int(image), y, x])
                if wanted != 255:
                    total += -pooled[index, :, row, column].detach().log_softmax(0)[wanted].item()
                    cells += 1
    found = region_loss(head.classify(features), classes, boxes)
    assert found.item() == pytest.approx(total / cells, rel=1e-4)


def test_the_loss_without_things_is_zero_and_has_a_gradient(head):
    logits = head.classify(head(a_pyramid()))
    loss = region_loss(logits, torch.zeros(2, 64, 96, dtype=torch.int64), [torch.zeros(0, 4)] * 2)
    loss.backward()
    assert loss.item() == 0
    void = region_loss(logits.detach(), torch.full((1, 64, 96), 255), [torch.tensor([[0.0, 0, 9, 9]])])
    assert void.item() == 0


def test_half_precision_runs(head):
    with torch.autocast("cpu", torch.bfloat16):
        logits = head.classify(head(a_pyramid()))
        loss = region_loss(logits, torch.zeros(2, 64, 96, dtype=torch.int64), [torch.tensor([[0.0, 0, 9, 9]])] * 2)
    assert loss.dtype == torch.float32
    plain = region_loss(
        head.classify(head(a_pyramid())),
        torch.zeros(2, 64, 96, dtype=torch.int64),
        [torch.tensor([[0.0, 0, 9, 9]])] * 2,
    )
    assert loss.item() == pytest.approx(plain.item(), rel=0.02)


def test_a_gpu_needs_no_wait_for_the_loss():
    logits = torch.randn(2, 5, 16, 24, generator=torch.Generator().manual_seed(0))
    classes = torch.randint(0, 5, (2, 64, 96), generator=torch.Generator().manual_seed(2))
    boxes = [torch.tensor([[3.0, 5, 50.5, 40]]), torch.tensor([[10.0, 20, 20, 60]])]
    with PretendedGpu() as gpu:
        found = region_loss(on_gpu(logits), on_gpu(classes), on_gpu(boxes))
    assert gpu.waits.total() == 0
    torch.testing.assert_close(found.inner, region_loss(logits, classes, boxes))


def test_no_shape_depends_on_values(head):
    pyramid = {level: x.to("meta") for level, x in a_pyramid().items()}
    assert head.to("meta").classify(head(pyramid)).shape == (2, 5, 16, 24)
