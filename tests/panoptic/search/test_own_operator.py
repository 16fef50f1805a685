"""An operator of one's own is searched, and inherits what a path has learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from autopanoptic.nas import RandomSearch, Search, Supernet
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.data.loading.batches import evaluation_batches
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.operators import known
from autopanoptic.panoptic.model.operators.kernels import TrainedKernel
from autopanoptic.panoptic.model.operators.known import add_operator
from autopanoptic.panoptic.model.operators.operator import HeadOperator
from autopanoptic.panoptic.model.operators.options import HEAD_OPTIONS
from autopanoptic.panoptic.results.saved import load_network, save_network
from autopanoptic.panoptic.search.evaluator import PanopticEvaluator, Validation
from autopanoptic.panoptic.search.inflate import inflate
from autopanoptic.panoptic.search.strategies import hand_made


def build(in_channels: int, out_channels: int) -> nn.Module:
    return nn.Conv2d(in_channels, out_channels, 3, padding=1)


def inherit(layer: nn.Conv2d, trained: TrainedKernel) -> None:
    assert layer.bias is not None
    layer.weight.copy_(trained.dense)
    layer.bias.copy_(trained.bias)


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> PanopticConfig:
    monkeypatch.setattr(known, "_KNOWN", {name: known.operator_of(name) for name in HEAD_OPTIONS})
    add_operator(HeadOperator("conv3", build, inherit))
    return replace(PanopticConfig.scenes(3, 3), head_operators=(*HEAD_OPTIONS, "conv3"))


def test_it_inherits_what_the_trained_path_does(config: PanopticConfig) -> None:
    network = PanopticNetwork(config).eval()
    supernet = Supernet(network)
    path = hand_made(supernet.space)
    inflate(network, path)
    # At the border a full kernel sees zeros where a pointwise one has already added the bias of the depthwise one.
    images = torch.randn(1, 3, 96, 96)
    pyramid = network.neck(network.backbone(images))
    layer = network.segmentation.layers[0][0]  # type: ignore[union-attr, index]
    expected, found = layer["dw3"](pyramid["p2"]), layer["conv3"](pyramid["p2"])  # type: ignore[index]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_it_is_searched_and_saved(config: PanopticConfig, datasets: Datasets, tmp_path: Path) -> None:
    supernet = Supernet(PanopticNetwork(config))
    assert supernet.space["mask.0"].options == (*HEAD_OPTIONS, "conv3")
    batches = list(evaluation_batches(datasets.nas_val, Transform(None, None), batch_size=2, divisor=32))
    evaluator = PanopticEvaluator(supernet, Validation(datasets.nas_val, batches))
    result = Search(supernet.space, RandomSearch(), evaluator, objectives="pq").run(trials=2)
    assert result.history.n_completed == 2
    architecture = supernet.space.canonical({**result.best.architecture, "mask.1": "conv3", "segmentation.0": "conv3"})
    network = supernet.subnet(architecture)
    assert isinstance(network, PanopticNetwork)
    save_network(network, architecture, tmp_path)
    assert load_network(tmp_path).config == config
    assert supernet.space.sample(np.random.default_rng(0)) in supernet.space
