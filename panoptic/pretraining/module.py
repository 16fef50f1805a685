"""What a pass of a classifier's training does."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

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

    Args:
        classifier: A supernet, or the classifier of one architecture.
        recipe: Optimizer, schedule and loss.
        paths: Names the path of each pass; None for a classifier without choices.
    """

    def __init__(self, classifier: Classifier, recipe: PretrainingRecipe, paths: PathSampler | None) -> None:
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

    def _cross_entropy(self, network: nn.Module, batch: ImageBatch) -> Tensor:
        images, labels = batch
        rate = self.recipe.learning_rate * self.recipe.factor(int(self.passes))
        self.log("learning_rate", rate)
        return functional.cross_entropy(network(images), labels, label_smoothing=self.recipe.label_smoothing)


def _optimizer(recipe: PretrainingRecipe, classifier: Classifier, _: Iterable[nn.Parameter]) -> Optimizer:
    return make_optimizer(recipe, classifier)


def _scheduler(recipe: PretrainingRecipe, optimizer: Optimizer) -> LambdaLR:
    return LambdaLR(optimizer, recipe.factor)
