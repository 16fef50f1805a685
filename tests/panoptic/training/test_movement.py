"""Every kind of parameter moves in a short training, so that no part of the network stays as it was drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from autopanoptic.nas import Supernet
from autopanoptic.nas.supernet.state import seeded
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.results.saved import new_network
from autopanoptic.panoptic.training.hardware import Hardware
from autopanoptic.panoptic.training.recipe import Recipe
from autopanoptic.panoptic.training.trainer import train
from autopanoptic.panoptic.training.training import Training

LEAST = 0.1
RECIPE = Recipe(passes=150, batch_size=2)
OPTIONS = {
    "backbone": ("shuffle3", "shuffle5", "shuffle7", "xception3"),
    "mask": ("df3", "at3"),
    "segmentation": ("dw3", "df5"),
    "f2b": ("r4", "r8", "r16"),
    "b2f": ("r4", "r8", "r16"),
}
"""Of one network that has all kinds of layers."""
PARTS = {
    "backbone.stem": "stem", "backbone": "backbone", "neck": "neck", "rpn.head.conv": "rpn",
    "rpn.head": "rpn predictor",
    "roi_heads.box_head": "box head", "roi_heads.box_predictor": "box predictor", "roi_heads.mask_head": "mask head",
    "roi_heads.mask_predictor.0": "mask deconvolution", "roi_heads.mask_predictor": "mask predictor",
    "segmentation.score": "segmentation score", "segmentation": "segmentation head",
    "foreground_to_background": "fusion", "background_to_foreground": "fusion",
}  # fmt: skip


def build(config: PanopticConfig) -> PanopticNetwork:
    with torch.device("meta"):
        space = Supernet(PanopticNetwork(config)).space
    seen = dict.fromkeys(OPTIONS, 0)
    chosen = {}
    for choice in space.choices:
        kind = choice.label.split(".")[0]
        chosen[choice.label] = OPTIONS[kind][seen[kind] % len(OPTIONS[kind])]
        seen[kind] += 1
    with seeded(0):
        return new_network(config, space.canonical(chosen))


def kind_of(network: nn.Module, name: str) -> str:
    path, _, leaf = name.rpartition(".")
    layer = network.get_submodule(path)
    part = next(shown for prefix, shown in PARTS.items() if name.startswith(prefix))
    if isinstance(layer, (_NormBase, nn.GroupNorm)):
        return f"{part}: norm's {leaf}"
    if path.endswith(".offset"):
        return f"{part}: offset's {leaf}"
    if leaf == "bias" and part.endswith(("predictor", "score")):
        return "predictors: bias"
    if leaf == "weight" and getattr(layer, "groups", 1) > 1:
        return f"{part}: depthwise weight"
    if leaf == "weight" and getattr(layer, "kernel_size", None) == (1, 1):
        return f"{part}: pointwise weight"
    return f"{part}: {leaf}"


def scale_of(network: nn.Module, name: str, start: Tensor) -> float:
    """The root mean square of a parameter as it was drawn, or of torch's default draw where it was set to 0."""
    if start.any():
        return float(start.square().mean().sqrt())
    layer = network.get_submodule(name.rpartition(".")[0])
    if isinstance(layer, (_NormBase, nn.GroupNorm)):
        return 1.0  # of what it is added to
    weight = layer.get_parameter("weight")
    fan_in = weight[0].numel() if not isinstance(layer, nn.ConvTranspose2d) else weight.shape[0]
    return 1 / math.sqrt(3 * fan_in)


def moved(network: nn.Module, start: Mapping[str, Tensor]) -> dict[str, float]:
    """How far the parameters of each kind are from their start, by their scale there."""
    steps: dict[str, float] = {}
    scales: dict[str, float] = {}
    for name, parameter in network.named_parameters():
        if name == "backbone.stem.0.bias":
            continue  # the batch norm behind it takes it out, gradient and all
        kind = kind_of(network, name)
        steps[kind] = steps.get(kind, 0.0) + float((parameter.detach() - start[name]).square().sum())
        square = scale_of(network, name, start[name]) ** 2 * parameter.numel()
        scales[kind] = scales.get(kind, 0.0) + square
    return {kind: math.sqrt(steps[kind] / scales[kind]) for kind in steps}


@pytest.fixture(scope="module")
def config(datasets: Datasets) -> PanopticConfig:
    categories = datasets.train.categories
    scenes = PanopticConfig.scenes(len(categories.things), len(categories.stuff))
    return replace(scenes, box_samples=16, rpn_post_nms_train=30)  # for the test's sake: fewer regions, less time


def trained(config: PanopticConfig, datasets: Datasets, folder: Path, recipe: Recipe) -> dict[str, float]:
    network = build(config)
    start = {name: value.detach().clone() for name, value in network.named_parameters()}
    machine = Hardware("cpu", progress=False, checkpoint_every=recipe.passes)
    train(network, Training(datasets.train, Transform(32, None), recipe, hardware=machine), folder)
    return moved(network, start)


def test_every_kind_of_parameter_moves(config: PanopticConfig, datasets: Datasets, tmp_path: Path) -> None:
    found = trained(config, datasets, tmp_path, RECIPE)
    assert len(found) > 30
    assert {kind: round(value, 3) for kind, value in found.items() if value < LEAST} == {}


def test_the_published_forms_keep_some_kinds_as_they_were(
    config: PanopticConfig, datasets: Datasets, tmp_path: Path
) -> None:
    published = replace(config, backbone_init="published", mask_init="published")
    found = trained(published, datasets, tmp_path, replace(RECIPE, passes=30, norm_factor=1.0))
    frozen = {kind for kind, value in found.items() if value < LEAST}
    assert {"backbone: depthwise weight", "backbone: norm's weight", "mask predictor: pointwise weight"} <= frozen
