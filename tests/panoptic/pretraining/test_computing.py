"""Precision and parts of a batch in a pretraining."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.pretraining.accuracy import Measure
from autopanoptic.panoptic.pretraining.classifier import Classifier
from autopanoptic.panoptic.pretraining.images import ImageClasses
from autopanoptic.panoptic.pretraining.loading import ordered_batches
from autopanoptic.panoptic.pretraining.module import PretrainingModule
from autopanoptic.panoptic.pretraining.recipe import PretrainingRecipe

SMALL = {
    "search.space": "auto-panoptic", "network.stem_width": 4, "network.stage_widths": [8, 12, 16, 24],
}  # fmt: skip


def test_accuracy_is_slow_in_the_precision_of_the_training(images: ImageClasses, recipe: PretrainingRecipe) -> None:
    seen: list[torch.dtype] = []

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(3, 3)

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            seen.append(self.layer(batch.mean((2, 3))).dtype)
            return torch.eye(3)[: len(batch)].repeat(2, 1)[: len(batch)]

    measured = replace(recipe, batch_size=3)
    for precision in ("32-true", "bf16-mixed"):
        Measure(images, measured, seed=0, precision=precision)(Network())  # type: ignore[arg-type]
    assert set(seen[: len(seen) // 2]) == {torch.float32}
    assert set(seen[len(seen) // 2 :]) == {torch.bfloat16}


@pytest.mark.parametrize("size", [1, 4])
def test_parts_of_a_batch_have_its_gradients(
    images: ImageClasses, recipe: PretrainingRecipe, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PretrainingModule, "log", lambda *_, **__: None)  # there is no trainer
    monkeypatch.setattr(PretrainingModule, "trainer", SimpleNamespace(world_size=1, global_rank=0))
    monkeypatch.setattr(PretrainingModule, "global_rank", 0)
    batch = next(iter(ordered_batches(images.val, recipe)))
    classifier = Classifier(load_config("scenes", SMALL).network_for(1, 1), 3, 16, 0.5).train()
    for norm in (one for one in classifier.modules() if isinstance(one, torch.nn.BatchNorm2d)):
        norm.eval()
    found = []
    for batch_size in (None, size):
        module = PretrainingModule(classifier, recipe, batch_size=batch_size)
        classifier.zero_grad()
        losses = [module._cross_entropy(classifier, part) for part in module._split(classifier, batch)]
        torch.stack(losses).sum().backward()
        found.append([p.grad.clone() for p in classifier.parameters() if p.grad is not None])
    assert len(found[0]) == len(found[1]) > 5
    for whole, parts in zip(*found, strict=True):
        assert float((whole - parts).norm()) <= 1e-3 * float(whole.norm()) + 1e-7
