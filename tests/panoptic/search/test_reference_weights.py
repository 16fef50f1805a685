"""Weights under the names of Auto-Panoptic's published code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.data.loading.normalization import CAFFE_BGR, Normalization
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.results.saved import new_network
from autopanoptic.panoptic.search.reference_weights import from_reference, layout_of

DEPTHS, STEM, WIDTHS, PYRAMID, DECODER, HIDDEN = (2, 1, 1, 2), 8, (16, 24, 32, 48), 32, 32, 64
CONFIG = replace(
    PanopticConfig.coco(3, 2), stem_width=STEM, stage_widths=WIDTHS, stage_depths=DEPTHS, pyramid_channels=PYRAMID,
    segmentation_channels=DECODER, box_hidden=HIDDEN, norm_groups=8, fusion_reductions=(4, 8, 6),
)  # fmt: skip
BLOCKS = ["xception_3x3", "shufflenet_7x7", "shufflenet_3x3", "shufflenet_5x5", "xception_3x3", "xception_3x3"]
ORDER = ["shufflenet_3x3", "shufflenet_5x5", "shufflenet_7x7", "xception_3x3"]
OWN = dict(zip(ORDER, ("shuffle3", "shuffle5", "shuffle7", "xception3"), strict=True))
HEADS, MASK, SEG = ("dw3", "dw5", "df3", "df5", "at3", "at5"), ["at3", "dw5", "df3", "df5"], ["df3", "at5", "dw3"]
UNITS, F2B, B2F = ("r4", "r8", "r16"), ["r16", "r4", "r8", "r4"], ["r8", "r8", "r4", "r16", "r4"]
DIVISORS = {"r4": 4, "r8": 8, "r16": 6}
ARCHITECTURE = Architecture(
    {
        **{f"backbone.{n}": OWN[block] for n, block in enumerate(BLOCKS)},
        **{f"mask.{n}": option for n, option in enumerate(MASK)},
        **{f"segmentation.{n}": option for n, option in enumerate(SEG)},
        **{f"f2b.p{n}": option for n, option in enumerate(F2B, 2)},
        **{f"b2f.p{n}": option for n, option in enumerate(B2F, 2)},
    }
)
BODY, MASK_LAYER = "backbone.body.features.", "roi_heads.mask.feature_extractor.AutoPanoptic_mask_fcn_"
Shapes = Iterator[tuple[str, tuple[int, ...]]]


def norm(name: str, channels: int, *, running: bool = True) -> Shapes:
    parts = ("weight", "bias", "running_mean", "running_var") if running else ("weight", "bias")
    yield from ((f"{name}.{part}", (channels,)) for part in parts)


def separable(name: str, bn: str, entering: int, leaving: int, kernel: int) -> Shapes:
    yield f"{name}_s.weight", (entering, 1, kernel, kernel)
    yield from norm(f"{name}_s_bn", entering)
    yield f"{name}.weight", (leaving, entering, 1, 1)
    yield from norm(bn, leaving)


def block(at: str, place: str, kind: str, entering: int, leaving: int, stride: int) -> Shapes:
    """What a block of the published backbone holds; its names repeat its place and kind."""
    kernel, middle = int(kind[-1]), leaving // 2
    inside, outside = (entering, leaving - entering) if stride == 2 else (entering // 2, leaving // 2)
    conv, bn = f"interstellar{place}_{kind}_branch", f"bn{place}_{kind}_branch"
    if kind.startswith("xception"):
        for number, (a, b) in enumerate(((inside, middle), (middle, middle), (middle, outside))):
            letter = "abc"[number]
            name = f"{at}.conv.{number}."
            yield from separable(f"{name}{conv}2{letter}", f"{name}{bn}2{letter}", a, b, kernel)
    else:
        yield f"{at}.conv.0.{conv}2a.weight", (middle, inside, 1, 1)
        yield from norm(f"{at}.conv.0.{bn}2a", middle)
        yield from separable(f"{at}.conv.1.{conv}2b", f"{at}.conv.1.{bn}2b", middle, outside, kernel)
    if stride == 2:
        proj = f"{at}.proj_conv."
        yield from separable(f"{proj}interstellar{place}_proj", f"{proj}bn{place}_proj", entering, entering, kernel)


def body(prefix: str, kinds: list[list[str]], *, options: bool) -> Shapes:
    """The backbone with the kinds of each block, numbered where there are options."""
    yield f"{prefix}first_conv.conv.weight", (STEM, 3, 3, 3)
    yield f"{prefix}first_conv.conv.bias", (STEM,)
    yield from norm(f"{prefix}first_conv.bn", STEM)
    entering, number = STEM, 0
    for stage, (width, depth) in enumerate(zip(WIDTHS, DEPTHS, strict=True), 1):
        for position in range(depth):
            for kind in kinds[number]:
                at = f"{prefix}features.{number}" + (f".{ORDER.index(kind)}" if options else "")
                place = f"{stage}{'abcdefgh'[position]}"
                yield from block(at, place, kind, entering, width, 1 if position else 2)
            entering, number = width, number + 1


def layer(at: str, option: str, entering: int, leaving: int) -> Shapes:
    """An operator of a head, and the norm that is its own."""
    kind, kernel = option[:2], int(option[2])
    if kind == "dw":
        yield f"{at}.0.depthwise.weight", (entering, 1, kernel, kernel)
        yield f"{at}.0.depthwise.bias", (entering,)
        yield f"{at}.0.pointwise.weight", (leaving, entering, 1, 1)
        yield f"{at}.0.pointwise.bias", (leaving,)
    else:
        yield f"{at}.0.conv.weight", (leaving, entering, kernel, kernel)
        yield f"{at}.0.conv.bias", (leaving,)
    if kind == "df":
        yield f"{at}.0.conv.conv_offset.weight", (3 * kernel**2, entering, kernel, kernel)
        yield f"{at}.0.conv.conv_offset.bias", (3 * kernel**2,)
    yield from norm(f"{at}.1.groupnorm", leaving, running=False)


def rest(fpn: str, *, options: bool, classes: tuple[int, int]) -> Shapes:
    """Everything behind the backbone."""
    for level, width in enumerate((STEM, *WIDTHS), 1):
        for name, shape in (("inner", (PYRAMID, width, 1, 1)), ("layer", (PYRAMID, PYRAMID, 3, 3))):
            yield f"{fpn}fpn_{name}{level}.0.weight", shape
            yield from norm(f"{fpn}fpn_{name}{level}.1", PYRAMID, running=False)
    for level in range(5):
        yield f"rpn.anchor_generator.cell_anchors.{level}", (3, 4)
    for name, channels, kernel in (("conv", PYRAMID, 3), ("cls_logits", 3, 1), ("bbox_pred", 12, 1)):
        yield f"rpn.head.{name}.weight", (channels, PYRAMID, kernel, kernel)
        yield f"rpn.head.{name}.bias", (channels,)
    box = "roi_heads.box.feature_extractor.fc"
    for number, entering in ((6, PYRAMID * 49), (7, HIDDEN)):
        yield f"{box}{number}.0.weight", (HIDDEN, entering)
        yield from norm(f"{box}{number}.1", HIDDEN, running=False)
    things, stuff = classes
    for name, outputs in (("cls_score", 1 + things), ("bbox_pred", 4 + 4 * things)):
        yield f"roi_heads.box.predictor.{name}.weight", (outputs, HIDDEN)
        yield f"roi_heads.box.predictor.{name}.bias", (outputs,)
    for number, chosen in enumerate(MASK, 1):
        for index, option in enumerate(HEADS):
            if options or option == chosen:
                yield from layer(f"{MASK_LAYER}{number}{f'.{index}' if options else ''}", option, PYRAMID, PYRAMID)
    yield "roi_heads.mask.predictor.conv5_mask.weight", (PYRAMID, PYRAMID, 2, 2)
    yield "roi_heads.mask.predictor.conv5_mask.bias", (PYRAMID,)
    yield "roi_heads.mask.predictor.mask_fcn_logits.weight", (1 + things, PYRAMID, 1, 1)
    yield "roi_heads.mask.predictor.mask_fcn_logits.bias", (1 + things,)
    for number, chosen in enumerate(SEG):
        for index, option in enumerate(HEADS):
            if options or option == chosen:
                at = f"seg_branch.subnet0_{number}{f'.{index}' if options else ''}"
                yield from layer(at, option, DECODER if number else PYRAMID, DECODER)
    yield "seg_branch.score.weight", (1 + stuff, 4 * DECODER, 1, 1)
    yield "seg_branch.score.bias", (1 + stuff,)
    for where, found, entering, leaving in (
        ("f2b", F2B, 4 * PYRAMID, DECODER), ("seg_branch.b2f", B2F, 4 * DECODER, PYRAMID),
    ):  # fmt: skip
        for number, chosen in enumerate(found):
            for index, option in enumerate(UNITS):
                if options or option == chosen:
                    at, hidden = (
                        f"{where}.inter_layer{number}{f'.{index}' if options else ''}",
                        leaving // DIVISORS[option],
                    )
                    for fc, shape in (("0", (hidden, entering)), ("2", (leaving, hidden))):
                        yield f"{at}.fc.{fc}.weight", shape
                        yield f"{at}.fc.{fc}.bias", shape[:1]


def drawn(*parts: Shapes) -> dict[str, Tensor]:
    """Tensors of these names and shapes, every one another; variances are positive."""
    generator = torch.Generator().manual_seed(0)
    return {name: torch.rand(shape, generator=generator) for part in parts for name, shape in part}


def single(classes: tuple[int, int] = (3, 2)) -> dict[str, Tensor]:
    kinds = [[kind] for kind in BLOCKS]
    return drawn(body("backbone.body.", kinds, options=False), rest("backbone.fpn.", options=False, classes=classes))


def whole_supernet() -> dict[str, Tensor]:
    return drawn(body("backbone.", [ORDER] * 6, options=True), rest("fpn.", options=True, classes=(3, 2)))


@pytest.fixture(scope="module")
def network() -> PanopticNetwork:
    return new_network(CONFIG, ARCHITECTURE)


def taken(state: dict[str, Tensor], network: PanopticNetwork) -> dict[str, Any]:
    return from_reference(state, network.state_dict(), DEPTHS, ARCHITECTURE)


def test_every_tensor_of_a_found_network_is_taken_once(network: PanopticNetwork) -> None:
    state = single()
    found = taken(state, network)
    network.load_state_dict(found)
    unread = [name for name in state if "fpn_inner1" in name or "fpn_layer1" in name or "anchor_generator" in name]
    counters = [name for name in found if name.endswith("num_batches_tracked")]
    assert len(found) - len(counters) == len(state) - len(unread)
    adapted = {"backbone.stem.0.weight", "backbone.stem.0.bias", *counters}
    by_value = {value.double().sum().item(): name for name, value in state.items()}
    sources = [by_value[value.double().sum().item()] for name, value in found.items() if name not in adapted]
    assert len(set(sources)) == len(sources)


@pytest.mark.parametrize(
    ("own", "theirs"),
    [
        ("backbone.stem.1.running_var", "backbone.body.first_conv.bn.running_var"),
        ("backbone.stages.c2.0.branch.5.weight", f"{BODY}0.conv.1.interstellar1a_xception_3x3_branch2b_s.weight"),
        ("backbone.stages.c2.0.projection.3.bias", f"{BODY}0.proj_conv.bn1a_proj.bias"),
        ("backbone.stages.c2.1.branch.3.weight", f"{BODY}1.conv.1.interstellar1b_shufflenet_7x7_branch2b_s.weight"),
        ("backbone.stages.c5.1.branch.13.weight", f"{BODY}5.conv.2.bn4b_xception_3x3_branch2c.weight"),
        ("neck.pyramid.fpn.inner_blocks.0.0.weight", "backbone.fpn.fpn_inner2.0.weight"),
        ("neck.pyramid.fpn.layer_blocks.3.1.bias", "backbone.fpn.fpn_layer5.1.bias"),
        ("roi_heads.box_head.4.weight", "roi_heads.box.feature_extractor.fc7.0.weight"),
        ("roi_heads.mask_head.0.0.weight", f"{MASK_LAYER}1.0.conv.weight"),
        ("roi_heads.mask_head.3.1.bias", f"{MASK_LAYER}4.1.groupnorm.bias"),
        ("segmentation.layers.0.0.offset.weight", "seg_branch.subnet0_0.0.conv.conv_offset.weight"),
        ("segmentation.layers.2.0.pointwise.bias", "seg_branch.subnet0_2.0.pointwise.bias"),
        ("foreground_to_background.units.p2.squeeze.weight", "f2b.inter_layer0.fc.0.weight"),
        ("background_to_foreground.units.p6.excite.bias", "seg_branch.b2f.inter_layer4.fc.2.bias"),
    ],
)  # fmt: skip
def test_names_mean_the_same_layer(own: str, theirs: str, network: PanopticNetwork) -> None:
    state = single()
    assert torch.equal(taken(state, network)[own], state[theirs])


def test_a_path_of_a_supernet_is_that_of_its_options(network: PanopticNetwork) -> None:
    state = whole_supernet()
    found = taken({f"module.{name}": value for name, value in state.items()}, network)
    network.load_state_dict(found)
    for own, theirs in (
        (
            "backbone.stages.c2.1.branch.3.weight",
            "backbone.features.1.2.conv.1.interstellar1b_shufflenet_7x7_branch2b_s.weight",
        ),
        ("neck.pyramid.fpn.inner_blocks.1.0.weight", "fpn.fpn_inner3.0.weight"),
        ("roi_heads.mask_head.1.0.depthwise.weight", f"{MASK_LAYER}2.1.0.depthwise.weight"),
        ("segmentation.layers.1.1.weight", "seg_branch.subnet0_1.5.1.groupnorm.weight"),
        ("foreground_to_background.units.p2.squeeze.weight", "f2b.inter_layer0.2.fc.0.weight"),
    ):  # fmt: skip
        assert torch.equal(found[own], state[theirs]), own


def test_a_supernets_backbone_is_taken_whole_and_its_heads_are_not() -> None:
    with torch.device("meta"):
        supernet = PanopticNetwork(CONFIG)
    own = supernet.state_dict()
    backbone = {name: value for name, value in own.items() if name.startswith("backbone.")}
    state = whole_supernet()
    found = from_reference(state, backbone, DEPTHS)
    name = "backbone.stages.c4.0.shuffle5.branch.0.weight"
    assert torch.equal(found[name], state["backbone.features.3.1.conv.0.interstellar3a_shufflenet_5x5_branch2a.weight"])
    assert {name: value.shape for name, value in found.items()} == {
        name: value.shape for name, value in backbone.items()
    }
    with pytest.raises(ValueError, match=r"has no counterpart .* network of one architecture .* or a backbone"):
        from_reference(state, own, DEPTHS)


def test_weights_of_the_classification_are_the_backbone_alone(network: PanopticNetwork) -> None:
    classifier = drawn(
        body("", [[kind] for kind in BLOCKS], options=False),
        iter([("last_conv.conv.weight", (48, 48, 1, 1)), ("fc.fc.weight", (1000, 48))]),
    )
    own = {name: value for name, value in network.state_dict().items() if name.startswith("backbone.")}
    found = from_reference(classifier, own, DEPTHS, ARCHITECTURE)
    assert torch.equal(found["backbone.stem.1.bias"], classifier["first_conv.bn.bias"])
    assert list(found) == list(own)


@pytest.mark.parametrize(
    ("prefix", "mean"), [("backbone.body.", (102.9801, 115.9465, 122.7717)), ("", (0.0, 0.0, 0.0))]
)
def test_the_first_convolution_sees_the_same_pixels(
    prefix: str, mean: tuple[float, float, float], network: PanopticNetwork
) -> None:
    state = {**drawn(body(prefix, [[kind] for kind in BLOCKS], options=False))}
    own = {name: value for name, value in network.state_dict().items() if name.startswith("backbone.")}
    found = from_reference(state, own, DEPTHS, ARCHITECTURE)
    rgb = torch.randint(256, (1, 3, 16, 16), generator=torch.Generator().manual_seed(1)).float()
    theirs = rgb.flip(1) - torch.tensor(mean).view(3, 1, 1)
    imagenet = [torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    ours = (rgb / 255 - imagenet[0]) / imagenet[1]
    wanted = functional.conv2d(
        theirs, state[f"{prefix}first_conv.conv.weight"], state[f"{prefix}first_conv.conv.bias"], stride=2
    )
    seen = functional.conv2d(ours, found["backbone.stem.0.weight"], found["backbone.stem.0.bias"], stride=2)
    torch.testing.assert_close(seen, wanted, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("normalization", [CAFFE_BGR, replace(CAFFE_BGR, std=(57.0, 58.0, 59.0))])
def test_images_as_there_need_no_other_first_convolution(
    normalization: Normalization, network: PanopticNetwork
) -> None:
    state = {**drawn(body("backbone.body.", [[kind] for kind in BLOCKS], options=False))}
    own = {name: value for name, value in network.state_dict().items() if name.startswith("backbone.")}
    found = from_reference(state, own, DEPTHS, ARCHITECTURE, normalization)
    weight, bias = (state[f"backbone.body.first_conv.conv.{part}"] for part in ("weight", "bias"))
    std = torch.tensor(normalization.std)[:, None, None]
    assert torch.equal(found["backbone.stem.0.weight"], weight * std)
    assert torch.equal(found["backbone.stem.0.bias"], bias)


def test_misfits_are_named_as_they_are_called_there(network: PanopticNetwork) -> None:
    state = single()
    del state["seg_branch.score.bias"]
    with pytest.raises(ValueError, match=r"published code, 1 missing: seg_branch\.score\.bias"):
        taken(state, network)
    with pytest.raises(ValueError, match=r"1 unknown: backbone\.body\.extra"):
        taken({**single(), "backbone.body.extra": torch.zeros(1)}, network)
    other = Architecture({**ARCHITECTURE, "backbone.1": "shuffle5"})
    with pytest.raises(ValueError, match=r"missing, such as backbone\.body\.features\.1\..*shufflenet_5x5"):
        from_reference(single(), network.state_dict(), DEPTHS, other)
    with pytest.raises(ValueError, match="these are not the names"):
        taken({"a": torch.zeros(1)}, network)
    assert layout_of({"conv1.weight"}) is None
