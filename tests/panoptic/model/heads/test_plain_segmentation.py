import pytest
import torch
from torch.nn import functional

from autopanoptic.nas import Width
from autopanoptic.panoptic.model.heads.plain_segmentation import PlainSegmentation
from autopanoptic.panoptic.model.padding import padded
from autopanoptic.panoptic.model.shapes import FeatureShape

LEVELS = {f"p{level}": FeatureShape(8, 2**level) for level in range(2, 7)}
PUBLISHED = {f"p{level}": FeatureShape(256, 2**level) for level in range(2, 7)}


def a_pyramid(batch=2, height=64, width=96, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        level: torch.randn(batch, 8, -(-height // shape.stride), -(-width // shape.stride), generator=generator)
        for level, shape in LEVELS.items()
    }


@pytest.fixture(name="head")
def _head():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PlainSegmentation(LEVELS, 4, 12, groups=3)


def test_layers_and_parameters_are_those_of_the_paper():
    head = PlainSegmentation(PUBLISHED, 54)
    assert {level: len(layers) for level, layers in head.layers.items()} == {"p2": 1, "p3": 1, "p4": 2, "p5": 3}
    # Four layers from the pyramid's 256 channels and three from 128; a norm has two parameters a channel.
    first, further, norm = 9 * 256 * 128, 9 * 128 * 128, 2 * 128
    parameters = sum(parameter.numel() for parameter in head.parameters())
    assert parameters == 4 * first + 3 * further + 7 * norm + 128 * 54 + 54


def test_equals_its_description(head):
    pyramid = a_pyramid()
    total = 0
    for level, layers in head.layers.items():
        x = pyramid[level]
        for layer in layers:
            conv, norm, _ = layer
            x = functional.conv2d(x, conv.weight, padding=1)
            x = functional.group_norm(x, 3, norm.weight, norm.bias).relu()
            if level != "p2":
                x = functional.interpolate(x, scale_factor=2, mode="bilinear")
        assert x.shape == (2, 12, 16, 24)
        total = total + x
    features = head(pyramid)
    assert {level: shape.channels for level, shape in head.output_shape.items()} == {"p2": 12}
    torch.testing.assert_close(features["p2"], total)
    torch.testing.assert_close(head.classify(features), head.score(total))
    assert head.classify(features).shape == (2, 4, 16, 24)


def test_sides_that_are_no_multiple_of_the_stride(head):
    assert head.classify(head(a_pyramid(1, 72, 104))).shape == (1, 4, 18, 26)


def test_an_image_does_not_depend_on_its_padding(head):
    pyramid = a_pyramid(1, 32, 64)
    alone = head.classify(head(pyramid))
    larger = {
        level: functional.pad(x, (0, 64 // LEVELS[level].stride, 0, 64 // LEVELS[level].stride))
        for level, x in pyramid.items()
    }
    with padded(torch.zeros(1, 3, 96, 128), [(32, 64)]):
        together = head.classify(head(larger))
    torch.testing.assert_close(together[:, :, :8, :16], alone, rtol=1e-4, atol=1e-5)


def test_gradients_reach_every_parameter(head):
    head.classify(head(a_pyramid())).square().sum().backward()
    assert all(parameter.grad.any() for parameter in head.parameters())


def test_elastic_widths_are_possible(in_space):
    head = in_space(lambda: PlainSegmentation(LEVELS, 4, Width("segmentation.width", (6, 12)), groups=4))
    assert head.classify(head(a_pyramid())).shape == (2, 4, 16, 24)
