"""The paper's network on two real images of COCO at the size it is meant for: one training step, one candidate.

The path is the hand-made one, whose 3x3 and depthwise kernels keep this within minutes on a CPU; a path drawn at random
has deformable layers in both heads and takes longer.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from autopanoptic.nas import Architecture, Supernet
from autopanoptic.nas.evaluation.evaluator import Metrics
from autopanoptic.panoptic.data.coco.layout import find_splits
from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.data.loading.batch import Batch, LabelledBatch
from autopanoptic.panoptic.data.loading.batches import evaluation_batches, training_batches
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.search.evaluator import PanopticEvaluator, Validation
from autopanoptic.panoptic.search.strategies import hand_made
from autopanoptic.panoptic.stages.networks import build
from autopanoptic.panoptic.training.optimizer import make_optimizer
from autopanoptic.panoptic.training.recipe import Recipe

SAMPLE = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "panoptic" / "coco_sample"
PEAK_UNIT = 2**30 if sys.platform == "darwin" else 2**20
"""Of getrusage's maxrss, to GiB: bytes on macOS, KiB elsewhere."""


def no_report(step: int, metrics: Metrics) -> None:
    raise AssertionError("nothing asked for reports")


@contextmanager
def measured(what: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / PEAK_UNIT
    print(f"{what}: {time.perf_counter() - start:.1f} s, peak {peak:.2f} GiB")


def train_once(network: PanopticNetwork, path: Architecture, batch: LabelledBatch) -> None:
    supernet = Supernet(network)
    supernet.activate(path)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    optimizer = make_optimizer(Recipe.coco_supernet(), network.train())
    losses = network.losses(
        batch.images, batch.sizes, batch.targets, batch.semantic, generator=torch.Generator().manual_seed(0)
    )
    assert all(torch.isfinite(loss) for loss in losses.values()), losses
    losses["total"].backward()
    optimizer.step()
    used = {id(p) for module in supernet.active_modules() for p in module.parameters(recurse=False)}
    moved = {name for name, parameter in network.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved <= {name for name, parameter in network.named_parameters() if id(parameter) in used}
    parts = {name.split(".")[0] for name, parameter in network.named_parameters() if id(parameter) in used}
    assert {name.split(".")[0] for name in moved} == parts
    assert all(torch.isfinite(parameter).all() for parameter in network.parameters())


def evaluate_once(network: PanopticNetwork, path: Architecture, dataset: CocoPanoptic, batches: list[Batch]) -> None:
    evaluator = PanopticEvaluator(Supernet(network), Validation(dataset, batches), batches[:1])
    metrics = evaluator.evaluate(path, no_report)
    assert 0 <= metrics["pq"] <= 100
    assert np.isfinite(list(metrics.values())).all()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not SAMPLE.is_dir(), reason=f"the two COCO images are not at {SAMPLE}")
def test_the_coco_preset_trains_and_evaluates_at_full_size() -> None:
    dataset = find_splits(SAMPLE).open().train
    assert (len(dataset.categories.things), len(dataset.categories.stuff)) == (80, 53)
    with measured("building the supernet"):
        network = build(PanopticConfig.coco(80, 53), seed=0)
    path = hand_made(Supernet(network).space)
    transform, divisor = Transform(800, 1333), network.config.image_divisor
    batches = list(evaluation_batches(dataset, transform, batch_size=1, divisor=divisor))
    (labelled,) = training_batches(dataset, transform, batch_size=1, divisor=divisor, stop=1)
    assert all(min(size) == 800 or max(size) == 1333 for batch in batches for size in batch.sizes)
    with measured("one training step on one image"):
        train_once(network, path, labelled)
    with measured("one candidate on two images, recalibrated on one"):
        evaluate_once(network, path, dataset, batches)
