"""Panoptic heads in a network: what the loss sees, what does not depend on the batch's parts, and the maps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from autopanoptic.panoptic.configs.models import MODELS
from autopanoptic.panoptic.data.categories import Categories, Category
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.heads.roi import Detections
from autopanoptic.panoptic.model.merge.predicted import map_of
from autopanoptic.panoptic.model.merge.rules import MergeRules
from autopanoptic.panoptic.model.panoptic_head.head import PanopticLogits
from autopanoptic.panoptic.model.panoptic_head.sognet import SOGNetHead
from autopanoptic.panoptic.model.prediction import Prediction, things_at
from autopanoptic.panoptic.model.truth import Truth
from tests.pretended_gpu import PretendedGpu, on_gpu, on_host

CATEGORIES = Categories(Category(n, str(n), n > 2, (0, 0, 0)) for n in (1, 2, 3, 4, 5))
RULES = MergeRules(score_threshold=0.6, overlap_threshold=0.3, stuff_area=16)


def config_of(config: PanopticConfig, name: str) -> PanopticConfig:
    model = MODELS[name]
    return PanopticConfig.from_json({**config.to_json(), **model.parts, **model.network})


def heads(config: PanopticConfig) -> dict[str, PanopticLogits]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return {
            "upsnet": PanopticLogits(config_of(config, "upsnet")),
            "sognet": SOGNetHead(config_of(config, "sognet")),
        }


def truth_of(make_batch: Callable[..., dict[str, Any]], things: list[int]) -> Truth:
    batch = make_batch([(96, 96)] * len(things), things)
    for semantic, target in zip(batch["semantic"], batch["targets"], strict=True):
        semantic[target["masks"].numbers > 0] = 0
    return Truth(batch["sizes"], batch["targets"], batch["semantic"])


def right_scores(truth: Truth, stuff: int, classes: int) -> torch.Tensor:
    """Scores of 10 for the true class of each cell."""
    scores = torch.zeros(len(truth.targets), classes, 24, 24)
    for one, target, semantic in zip(scores, truth.targets, truth.semantic, strict=True):
        numbers = target["masks"].numbers.long()
        of_things = torch.cat((torch.zeros(1, dtype=torch.int64), target["labels"] - 1 + stuff))[numbers]
        wanted = torch.where(numbers > 0, of_things, semantic.long() - 1)[2::4, 2::4]
        one.scatter_(0, wanted[None], 10.0)
    return scores


def test_counts_wait_for_no_gpu(config: PanopticConfig, make_batch: Callable[..., dict[str, Any]]) -> None:
    truth = truth_of(make_batch, [3, 0])
    for head in heads(config).values():
        with PretendedGpu() as gpu:
            found = head.counts(Truth(truth.sizes, truth.targets, on_gpu(truth.semantic)))
        assert on_host(found)["images"] == 2
        assert not gpu.waits


def test_upsnet_keeps_seven_in_ten_and_sognet_all(
    config: PanopticConfig, make_batch: Callable[..., dict[str, Any]]
) -> None:
    truth = truth_of(make_batch, [10, 1, 0])
    each = [torch.Generator().manual_seed(seed) for seed in range(3)]
    own = heads(config)
    kept = own["upsnet"].kept(truth, each)
    assert [len(one) for one in kept] == [7, 1, 0]
    each[0].manual_seed(0)
    torch.rand(5, generator=each[0])
    again = own["upsnet"].kept(truth, each)
    assert all(torch.equal(*pair) for pair in zip(kept, again, strict=True)), "others have drawn, and nothing changes"
    assert [one.tolist() for one in own["sognet"].kept(truth, each)] == [list(range(10)), [0], []]


@pytest.mark.parametrize("name", ["upsnet", "sognet"])
def test_the_right_scores_and_masks_have_a_small_loss(
    config: PanopticConfig, make_batch: Callable[..., dict[str, Any]], name: str
) -> None:
    head, truth = heads(config)[name], truth_of(make_batch, [1, 0])
    scores = right_scores(truth, config.num_stuff, config.num_stuff + config.num_things)
    kept = [torch.tensor([0]), torch.zeros(0, dtype=torch.int64)]
    masks = [torch.full((1, 14, 14), 5.0), torch.zeros(0, 14, 14)]
    losses = head.losses(scores, masks, kept, truth)
    assert losses["panoptic"] < 0.2
    assert set(losses) == ({"panoptic"} if name == "upsnet" else {"panoptic", "relation"})
    if name == "upsnet":
        # A thing that is not kept is unknown, whose channel has the class's score: as good as the thing itself.
        pruned = head.losses(scores, [masks[1]] * 2, [kept[1]] * 2, truth)
        assert pruned["panoptic"] < 0.2
    wrong = head.losses(scores.flip(1), masks, kept, truth)
    assert wrong["panoptic"] > 5 * losses["panoptic"]


def test_two_overlapping_things_are_a_relation(config: PanopticConfig, things_on: Callable[..., Any]) -> None:
    """A frame of 32 x 32 around a square of 16 x 16 that lies upon it, and a third thing apart."""
    numbers = torch.zeros(96, 96, dtype=torch.uint8)
    numbers[8:40, 8:40] = 1
    numbers[16:32, 16:32] = 2
    numbers[60:80, 60:80] = 3
    boxes = torch.tensor([[8.0, 8, 40, 40], [16, 16, 32, 32], [60, 60, 80, 80]])
    target: Any = {"boxes": boxes, "labels": torch.tensor([1, 2, 3]), "masks": things_on(numbers, boxes)}
    truth = Truth([(96, 96)], [target], torch.where(numbers > 0, 0, 1)[None])
    head = heads(config)["sognet"]
    overlaps = head.overlaps(boxes, target["labels"])
    assert overlaps is not None
    wanted = torch.tensor([[0.0, 1, 0], [1, 0, 0], [0, 0, 0]])
    losses = head.losses(torch.zeros(1, 5, 24, 24), [torch.zeros(3, 14, 14)], head.kept(truth, None), truth)
    torch.testing.assert_close(losses["relation"], ((overlaps + overlaps.T - wanted) ** 2).mean())


def test_a_map_is_made_of_scores_and_detections(config: PanopticConfig) -> None:
    """Two boxes of the same thing, a second thing, one that is unsure, and a class that nobody has detected."""
    head = heads(config)["upsnet"]
    scores = torch.zeros(5, 24, 24)
    scores[0, :12], scores[1, 12:] = 6, 6
    scores[2, 2:10, 2:10], scores[3, 14:22, 4:12], scores[4, 14:22, 14:22] = 9, 9, 9
    boxes = torch.tensor([[8.0, 8, 40, 40], [9, 9, 40, 40], [16, 56, 48, 88], [60, 60, 70, 70]])
    certain, labels = torch.tensor([0.9, 0.8, 0.7, 0.2]), torch.tensor([1, 1, 2, 1])
    logits = torch.full((4, 14, 14), 4.0)
    found = Detections(boxes, certain, labels, logits.sigmoid(), logits)
    original = (192, 96)
    own = head.scores(scores, found, (96, 96), original)
    prediction = Prediction(*things_at(found, (96, 96), original, config), torch.ones(original, dtype=torch.int64), own)
    panoptic = map_of(prediction, CATEGORIES, RULES)
    assert panoptic.ids.shape == original
    assert [(segment.category_id, segment.score) for segment in panoptic.segments] == [
        (3, pytest.approx(0.9)), (4, pytest.approx(0.7)), (1, None), (2, None),
    ]  # fmt: skip
    ids = panoptic.ids[::2]
    assert (ids[10:38, 10:38] == 1).all()
    assert (ids[58:86, 18:46] == 2).all()
    assert (ids[60:84, 60:84] == 0).all(), "a thing that is not detected is void"
    assert ids[0, 90] == 3
    assert ids[95, 90] == 4
    merged = map_of(replace(prediction, panoptic=None), CATEGORIES, RULES)
    assert not torch.equal(merged.ids, panoptic.ids)
