"""What a pass of a classifier's training does."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

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


class PretrainingModule(SupernetModule):
    """Trains a classifier, or a supernet of them, one path a pass and an update.

    What is dropped in pass n depends on (seed, n) alone, and on the process where there are several.

    Args:
        classifier: A supernet, or the classifier of one architecture.
        recipe: Optimizer, schedule and loss.
        paths: Names the path of each pass; None for a classifier without choices.
        seed: Non-negative.
    """

    def __init__(
        self, classifier: Classifier, recipe: PretrainingRecipe, paths: PathSampler | None = None, seed: int = 0
    ) -> None:
        supernet = Supernet(classifier)
        super().__init__(
            supernet,
            self._cross_entropy,
            # Named functions, because the module may be sent to other processes.
            partial(_optimizer, recipe, classifier),
            UniformPaths(supernet.space) if paths is None else paths,
            scheduler=partial(_scheduler, recipe),
        )
        self.recipe = recipe
        self.seed = seed

    def _cross_entropy(self, network: nn.Module, batch: ImageBatch) -> Tensor:
        images, labels = batch
        rate = self.recipe.learning_rate * self.recipe.factor(int(self.passes))
        self.log("learning_rate", rate)
        logits = network(images, self._generator(images.device))
        return functional.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)

    def _generator(self, device: torch.device) -> torch.Generator:
        seed = np.random.SeedSequence([self.seed, int(self.passes), self.global_rank]).generate_state(1)[0]
        return torch.Generator(device).manual_seed(int(seed))


def _optimizer(recipe: PretrainingRecipe, classifier: Classifier, _: Iterable[nn.Parameter]) -> Optimizer:
    return make_optimizer(recipe, classifier)


def _scheduler(recipe: PretrainingRecipe, optimizer: Optimizer) -> LambdaLR:
    return LambdaLR(optimizer, recipe.factor)
