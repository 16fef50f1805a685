"""Candidates and networks measured by panoptic quality."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from autopanoptic.nas import StopTrial, Supernet
from autopanoptic.nas.evaluation.evaluator import Metrics, Report
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.data.coco.truths import Truths
from autopanoptic.panoptic.data.loading.batch import Batch
from autopanoptic.panoptic.data.loading.batches import evaluation_batches
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.data.segments import PanopticMap
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.merge.rules import MergeRules
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.prediction import Prediction
from autopanoptic.panoptic.quality.bootstrap import bootstrap
from autopanoptic.panoptic.search.evaluator import PanopticEvaluator, Validation, error_name
from autopanoptic.panoptic.search.strategies import hand_made
from autopanoptic.panoptic.stages.networks import build


def no_report(step: int, metrics: Metrics) -> None:
    raise AssertionError("nothing asked for reports")


@pytest.fixture(scope="module")
def network(datasets: Datasets) -> PanopticNetwork:
    categories = datasets.train.categories
    return build(PanopticConfig.scenes(len(categories.things), len(categories.stuff)), seed=0)


@pytest.fixture(scope="module")
def batches(datasets: Datasets) -> list[Batch]:
    return list(evaluation_batches(datasets.nas_val, Transform(None, None, flip=0), batch_size=2, divisor=32))


class Oracle(torch.nn.Module):
    """Knows the truth, and so must reach 100."""

    config = PanopticConfig(num_things=1, num_stuff=1)

    def __init__(self, dataset: CocoPanoptic) -> None:
        super().__init__()
        self.dataset = dataset
        self.parameter = torch.nn.Parameter(torch.zeros(()))
        self.index = 0

    def predict_each(
        self, images: torch.Tensor, sizes: object, original_sizes: object, *, least_score: float
    ) -> Iterator[Prediction]:
        for _ in images:
            truth = self.dataset[self.index].truth
            self.index += 1
            scores = torch.ones(len(truth.labels))
            semantic = torch.where(truth.semantic == 255, 0, truth.semantic).long()
            yield Prediction(truth.boxes, scores, truth.labels, truth.masks, semantic)


def test_the_truth_itself_scores_a_hundred(datasets: Datasets, batches: list[Batch]) -> None:
    validation = Validation(datasets.nas_val, batches, MergeRules(stuff_area=0))
    metrics = validation(Oracle(datasets.nas_val))
    assert metrics["pq"] == pytest.approx(100.0)
    assert metrics["pq_things"] == pytest.approx(100.0)
    assert metrics["pq_stuff"] == pytest.approx(100.0)


class HalfBlind(Oracle):
    """Knows the truth of every other image, and says nothing of the others."""

    def predict_each(
        self, images: torch.Tensor, sizes: object, original_sizes: object, *, least_score: float
    ) -> Iterator[Prediction]:
        first = self.index
        found = super().predict_each(images, sizes, original_sizes, least_score=least_score)
        for place, one in enumerate(found):
            nothing = (value[:0] for value in (one.boxes, one.scores, one.labels, one.masks))
            yield one if (first + place) % 2 else Prediction(*nothing, torch.zeros_like(one.semantic))


def test_a_candidates_metrics_have_the_error_over_the_images(datasets: Datasets, batches: list[Batch]) -> None:
    rules = MergeRules(stuff_area=0)
    metrics = Validation(datasets.nas_val, batches, rules)(Oracle(datasets.nas_val))
    assert metrics["pq_standard_error"] == pytest.approx(0, abs=1e-9)
    for metric in ("pq", "rq_things"):
        validation = Validation(datasets.nas_val, batches, rules, error_of=metric)
        metrics = validation(HalfBlind(datasets.nas_val))
        images = validation.quality(HalfBlind(datasets.nas_val)).images
        assert len(images) == 4
        assert metrics[error_name(metric)] == bootstrap(images, metric).standard_error > 5
        assert [name for name in metrics if name.endswith("standard_error")] == [error_name(metric)]


def test_every_image_is_kept_under_its_index(datasets: Datasets, batches: list[Batch]) -> None:
    kept: dict[int, PanopticMap] = {}
    Validation(datasets.nas_val, batches).quality(Oracle(datasets.nas_val), keep=kept.__setitem__)
    assert sorted(kept) == list(range(len(datasets.nas_val)))


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (slice(None, None, -1), r"batch 1 holds the images \[\d+, \d+\], but from index 0 on .* has \[\d+, \d+\]"),
        (slice(1), "the batches end after 2 of the 4 images"),
        ([0, 1, 1], "batch 3 holds .* but from index 4 on .* has \\[\\]"),
    ],
)
def test_batches_of_other_images_are_refused(
    datasets: Datasets, batches: list[Batch], chosen: slice | list[int], message: str
) -> None:
    given = batches[chosen] if isinstance(chosen, slice) else [batches[i] for i in chosen]
    with pytest.raises(ValueError, match=message):
        Validation(datasets.nas_val, given)(Oracle(datasets.nas_val))


class WrongArea(Truths):
    """Has a segment that states another area than it has, in one image."""

    image = 1

    def __getitem__(self, index: int) -> PanopticMap:
        truth = super().__getitem__(index)
        first, *others = truth.segments
        return PanopticMap(truth.ids, (replace(first, area=1), *others)) if index == self.image else truth


def test_an_annotation_that_contradicts_itself_is_named(datasets: Datasets, batches: list[Batch]) -> None:
    validation = Validation(datasets.nas_val, batches, truths=WrongArea(datasets.nas_val))
    named = datasets.nas_val.image_ids[WrongArea.image].item()
    with pytest.raises(ValueError, match=f"{datasets.nas_val.source}: image {named!r}: .* states an area of 1 but"):
        validation(Oracle(datasets.nas_val))


def test_the_truth_is_decoded_once_for_all_networks(datasets: Datasets, batches: list[Batch]) -> None:
    seen: list[int] = []

    class Counting(CocoPanoptic):
        def coded_ids(self, index: int) -> Any:
            seen.append(index)
            return super().coded_ids(index)

    nas_val = datasets.nas_val
    validation = Validation(Counting(nas_val.images, nas_val.segmentations, nas_val.source), batches)
    assert seen == []
    first, again = (validation(Oracle(nas_val)) for _ in range(2))
    assert seen == [0, 1, 2, 3]
    assert first == again


def test_partial_results_are_reported_and_may_stop_the_trial(datasets: Datasets, batches: list[Batch]) -> None:
    steps = []

    def report(step: int, metrics: Metrics) -> None:
        steps.append((step, "pq" in metrics))
        if step == 2:
            raise StopTrial

    validation = Validation(datasets.nas_val, batches, report_every=1)
    with pytest.raises(StopTrial):
        validation(Oracle(datasets.nas_val), report)
    assert steps == [(1, True), (2, True)]


def test_an_evaluation_leaves_the_supernet_as_it_was(
    datasets: Datasets, network: PanopticNetwork, batches: list[Batch]
) -> None:
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    evaluator = PanopticEvaluator(Supernet(network), Validation(datasets.nas_val, batches), batches[:1])
    metrics = evaluator.evaluate(hand_made(evaluator.supernet.space), no_report)
    assert {"pq", "sq", "rq"} <= set(metrics)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(module.training for module in network.modules())


def test_recalibration_changes_the_statistics_that_a_candidate_sees(
    datasets: Datasets, network: PanopticNetwork, batches: list[Batch]
) -> None:
    seen: list[float] = []

    class Looking(Validation):
        def __call__(self, network: torch.nn.Module, report: Report | None = None) -> Metrics:
            seen.append(float(network.get_buffer("backbone.stem.1.running_mean").abs().sum()))
            return {"pq": 0.0}

    supernet = Supernet(network)
    for recalibrate_with in (None, batches):
        evaluator = PanopticEvaluator(supernet, Looking(datasets.nas_val, batches), recalibrate_with)
        evaluator.evaluate(hand_made(supernet.space), no_report)
    assert seen[0] != seen[1]


@pytest.mark.parametrize(("precision", "lowered"), [("32-true", False), ("bf16-mixed", True)])
def test_candidates_are_measured_in_the_given_precision(
    datasets: Datasets, network: PanopticNetwork, batches: list[Batch], precision: str, lowered: bool
) -> None:
    seen: list[torch.dtype] = []
    hook = network.neck.register_forward_pre_hook(lambda module, args: seen.append(args[0]["c5"].dtype))
    recalibrated: list[torch.dtype] = []
    stem = network.backbone.stem[0].register_forward_hook(lambda module, args, out: recalibrated.append(out.dtype))
    validation = Validation(datasets.nas_val, batches[:2], precision=precision)
    evaluator = PanopticEvaluator(Supernet(network), validation, batches[:1])
    evaluator.evaluate(hand_made(evaluator.supernet.space), no_report)
    hook.remove()
    stem.remove()
    assert {dtype == torch.bfloat16 for dtype in (*seen, *recalibrated)} == {lowered}
    assert len(recalibrated) == len(seen) + 1


def test_an_unknown_precision_is_refused(datasets: Datasets, network: PanopticNetwork, batches: list[Batch]) -> None:
    with pytest.raises(ValueError, match="precision='16' is none of 32-true, bf16-mixed"):
        Validation(datasets.nas_val, batches, precision="16")(network)


def test_a_batch_norm_in_a_head_sees_the_batches_too(datasets: Datasets, batches: list[Batch]) -> None:
    categories = datasets.train.categories
    network = build(PanopticConfig.scenes(len(categories.things), len(categories.stuff)), seed=0)
    logits = network.rpn.head.cls_logits
    network.rpn.head.cls_logits = torch.nn.Sequential(torch.nn.BatchNorm2d(logits.in_channels), logits)
    seen: list[int] = []

    class Looking(Validation):
        def __call__(self, network: torch.nn.Module, report: Report | None = None) -> Metrics:
            seen.extend(int(m.num_batches_tracked) for m in supernet.active_modules()
                        if isinstance(m, torch.nn.BatchNorm2d))  # fmt: skip
            return {"pq": 0.0}

    supernet = Supernet(network)
    evaluator = PanopticEvaluator(supernet, Looking(datasets.nas_val, batches), batches)
    evaluator.evaluate(hand_made(supernet.space), no_report)
    assert seen
    assert all(count >= len(batches) for count in seen)
