"""Fixed backbones: shapes, costs, what is frozen, and that padding changes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from autopanoptic.nas import FlopCount, ModelSpace, Supernet
from autopanoptic.panoptic.model.backbone.backbone import Backbone
from autopanoptic.panoptic.model.backbone.build import build_backbone
from autopanoptic.panoptic.model.backbone.efficientnet_lite import FromImageNet, SamePadding
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.padding import FrozenBatchNorm2d, padded
from autopanoptic.panoptic.model.shapes import Features
from autopanoptic.panoptic.training.optimizer import make_optimizer
from autopanoptic.panoptic.training.recipe import Recipe

LITE, RESNET = "efficientnet-lite0", "resnet50"


def fixed(kind: str, **changes: object) -> PanopticConfig:
    return replace(PanopticConfig.scenes(3, 2), backbone=kind, **changes)  # type: ignore[arg-type]


def seeded_backbone(config: PanopticConfig) -> Backbone:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_backbone(config)


@pytest.mark.parametrize(("kind", "channels"), [(LITE, [24, 40, 112, 320]), (RESNET, [256, 512, 1024, 2048])])
def test_declared_shapes_are_the_shapes_given(kind: str, channels: list[int]) -> None:
    with torch.device("meta"):
        backbone = build_backbone(fixed(kind))
        features = backbone(torch.zeros(2, 3, 64, 96))
    assert [shape.channels for shape in backbone.output_shape.values()] == channels
    for level, shape in backbone.output_shape.items():
        assert features[level].shape == (2, shape.channels, 64 // shape.stride, 96 // shape.stride), level


@pytest.mark.parametrize(
    ("kind", "whole", "classifier"),
    [
        # Of the published models, and of what stands behind C5 in them: a linear layer, in the other a 1x1 convolution
        # and its norm as well.
        (RESNET, 25_557_032, 2048 * 1000 + 1000),
        (LITE, 4_652_008, 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000),
    ],
)
def test_parameters_are_those_of_the_published_models(kind: str, whole: int, classifier: int) -> None:
    with torch.device("meta"):
        backbone = build_backbone(fixed(kind, backbone_freeze_at=0, backbone_frozen_norms=False))
    assert sum(parameter.numel() for parameter in backbone.parameters()) + classifier == whole


class BackboneSpace(ModelSpace):
    def __init__(self, config: PanopticConfig) -> None:
        super().__init__()
        self.backbone = build_backbone(config)

    def forward(self, images: torch.Tensor) -> Features:
        features: Features = self.backbone(images)
        return features


@pytest.mark.parametrize(("kind", "gmacs"), [(LITE, 0.364), (RESNET, 4.087)])
def test_operations_are_those_that_the_guide_says(kind: str, gmacs: float) -> None:
    """ResNet-50 has 4.089, as torchvision says, with its linear layer."""
    with torch.device("meta"):
        supernet = Supernet(BackboneSpace(fixed(kind)))
    assert FlopCount(supernet, torch.empty(1, 3, 224, 224), unit=1e9)({}) == pytest.approx(gmacs, abs=0.0005)


def test_caffes_resnet_halves_in_its_first_convolutions() -> None:
    config = fixed(RESNET, backbone_stride_in_1x1=True)
    with torch.device("meta"):
        here, there = build_backbone(config), build_backbone(fixed(RESNET))
        features = here(torch.zeros(1, 3, 64, 64))
    assert [tuple(x.shape[-2:]) for x in features.values()] == [(16, 16), (8, 8), (4, 4), (2, 2)]
    for level in ("c3", "c4", "c5"):
        strides = [
            [getattr(backbone.stages[level][place], f"conv{n}").stride[0] for n in (1, 2, 3)]  # type: ignore[index]
            for backbone in (here, there)
            for place in (0, 1)
        ]
        assert strides == [[2, 1, 1], [1, 1, 1], [1, 2, 1], [1, 1, 1]]
    assert here.state_dict().keys() == there.state_dict().keys()


def test_same_padding_is_tensorflows() -> None:
    """It needs 1 pixel more for 6 by a kernel of 3 and stride 2, and 3 for one of 5: the odd one at the end."""
    for kernel, sums in ((3, [1 + 2 + 3, 3 + 4 + 5, 5 + 6]), (5, [1 + 2 + 3 + 4, 2 + 3 + 4 + 5 + 6, 4 + 5 + 6])):
        layer = SamePadding(1, 1, kernel, 2)
        nn.init.zeros_(layer.weight)
        nn.init.ones_(layer.weight[0, 0, kernel // 2])  # sums along the middle row of a window
        assert layer(torch.arange(1.0, 7.0).expand(1, 1, 6, 6))[0, 0, 1].tolist() == sums, kernel


def test_lite_sees_pixels_as_its_authors_scale_them() -> None:
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = torch.arange(0, 255, 17.0)
    for channel in range(3):
        image = torch.zeros(1, 3, 1, len(pixels))
        image[0, channel, 0] = (pixels / 255 - mean[channel]) / std[channel]
        torch.testing.assert_close(FromImageNet()(image)[0, channel, 0], (pixels - 127) / 128)


@pytest.mark.parametrize("freeze_at", [0, 1, 2, 5])
@pytest.mark.parametrize("norms", [True, False])
def test_what_is_frozen_stays_and_the_rest_learns(freeze_at: int, norms: bool) -> None:
    backbone = seeded_backbone(fixed(LITE, backbone_freeze_at=freeze_at, backbone_frozen_norms=norms)).train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    network = nn.ModuleDict({"backbone": backbone, "head": nn.Conv2d(320, 1, 1)})
    optimizer = make_optimizer(Recipe(passes=1, learning_rate=0.1), network)
    network["head"](backbone(torch.randn(2, 3, 64, 64))["c5"]).square().mean().backward()
    optimizer.step()
    changed = {name for name, value in backbone.state_dict().items() if not torch.equal(value, before[name])}
    parts = ["stem.", *(f"stages.c{level}." for level in range(2, 6))]
    for number, part in enumerate(parts, 1):
        kernels = {name for name, value in before.items() if name.startswith(part) and value.dim() == 4}
        others = {name for name in before if name.startswith(part)} - kernels
        assert kernels.isdisjoint(changed) if number <= freeze_at else kernels <= changed, part
        assert others.isdisjoint(changed) if norms or number <= freeze_at else others & changed, part


def test_frozen_norms_are_no_batch_norms_to_recalibrate() -> None:
    frozen = build_backbone(fixed(RESNET))
    assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in frozen.modules())
    free = build_backbone(fixed(RESNET, backbone_frozen_norms=False, backbone_freeze_at=1))
    kinds = [isinstance(module, FrozenBatchNorm2d) for module in free.stem.modules()]
    assert sum(kinds) == 1
    assert sum(isinstance(module, nn.BatchNorm2d) for module in free.modules()) == 52


def test_a_frozen_norm_computes_what_a_batch_norm_does_in_evaluation() -> None:
    norm, x = nn.BatchNorm2d(4, eps=1e-3), torch.randn(2, 4, 3, 3)
    for value in norm.state_dict().values():
        if value.dim():
            value.uniform_(0.5, 2)
    frozen = FrozenBatchNorm2d(4, 1e-3)
    state = norm.state_dict()
    del state["num_batches_tracked"]
    frozen.load_state_dict(state)
    torch.testing.assert_close(frozen.train()(x), norm.eval()(x))


@pytest.mark.parametrize("kind", [LITE, RESNET])
def test_an_image_is_seen_alike_alone_and_in_a_padded_batch(kind: str) -> None:
    backbone = seeded_backbone(fixed(kind)).eval()
    image = torch.randn(1, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    near, far = torch.zeros(1, 3, 64, 64), torch.zeros(2, 3, 96, 128)
    near[:, :, :40, :56], far[:1, :, :40, :56] = image, image
    found = []
    for batch, sizes in ((near, [(40, 56)]), (far, [(40, 56), (96, 128)])):
        with padded(batch, sizes), torch.no_grad():
            found.append(backbone(batch))
    for level, shape in backbone.output_shape.items():
        height, width = -(-40 // shape.stride), -(-56 // shape.stride)
        alone, beside = (features[level][0, :, :height, :width] for features in found)
        torch.testing.assert_close(alone, beside, rtol=1e-4, atol=1e-5 * float(alone.abs().max()))
        assert not found[1][level][0, :, height:].any(), level


def test_a_config_says_what_is_wrong_with_its_backbone() -> None:
    for changes, message in (
        ({"backbone": " "}, "backbone must be search, resnet50"),
        ({"backbone_freeze_at": 6}, "backbone_freeze_at counts the stem and C2 to C5, so it is 0 to 5, not 6"),
        ({"backbone_freeze_at": -1}, "backbone_freeze_at must be an integer of at least 0"),
        ({"backbone_blocks": ("shuffle3",)}, "backbone_blocks are for shufflenet and interleaved"),
        ({"backbone": "shufflenet"}, "an operator for each of the 6 blocks of a shufflenet"),
        ({"backbone": "shufflenet", "backbone_blocks": ("shuffle4",) * 5}, "for each of the 6 blocks.*not .*shuffle4"),
        (
            {"backbone": "shufflenet", "backbone_blocks": ("shuffle4",) * 6},
            "backbone_blocks: there is no backbone block 'shuffle4', only shuffle3, .* --import MODULE",
        ),
        (
            {"backbone": "search", "backbone_freeze_at": 3},
            "backbone_freeze_at is for a fixed backbone, .*; leave it out",
        ),
        ({"backbone": "search", "backbone_frozen_norms": True}, "backbone_frozen_norms is for a fixed backbone"),
        ({"backbone": LITE, "backbone_stride_in_1x1": True}, "backbone_stride_in_1x1 .* is efficientnet-lite0; leave"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(PanopticConfig.scenes(3, 2), **changes)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"backbone='weights\.pt' is a file of weights, if anything"):
        build_backbone(fixed("weights.pt"))
