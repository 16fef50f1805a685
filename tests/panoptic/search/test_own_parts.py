"""Parts of one's own are searched, counted, inherited, drawn and saved as those that ship are."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor, nn

from autopanoptic.nas import Architecture, RandomSearch, Search, Supernet
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.data.loading.batches import evaluation_batches
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.parts.kinds import HeadOperator, PyramidNeck
from autopanoptic.panoptic.model.parts.registry import own_parts, register
from autopanoptic.panoptic.results.drawing import BOX, INCHES, OWN, _box, _color, draw_network
from autopanoptic.panoptic.results.outline import Outline
from autopanoptic.panoptic.results.saved import load_network, save_network
from autopanoptic.panoptic.search.costs import costs_of
from autopanoptic.panoptic.search.evaluator import PanopticEvaluator, Validation
from autopanoptic.panoptic.search.inflate import inflate, require_source
from autopanoptic.panoptic.search.paths import SizeSandwich
from autopanoptic.panoptic.search.strategies import hand_made

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "own_operator.py"
NETWORK: dict[str, Any] = {
    "head_operators": ("dw3", "conv3"),
    "blocks": ("shuffle3", "residual"),
    "elastic_blocks": ("shuffle3", "residual"),
    "neck": "search",
    "necks": ("fpn", "lateral"),
    "fusion_units": ("r4", "gate"),
}
OWN_EVERYWHERE = {
    "backbone": "residual", "neck": "lateral", "segmentation": "conv3", "mask": "conv3", "f2b": "gate", "b2f": "gate"
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _example() -> Iterator[None]:
    spec = importlib.util.spec_from_file_location("own_operator", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    with own_parts():
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        yield


@pytest.fixture(params=["auto-panoptic", "elastic"])
def config(request: pytest.FixtureRequest) -> PanopticConfig:
    return replace(PanopticConfig.scenes(3, 2), space=request.param, **NETWORK)


def own_everywhere(supernet: Supernet) -> Architecture:
    """The architecture that has a part of one's own in every place."""
    sized = hand_made(supernet.space)
    own = {label: OWN_EVERYWHERE[label.split(".")[0]] for label, option in sized.items() if isinstance(option, str)}
    return supernet.space.canonical({**sized, **own})


def built(config: PanopticConfig) -> Supernet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Supernet(PanopticNetwork(config))


def test_every_part_stands_in_a_network_that_is_searched_saved_and_drawn(
    config: PanopticConfig, datasets: Datasets, tmp_path: Path
) -> None:
    supernet = built(config)
    assert supernet.space["mask.0"].options == ("dw3", "conv3")
    assert supernet.space["neck"].options == ("fpn", "lateral")
    batches = list(evaluation_batches(datasets.nas_val, Transform(None, None), batch_size=2, divisor=32))
    evaluator = PanopticEvaluator(supernet, Validation(datasets.nas_val, batches))
    own = own_everywhere(supernet)
    result = Search(supernet.space, RandomSearch(), evaluator, objectives="pq", initial=[own]).run(trials=2)
    assert result.history.n_completed == 2
    network = supernet.subnet(own)
    assert isinstance(network, PanopticNetwork)
    save_network(network, own, tmp_path)
    loaded = load_network(tmp_path)
    assert loaded.config == config
    images = torch.rand(1, 3, 64, 64)
    supernet.activate(own)
    with torch.no_grad():
        expected, found = supernet.module.eval()(images), loaded.eval()(images)
    torch.testing.assert_close(found.mask_logits, expected.mask_logits)
    outline = Outline.of(network, own)
    assert {layer.operator for layers in outline.stages.values() for layer in layers} == {"residual"}
    assert {layer.operator for layer in (*outline.mask, *outline.segmentation)} == {"conv3"}
    assert (outline.neck, set(outline.to_background.values())) == ("lateral", {"gate"})
    assert _color("conv3") == OWN
    assert draw_network(network, own, tmp_path / "network.png").stat().st_size > 1000


def test_what_they_cost_is_what_the_network_of_its_own_counts(config: PanopticConfig) -> None:
    supernet = Supernet(PanopticNetwork(config))
    costs = costs_of(config, 64, 64)
    plain, own = hand_made(supernet.space), own_everywhere(supernet)
    counted = sum(tensor.numel() for tensor in supernet.subnet(own).parameters()) / 1e6
    assert costs["mparams"](own) == pytest.approx(counted, rel=1e-6)
    assert costs["gflops"](own) > 1.5 * costs["gflops"](plain)  # of full convolutions instead of depthwise ones


class Summed(nn.Sequential):
    """A 1x1 convolution, and sums over the channels, of which torch counts no operations."""

    def __init__(self, entering: Any, leaving: Any) -> None:
        super().__init__(nn.Conv2d(entering, leaving, 1))

    def forward(self, x: Tensor) -> Tensor:
        summed: Tensor = super().forward(x).cumsum(1)
        return summed


def test_operations_that_torch_does_not_count_are_counted_by_the_parts_formula() -> None:
    def formula(shape: Any, *_: Any, **__: Any) -> int:
        return 2 * 1000 * math.prod(shape)

    found = []
    for formulas in ({}, {torch.ops.aten.cumsum: formula}):
        with own_parts():
            register(HeadOperator("summed", Summed, flops=formulas))
            config = replace(
                PanopticConfig.scenes(3, 2), head_operators=("summed",), mask_layers=1, segmentation_layers=1
            )
            costs_of.cache_clear()
            with torch.device("meta"):
                path = hand_made(Supernet(PanopticNetwork(config)).space)
            found.append(costs_of(config, 64, 64)["gflops"](path))
    costs_of.cache_clear()
    values = config.segmentation_channels * (16**2 + 8**2 + 4**2 + 2**2) + config.pyramid_channels * 30 * 10**2
    assert found[1] - found[0] == pytest.approx(1000 * values / 1e9)


def test_a_head_operator_begins_with_what_the_trained_path_does(config: PanopticConfig) -> None:
    supernet = built(config)
    network = supernet.module.eval()
    assert isinstance(network, PanopticNetwork)
    path = supernet.activate(hand_made(supernet.space))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items() if "residual" in name}
    inflate(network, path)
    # At the border a full kernel sees zeros where a pointwise one has already added the bias of the depthwise one.
    with torch.no_grad():
        pyramid = network.neck(network.backbone(torch.randn(1, 3, 96, 96)))
        layer = next(m for m in network.segmentation.modules() if getattr(m, "label", "") == "segmentation.0")  # type: ignore
        torch.testing.assert_close(layer["conv3"](pyramid["p2"]), layer["dw3"](pyramid["p2"]), rtol=1e-4, atol=1e-5)
    # A part that does not say how it inherits stays as it was drawn.
    assert before
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in before.items())


def test_the_first_one_named_is_plain_where_the_plain_one_is_not() -> None:
    names = {"head_operators": ("conv3",), "blocks": ("residual", "shuffle5"), "necks": ("lateral", "bifpn")}
    config = replace(PanopticConfig.scenes(3, 2), **{**NETWORK, **names, "fusion_units": ("gate", "r16")})
    with torch.device("meta"):
        made = hand_made(Supernet(PanopticNetwork(config)).space)
    assert set(made.values()) == {"residual", "conv3", "lateral", "gate"}
    with pytest.raises(
        ValueError, match=r"^blocks \['residual', 'shuffle5'\]: one path is .* as warmup says, .* shuffle3"
    ):
        require_source(config, "warmup")
    # Where there is nothing to choose nothing has to inherit.
    require_source(replace(config, blocks=("residual",), neck="lateral", fusion_units=("gate",)), "warmup")


def test_the_ends_of_a_sandwich_are_made_of_them(config: PanopticConfig) -> None:
    if config.space == "elastic":
        only = replace(config, head_operators=("conv3",), elastic_blocks=("residual",), neck="lateral")
        with torch.device("meta"):
            space = Supernet(PanopticNetwork(only)).space
        limited = space.where(lambda one: one["f2b.p2"] == "r4", "r4 alone")
        assert SizeSandwich(limited, 1, 0).path(0)["mask.0"] == "conv3"


def test_a_neck_may_stand_alone() -> None:
    with own_parts():
        register(PyramidNeck("mine", lambda entering, channels, config: nn.Identity()))
        with pytest.raises(ValueError, match="must be one of fpn, panet, bifpn, lateral, mine, search, not 'other'"):
            replace(PanopticConfig(), neck="other")
        assert replace(PanopticConfig(), neck="mine").neck_options == ("mine",)


def test_a_long_name_stays_within_its_box(tmp_path: Path) -> None:
    name = "a" * 32
    with own_parts():
        register(HeadOperator(name, lambda entering, leaving: nn.Conv2d(entering, leaving, 1)))  # type: ignore[arg-type]
        config = replace(PanopticConfig.scenes(3, 2), head_operators=(name,), neck="lateral", space="auto-panoptic")
        supernet = Supernet(PanopticNetwork(config))
        figure = Figure()
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, 13), ylim=(0, 10))
        figure.set_size_inches(13 * INCHES, 10 * INCHES)
        _box(axes, 5, 5, name, "48", OWN)
        drawn = axes.texts[0].get_window_extent().transformed(axes.transData.inverted())
        assert drawn.width < BOX
        network = supernet.subnet(hand_made(supernet.space))
        assert isinstance(network, PanopticNetwork)
        assert draw_network(network, hand_made(supernet.space), tmp_path / "network.png").exists()
