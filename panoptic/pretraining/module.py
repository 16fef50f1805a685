"""What a pass of a classifier's training does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from autopanoptic.nas import PathSampler, Supernet, SupernetModule, UniformPaths
from autopanoptic.panoptic.pretraining.classifier import Classifier
from autopanoptic.panoptic.pretraining.loading import ImageBatch
from autopanoptic.panoptic.pretraining.recipe import PretrainingRecipe
from autopanoptic.panoptic.training.optimizer import make_optimizer


class _Part(NamedTuple):
    """Images of a batch, their labels and places in the whole batch, and which share of this device's they are."""

    images: Tensor
    labels: Tensor
    places: Sequence[int]
    share: float


class PretrainingModule(SupernetModule):
    """Trains a classifier, or a supernet of them, one path a pass and an update.

    What is dropped in pass n depends on (seed, n) and on an image's place in the batch alone.

    Args:
        classifier: A supernet, or the classifier of one architecture.
        recipe: Optimizer, schedule and loss.
        paths: Names the path of each pass; None for a classifier without choices.
        seed: Non-negative.
        batch_size: Images that a device computes at a time; None for all of its part of a batch.
    """

    def __init__(
        self,
        classifier: Classifier,
        recipe: PretrainingRecipe,
        paths: PathSampler | None = None,
        seed: int = 0,
        *,
        batch_size: int | None = None,
    ) -> None:
        supernet = Supernet(classifier)
        super().__init__(
            supernet,
            self._cross_entropy,
            # Named functions, because the module may be sent to other processes.
            partial(_optimizer, recipe, classifier),
            UniformPaths(supernet.space) if paths is None else paths,
            scheduler=partial(_scheduler, recipe),
            split=self._split,
        )
        self.recipe = recipe
        self.seed = seed
        self.batch_size = batch_size

    def _split(self, network: nn.Module, batch: ImageBatch) -> list[_Part]:
        """Return what this device has of a batch in parts, whose losses add up to their mean."""
        images, labels = batch.images, batch.labels
        count, rank, world = len(labels), self.global_rank, self.trainer.world_size
        size = count if self.batch_size is None else self.batch_size
        places = range(rank, rank + world * count, world)
        starts = range(0, count, size)
        return [
            _Part(
                images[at : at + size],
                labels[at : at + size],
                places[at : at + size],
                len(labels[at : at + size]) / count,
            )
            for at in starts
        ]

    def _cross_entropy(self, network: nn.Module, part: _Part) -> Tensor:
        rate = self.recipe.learning_rate * self.recipe.factor(self.passes)
        self.note("learning_rate", rate)
        logits = network(part.images, self._generators(part))
        loss = functional.cross_entropy(logits, part.labels, label_smoothing=self.recipe.label_smoothing)
        return loss * part.share

    def _generators(self, part: _Part) -> list[torch.Generator]:
        device = part.images.device
        seeds = [np.random.SeedSequence([self.seed, self.passes, place]) for place in part.places]
        return [torch.Generator(device).manual_seed(int(seed.generate_state(1)[0])) for seed in seeds]


def _optimizer(recipe: PretrainingRecipe, classifier: Classifier, _: Iterable[nn.Parameter]) -> Optimizer:
    return make_optimizer(recipe, classifier)


def _scheduler(recipe: PretrainingRecipe, optimizer: Optimizer) -> LambdaLR:
    return LambdaLR(optimizer, recipe.factor)
