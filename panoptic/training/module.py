"""What a pass of a training does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
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
from autopanoptic.panoptic.model.parts.fitting import PUBLISHED
from autopanoptic.panoptic.model.shapes import Sizes
from autopanoptic.panoptic.training.optimizer import make_optimizer, make_scheduler
from autopanoptic.panoptic.training.parallel.parts import BatchPart, added, of_devices, of_whole, parts_of, summed
from autopanoptic.panoptic.training.recipe import Recipe


class PanopticModule(SupernetModule):
    """Trains a panoptic network, or a supernet of them.

    Which anchors and RoIs of an image enter the loss of pass n depends on the seed, n and its place in the batch
    alone, however many devices share the batch and in how many parts each computes its own.

    Args:
        network: A supernet, or the network of one architecture.
        recipe: Optimizer and schedule.
        paths: Names the path of each pass; None for a network without choices. The cycles of `SandwichPaths` run on one
            batch each, with the same anchors, and make one update. RoIs are drawn by the same numbers, each path's from
            its own proposals; with a distillation all paths have the largest one's.
        seed: Non-negative.
        share_paths: Whether several devices share the paths of a sandwich step, see `SupernetModule`.
        batch_size: Images that a device computes at a time; None for all of its part of a batch.

    Raises:
        ValueError: If cycles of paths make one update each and the passes are no whole number of cycles, or if there is
            a distillation and the paths of a cycle share no batch, or several devices share them, or if their semantic
            heads are of several kinds.
    """

    def __init__(
        self,
        network: PanopticNetwork,
        recipe: Recipe,
        paths: PathSampler | None = None,
        seed: int = 0,
        *,
        share_paths: bool = False,
        batch_size: int | None = None,
    ) -> None:
        supernet = Supernet(network)
        sampler = UniformPaths(supernet.space) if paths is None else paths
        same_batch = batch_of_cycle(sampler)
        if recipe.distillation and network.config.space == PUBLISHED:
            raise ValueError(
                f"distillation={recipe.distillation}: in the space {PUBLISHED} paths have semantic heads with classes "
                "of their own, so that none can learn from another's; take 0 here, or the space elastic"
            )
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
            split=self._split,
        )
        self.batch_size = batch_size
        self._shown: dict[str, Tensor] = {}
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
            # Of the optimizer, because the network would look for them in all its modules at every step.
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            nn.utils.clip_grad_norm_(parameters, gradient_clip_val)

    def _split(self, network: nn.Module, batch: LabelledBatch) -> list[BatchPart]:
        """Return the parts of what this device has of a batch, whose losses add up to its share of the batch's."""
        rank, world = (self.global_rank, self.trainer.world_size) if self._reduces else (0, 1)
        parts = parts_of(batch, self.batch_size, rank, world)
        if len(parts) == 1:
            return [replace(part, shares=of_devices(world) if world > 1 else None) for part in parts]
        # What the losses are means over is known when the RoIs of all parts are drawn.
        found = cast("PanopticNetwork", network)
        drawn = [found.draw(*_arguments(part.batch), generator=self._generators(part)) for part in parts]
        whole = added([one.counts for one in drawn])
        shares = of_whole(summed(whole) if world > 1 else whole, world)
        return [replace(part, regions=one.regions, shares=shares) for part, one in zip(parts, drawn, strict=True)]

    def _total(self, network: nn.Module, part: BatchPart) -> Tensor:
        losses = cast("PanopticNetwork", network).losses(
            *_arguments(part.batch), generator=self._generators(part), regions=part.regions, shares=part.shares
        )
        return self._noted(losses, part)

    def _generators(self, part: BatchPart) -> list[torch.Generator]:
        """Return what draws the anchors and RoIs of each image: the same numbers for all paths that share a batch."""
        device = part.batch.images.device
        seeds = [np.random.SeedSequence([self.seed, self.passes, place]) for place in part.places]
        return [torch.Generator(device).manual_seed(int(seed.generate_state(1)[0])) for seed in seeds]

    def _noted(self, losses: dict[str, Tensor], part: BatchPart) -> Tensor:
        for name, loss in losses.items():
            before = self._shown.get(name)
            self._shown[name] = loss.detach() if before is None else before + loss.detach()
        if part.last:
            for name, loss in self._shown.items():
                if name != "total":
                    self.note(name, loss)
            self._shown = {}
            self.note("learning_rate", self._learning_rate())
        return losses["total"]

    def _learning_rate(self) -> float:
        """The highest learning rate at this pass, before factors by the kind and the uses of a parameter."""
        cycle, passes = self.paths.cycle, self.passes
        update = passes // cycle if self.recipe.accumulate or self.same_batch else passes
        updates = self.recipe.updates(cycle, same_batch=self.same_batch)
        return self.recipe.learning_rate * self.recipe.factor(update, updates)


class _Distillation:
    """The loss of a training in which the largest path teaches the others, a `DistillingLoss`."""

    def __init__(self, module: PanopticModule) -> None:
        self.module = module

    def __call__(self, network: nn.Module, batch: BatchPart) -> Tensor:
        return self.module._total(network, batch)

    def teach(self, network: nn.Module, batch: BatchPart) -> tuple[Tensor, Knowledge]:
        generators, arguments = self.module._generators(batch), _arguments(batch.batch)
        losses, knowledge = cast("PanopticNetwork", network).teach(
            *arguments, generator=generators, regions=batch.regions, shares=batch.shares
        )
        return self.module._noted(losses, batch), knowledge

    def learn(self, network: nn.Module, batch: BatchPart, knowledge: Knowledge) -> Tensor:
        generators, weight = self.module._generators(batch), self.module.recipe.distillation
        losses = cast("PanopticNetwork", network).learn(
            *_arguments(batch.batch), knowledge, weight=weight, generator=generators, shares=batch.shares
        )
        return self.module._noted(losses, batch)


def _arguments(batch: LabelledBatch) -> tuple[Tensor, Sizes, Sequence[Target], Tensor]:
    return batch.images, batch.sizes, batch.targets, batch.semantic


def batch_of_cycle(paths: PathSampler | None) -> bool:
    """Return whether the paths of a cycle run on one batch: they have roles in it then, as in a sandwich step."""
    return bool(getattr(paths, "roles", None))


def _optimizer(recipe: Recipe, network: PanopticNetwork, _: Iterable[nn.Parameter]) -> Optimizer:
    return make_optimizer(recipe, network)
