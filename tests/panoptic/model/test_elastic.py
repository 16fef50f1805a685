"""The space in which widths and depths are choices, too."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from autopanoptic.nas import ElasticLayer, FlopCount, ParameterCount, Supernet, sort_channels
from autopanoptic.nas.supernet.elastic.chosen import Chosen
from autopanoptic.panoptic.model.backbone.blocks import InterleavedBlock, split_pairs
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.operators.deform import FLOP_FORMULAS
from autopanoptic.panoptic.model.operators.options import BLOCK_OPTIONS
from autopanoptic.panoptic.model.outputs import DenseOutputs
from autopanoptic.panoptic.search.strategies import family, hand_made
from tests.gradients import without_gradient

TINY = replace(
    PanopticConfig.scenes(2, 2),
    space="elastic",
    elastic_blocks=BLOCK_OPTIONS,
    stem_width=4,
    c2_widths=(4, 8),
    c3_widths=(8, 12, 16),
    c4_widths=(12, 16),
    c5_widths=(8, 20),
    c3_depths=(1, 2),
    pyramid_widths=(16, 24, 32),
    segmentation_widths=(18, 24),
    mask_widths=(12, 18, 24),
    norm_groups=4,
    box_hidden=16,
    rpn_post_nms_test=6,
    detections_per_image=4,
)


def supernet_of(config: PanopticConfig, **keywords: Any) -> Supernet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Supernet(PanopticNetwork(config), **keywords)


@pytest.fixture(scope="module")
def tiny() -> Supernet:
    return supernet_of(TINY)


def tensors(outputs: DenseOutputs) -> list[Tensor]:
    dense = (outputs.class_logits, outputs.box_deltas, outputs.mask_logits, outputs.segmentation)
    return [*outputs.objectness, *outputs.anchor_deltas, *(found for found in dense if found is not None)]


def test_a_network_alone_is_made_of_plain_numbers(tiny: Supernet) -> None:
    """Exporters cannot trace arithmetics with a choice's number."""
    network = tiny.subnet(hand_made(tiny.space))
    for name, module in network.named_modules():
        kept = {key: value for key, value in vars(module).items() if isinstance(value, Chosen)}
        assert kept == {}, name


def test_every_size_is_a_choice_and_published_operators_stay(tiny: Supernet) -> None:
    labels = {choice.label: choice for choice in tiny.space.choices}
    for part in ("backbone.c2", "backbone.c3", "backbone.c4", "backbone.c5", "pyramid", "segmentation", "mask"):
        assert {f"{part}.width", f"{part}.depth"} <= set(labels)
    assert labels["backbone.c3.1"].conditions == (("backbone.c3.depth", (2,)),)
    assert labels["backbone.c3.1"].options == ("shuffle3", "shuffle5", "shuffle7", "xception3")
    assert labels["mask.2"].options == ("dw3", "dw5", "df3", "df5", "at3", "at5")
    assert {label for label in labels if label.startswith(("f2b", "b2f"))} == {
        *(f"f2b.p{level}" for level in range(2, 6)),
        *(f"b2f.p{level}" for level in range(2, 7)),
    }


def test_a_config_may_narrow_the_blocks_of_the_elastic_space_alone() -> None:
    some = replace(TINY, elastic_blocks=("shuffle3", "shuffle7"))
    blocks = [choice for choice in supernet_of(some).space.choices if choice.label.startswith("backbone.c3.")]
    assert {choice.options for choice in blocks if choice.label[-1].isdigit()} == {("shuffle3", "shuffle7")}
    published = supernet_of(replace(some, space="auto-panoptic")).space
    assert {c.options for c in published.choices if c.label.startswith("backbone.")} == {BLOCK_OPTIONS}


@pytest.mark.parametrize("blocks", [(), ("shuffle3", "shuffle9"), ("shuffle3", "shuffle3")])
def test_blocks_that_are_none_or_unknown_are_refused(blocks: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"elastic_blocks(: there is no backbone block| must hold at least one name)"):
        replace(TINY, elastic_blocks=blocks)


@pytest.mark.slow
def test_all_layers_agree_on_their_widths() -> None:
    supernet_of(replace(TINY, neck="search"), inputs=[torch.zeros(1, 3, 64, 64)])


@pytest.mark.parametrize("neck", ["fpn", "search"])
def test_a_subnet_is_the_active_path_bit_for_bit(neck: str) -> None:
    supernet = supernet_of(replace(TINY, neck=neck))
    images = torch.randn(2, 3, 64, 64)
    for seed in range(8):
        architecture = supernet.space.sample(np.random.default_rng(seed))
        supernet.activate(architecture)
        supernet.module.train()
        with torch.no_grad():
            supernet.module(images)  # statistics of batch norm
        supernet.module.eval()
        subnet = supernet.subnet(architecture).eval()
        assert not any(isinstance(module, ElasticLayer) for module in subnet.modules())
        with torch.no_grad():
            expected, found = supernet.module(images), subnet(images)
        for a, b in zip(tensors(expected), tensors(found), strict=True):
            assert torch.equal(a, b)


def test_paths_train_every_active_parameter_and_no_other_channel(
    tiny: Supernet, make_batch: Callable[..., dict[str, Any]]
) -> None:
    batch = make_batch([(64, 64), (50, 40)], [3, 2], 64)
    for target in batch["targets"]:
        target["labels"] = target["labels"].clamp(max=TINY.num_things)
    network = tiny.module.train()
    smallest = {choice.label: choice.options[0] for choice in tiny.space.choices}
    tiny.activate(tiny.space.canonical(smallest))
    network.zero_grad()
    losses = network.losses(**batch, generator=torch.Generator().manual_seed(0))
    assert all(loss.isfinite() for loss in losses.values())
    losses["total"].backward()
    assert without_gradient(tiny) == []
    kernel = network.segmentation.layers.blocks[0][0]["dw3"].pointwise.weight.grad
    assert kernel[:18, :16].abs().sum() > 0
    assert kernel[18:].abs().sum() + kernel[:, 16:].abs().sum() == 0


def test_predictions_are_those_of_the_subnet(tiny: Supernet, make_batch: Callable[..., dict[str, Any]]) -> None:
    batch = make_batch([(64, 64), (50, 40)], [0, 0], 64)
    architecture = tiny.space.sample(np.random.default_rng(5))
    tiny.activate(architecture)
    tiny.module.eval()
    inputs = batch["images"], batch["sizes"], batch["sizes"]
    for a, b in zip(tiny.module.predict(*inputs), tiny.subnet(architecture).eval().predict(*inputs), strict=True):  # type: ignore[operator]
        assert torch.equal(a.semantic, b.semantic)
        assert torch.equal(a.boxes, b.boxes)
        assert torch.equal(a.masks, b.masks)


@pytest.mark.parametrize("option", ["shuffle3", "xception3"])
def test_a_narrower_block_computes_a_prefix_of_a_wider_ones_channels(option: str, in_space: Callable[..., Any]) -> None:
    wide, narrow = (InterleavedBlock(8, width, 2, option, 0.1).eval() for width in (16, 8))
    for name, tensor in narrow.state_dict().items():
        whole = wide.state_dict()[name]
        tensor.copy_(whole[tuple(slice(side) for side in tensor.shape)])
    with torch.no_grad():
        # Depthwise kernels and pointwise ones of the first channels alone: equal where no sum runs over the others.
        x = torch.randn(1, 8, 8, 8)
        assert wide.projection is not None
        assert narrow.projection is not None
        torch.testing.assert_close(wide(x)[:, 0:8:2], narrow(x)[:, 0::2])


def test_pairs_of_a_prefix_are_prefixes_of_the_pairs() -> None:
    channels = torch.arange(16.0).view(1, 16, 1, 1)
    kept, entering = split_pairs(channels)
    assert kept.flatten().tolist() == [0, 1, 4, 5, 8, 9, 12, 13]
    assert entering.flatten().tolist() == [2, 3, 6, 7, 10, 11, 14, 15]
    for width in (4, 8, 12):
        for part, whole in zip(split_pairs(channels[:, :width]), (kept, entering), strict=True):
            assert torch.equal(part, whole[:, : width // 2])


@pytest.mark.parametrize(
    ("config", "size"),
    [(PanopticConfig.scenes(3, 3), (96, 96)), (PanopticConfig.coco(80, 53), (800, 1344))],
    ids=["scenes", "coco"],
)
def test_flops_range_over_six_to_one_around_the_fixed_network(config: PanopticConfig, size: tuple[int, int]) -> None:
    with torch.device("meta"):
        elastic = Supernet(PanopticNetwork(replace(config, space="elastic")))
        fixed = Supernet(PanopticNetwork(config))
    images = torch.empty(1, 3, *size, device="meta")
    flops, fixed_flops = (FlopCount(supernet, images, formulas=FLOP_FORMULAS) for supernet in (elastic, fixed))
    members = family(elastic.space)
    counts = [flops(member) for member in members]
    assert counts == sorted(counts)
    assert counts[-1] > 6 * counts[0]
    made = hand_made(elastic.space)
    assert made in members[1:-1]
    assert flops(made) == pytest.approx(fixed_flops(hand_made(fixed.space)), rel=0.01)
    parameters, fixed_parameters = ParameterCount(elastic), ParameterCount(fixed)
    assert parameters(made) == pytest.approx(fixed_parameters(hand_made(fixed.space)), rel=0.05)


def test_sorting_channels_leaves_the_largest_network_as_it_is(tiny: Supernet) -> None:
    images = torch.randn(2, 3, 64, 64)
    largest = {choice.label: choice.options[-1] for choice in tiny.space.choices}
    tiny.activate(tiny.space.canonical(largest))
    tiny.module.eval()
    with torch.no_grad():
        before = tensors(tiny.module(images))
        assert {"pyramid.width", "segmentation.width", "mask.width"} >= set(sort_channels(tiny, [images]))
        after = tensors(tiny.module(images))
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"c3_widths": (8, 10)}, r"c3_widths must be multiples of 4 .*not \[8, 10\]"),
        ({"c3_widths": (8, 8)}, "c3_widths must hold each width once"),
        ({"mask_depths": (3, 2)}, r"mask_depths must hold the fewest and the most layers, not \[3, 2\]"),
        ({"c2_depths": (0, 2)}, "c2_depths must hold integers of at least 1, not 0"),
        ({"pyramid_widths": (18, 32)}, r"pyramid_widths \[18, 32\] must be multiples of a group's channels"),
        ({"segmentation_widths": (8, 16)}, "segmentation_widths must be at least the largest of fusion_reductions, 16"),
        ({"space": "rigid"}, "space must be one of auto-panoptic, elastic, published, not 'rigid'"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TINY, **changes)


def test_the_published_network_has_the_names_and_shapes_that_its_weights_have() -> None:
    with torch.device("meta"):
        network: nn.Module = PanopticNetwork(PanopticConfig.coco())
    described = "\n".join(f"{name} {tuple(tensor.shape)}" for name, tensor in network.state_dict().items())
    assert (
        hashlib.sha256(described.encode()).hexdigest()
        == "5e65ca30b4c1582f6de55f4de2bdb93960aae9a277a13a16b2255542076f6ab2"
    )
