"""What a pass of a training does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from autopanoptic.nas import PathSampler, Supernet, SupernetModule, UniformPaths
from autopanoptic.panoptic.data.loading.batch import LabelledBatch, Target
from autopanoptic.panoptic.model.distillation import Knowledge
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.shapes import Sizes
from autopanoptic.panoptic.training.optimizer import make_optimizer, make_scheduler
from autopanoptic.panoptic.training.recipe import Recipe


class PanopticModule(SupernetModule):
    """Trains a panoptic network, or a supernet of them.

    Which anchors and RoIs enter the loss of pass n depends on (seed, n) alone.

    Args:
        network: A supernet, or the network of one architecture.
        recipe: Optimizer and schedule.
        paths: Names the path of each pass; None for a network without choices. The cycles of `SandwichPaths` run on one
            batch each, with the same anchors, and make one update. RoIs are drawn by the same numbers, each path's from
            its own proposals; with a distillation all paths have the largest one's.
        seed: Non-negative.
        share_paths: Whether several devices share the paths of a sandwich step, see `SupernetModule`.

    Raises:
        ValueError: If cycles of paths make one update each and the passes are no whole number of cycles, or if there is
            a distillation and the paths of a cycle share no batch, or several devices share them.
    """

    def __init__(
        self,
        network: PanopticNetwork,
        recipe: Recipe,
        paths: PathSampler | None = None,
        seed: int = 0,
        *,
        share_paths: bool = False,
    ) -> None:
        supernet = Supernet(network)
        sampler = UniformPaths(supernet.space) if paths is None else paths
        same_batch = batch_of_cycle(sampler)
        recipe.check_cycle(sampler.cycle, same_batch=same_batch)
        super().__init__(
            supernet,
            _Distillation(self) if recipe.distillation else self._total,
            # Named functions, because the module may be sent to other processes.
            partial(_optimizer, recipe, network),
            sampler,
            scheduler=partial(make_scheduler, recipe, sampler.cycle, same_batch=same_batch),
            accumulate=recipe.accumulate,
            same_batch=same_batch,
            distillation=recipe.distillation > 0,
            # Where rates are divided, the mean gradient over a parameter's own uses is what counts, not that over the
            # whole cycle. Else the mean, so that the limit on the norm means for a cycle what it does for a path.
            reduction="mean" if same_batch and not recipe.accumulate else "sum",
            divide_rates=recipe.accumulate,
            clip=recipe.clip,
            share_paths=share_paths and same_batch,
        )
        self.seed = seed
        self.recipe = recipe

    def clip_gradients(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the norm of all gradients.

        Lightning refuses to under bfloat16 with a fused optimizer, which takes the scale out of gradients itself; that
        concerns float16 alone.
        """
        if gradient_clip_val is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), gradient_clip_val)

    def _total(self, network: nn.Module, batch: LabelledBatch) -> Tensor:
        losses = cast("PanopticNetwork", network).losses(*_parts(batch), generator=self._generator(batch))
        return self._logged(losses)

    def _generator(self, batch: LabelledBatch) -> torch.Generator:
        """Return what draws the anchors and RoIs: the same numbers for all paths that share a batch."""
        seed = np.random.SeedSequence([self.seed, int(self.passes)]).generate_state(1)[0]
        return torch.Generator(batch.images.device).manual_seed(int(seed))

    def _logged(self, losses: dict[str, Tensor]) -> Tensor:
        shown = {name: loss.detach() for name, loss in losses.items() if name != "total"}
        self.log_dict({**shown, "learning_rate": self._learning_rate()})
        return losses["total"]

    def _learning_rate(self) -> float:
        """The highest learning rate at this pass, before factors by the kind and the uses of a parameter."""
        cycle, passes = self.paths.cycle, int(self.passes)
        update = passes // cycle if self.recipe.accumulate or self.same_batch else passes
        updates = self.recipe.updates(cycle, same_batch=self.same_batch)
        return self.recipe.learning_rate * self.recipe.factor(update, updates)


class _Distillation:
    """The loss of a training in which the largest path teaches the others, a `DistillingLoss`."""

    def __init__(self, module: PanopticModule) -> None:
        self.module = module

    def __call__(self, network: nn.Module, batch: LabelledBatch) -> Tensor:
        return self.module._total(network, batch)

    def teach(self, network: nn.Module, batch: LabelledBatch) -> tuple[Tensor, Knowledge]:
        generator = self.module._generator(batch)
        losses, knowledge = cast("PanopticNetwork", network).teach(*_parts(batch), generator=generator)
        return self.module._logged(losses), knowledge

    def learn(self, network: nn.Module, batch: LabelledBatch, knowledge: Knowledge) -> Tensor:
        losses = cast("PanopticNetwork", network).learn(
            *_parts(batch), knowledge, weight=self.module.recipe.distillation, generator=self.module._generator(batch)
        )
        return self.module._logged(losses)


def _parts(batch: LabelledBatch) -> tuple[Tensor, Sizes, Sequence[Target], Tensor]:
    return batch.images, batch.sizes, batch.targets, batch.semantic


def batch_of_cycle(paths: PathSampler | None) -> bool:
    """Return whether the paths of a cycle run on one batch: they have roles in it then, as in a sandwich step."""
    return bool(getattr(paths, "roles", None))


def _optimizer(recipe: Recipe, network: PanopticNetwork, _: Iterable[nn.Parameter]) -> Optimizer:
    return make_optimizer(recipe, network)
