"""Training a supernet by Lightning: one path a pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, nullcontext
from typing import Any, Literal, cast

import lightning
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.supernet.paths import PathSampler
from autopanoptic.nas.supernet.supernet import Supernet
from autopanoptic.nas.supernet.training.losses import DistillingLoss, Loss, detached
from autopanoptic.nas.supernet.training.numbers import StepNumbers, require_finite
from autopanoptic.nas.supernet.training.ranking import PairwiseRanking
from autopanoptic.nas.supernet.training.rates import PathRate, factors_of, scaled_rates
from autopanoptic.nas.supernet.training.sharing import (
    check_sharing,
    mean_gradients,
    own_places,
    sum_gradients,
    sum_losses,
    unsynchronized,
)
from autopanoptic.nas.supernet.training.switches import check_reduction, check_same_batch
from autopanoptic.nas.supernet.uses import divided_rates, places_of_parameters, split_groups


class SupernetModule(lightning.LightningModule):
    """Trains a supernet; pass n runs the path that the sampler names for n.

    The number of passes is part of the checkpoint, so that a resumed training goes on with the right path; so are the
    gradients of a cycle that the checkpoint cuts in two.

    The loss of each update is logged as ``loss``, the mean over its paths with ``same_batch``; then also by what the
    paths are, where the sampler says so: ``loss_largest``, ``loss_smallest`` and ``loss_random`` of
    :class:`SandwichPaths`.

    Args:
        supernet: what to train.
        loss: takes the network and a batch and returns the loss to minimise.
        optimizer: takes the parameters and makes the optimizer.
        paths: names the path of each pass.
        scheduler: makes the learning rate's schedule from the optimizer, stepped once an update.
        accumulate: whether the gradients of a cycle of paths are accumulated before one update (the way of FairNAS
            and Auto-Panoptic); otherwise each path is an update of its own. Passes after the last whole cycle update
            nothing.
        same_batch: whether all paths of a cycle run on one batch, for one update: with :class:`SandwichPaths` the
            sandwich rule (Yu and Huang 2019, "Universally slimmable networks and improved training techniques"; BigNAS,
            Yu et al. 2020). A training step is a cycle then, and a checkpoint always falls between two: ``passes`` is
            that of the cycle's first path until its end. The papers sum the gradients, ``reduction="sum"``.
        distillation: whether the first path of each cycle teaches the others of the batch (the same papers' inplace
            distillation); ``loss`` must be a :class:`DistillingLoss`, such as :class:`SoftLabels`, and the ``roles`` of
            ``paths`` must begin with ``"largest"``, as those of :class:`SandwichPaths`. It need not be the same path in
            each cycle.
        ranking: penalises pairs of paths whose losses on the batch stand in another order than a cheap proxy says.
        rate: multiplies the learning rate by a number that depends on the path, such as :class:`ComplexityRate`. Where
            a cycle is one update, the update has the mean over its paths, and each path's gradient its share of that.
        reduction: how the gradients of a cycle are combined where they are accumulated, ``"mean"`` or ``"sum"``.
        clip: the largest norm of the gradient; None for no clipping.
        divide_rates: whether, at each update of a cycle, the learning rate of every parameter is divided by how many
            paths of the cycle use it (Auto-Panoptic, section 3.3). With gradients that are summed, the mean over a
            parameter's own uses is what counts then. An elastic layer's parameters count as used wherever a slice of
            them is. The optimizer gets a group for each set of parameters that the same paths use.
        share_paths: whether several processes share the paths of a cycle, all on the whole batch, instead of the
            batch's images: each trains as many consecutive paths of the cycle, and their gradients are summed before
            the update. On a CPU they need not wait for each other at every operator, as threads do, and batch norm
            sees the whole batch; its running statistics are those of the first process's paths. Every process must load
            the same batches. Without several processes it changes nothing.
        split: cuts a batch into parts that are computed one after the other, for a device that has not the memory for
            all at once. It takes the network, whose active path runs, and a batch; ``loss`` gets each part in place of
            the batch, and the losses of all parts add up to the batch's.

    Several processes that share the images of a batch reduce their gradients once an update, with the last backward
    pass of its cycle.

    Raises:
        ValueError: when the reduction is another; rates shall be divided without ``accumulate`` or ``same_batch``; a
            distillation or a ranking is asked for without ``same_batch``, or with ``share_paths``; the sampler's
            cycles do not fit them; or there are a ranking and a ``split``.
        TypeError: when the loss of a distillation cannot teach.
    """

    def __init__(
        self,
        supernet: Supernet,
        loss: Loss,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        paths: PathSampler,
        *,
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        accumulate: bool = False,
        same_batch: bool = False,
        distillation: bool = False,
        ranking: PairwiseRanking | None = None,
        rate: PathRate | None = None,
        reduction: Literal["mean", "sum"] = "mean",
        clip: float | None = None,
        divide_rates: bool = False,
        share_paths: bool = False,
        split: Callable[[nn.Module, Any], Sequence[Any]] | None = None,
    ) -> None:
        check_reduction(reduction, divide_rates=divide_rates, cycles=accumulate or same_batch)
        check_same_batch(
            paths, loss, same_batch=same_batch, distillation=distillation, ranking=ranking is not None
        )  # fmt: skip
        if share_paths:
            check_sharing(same_batch=same_batch, compared=distillation or ranking is not None)
        if ranking is not None and split is not None:
            raise ValueError("A ranking compares the losses of whole batches, so that they cannot be split.")
        super().__init__()
        self.automatic_optimization = False
        self.supernet = supernet
        self.network = supernet.module
        self.loss = loss
        self.optimizer = optimizer
        self.paths = paths
        self.scheduler = scheduler
        self.accumulate = accumulate
        self.same_batch = same_batch
        self.distillation = distillation
        self.ranking = ranking
        self.rate = rate
        self.reduction = reduction
        self.clip = clip
        self.share_paths = share_paths
        self.split = split
        self._places = places_of_parameters(supernet.module) if divide_rates else None
        # On the host, which looks at it at every step and would wait for a buffer on the device.
        self.passes = 0
        self._numbers = StepNumbers()
        self._loaded_gradients: dict[str, Tensor] = {}

    @property
    def _cycle(self) -> int:
        """How many passes make one update."""
        return self.paths.cycle if self.accumulate or self.same_batch else 1

    def configure_optimizers(self) -> Any:
        """Make the optimizer and its schedule."""
        optimizer = self.optimizer(self.network.parameters())
        if self._places is not None:
            split_groups(optimizer, self._places)
        return optimizer if self.scheduler is None else ([optimizer], [self.scheduler(optimizer)])

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[f"{prefix}passes"] = torch.tensor(self.passes)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        *others: Any,
    ) -> None:
        # Taken out, because what is no parameter and no buffer is reported as unexpected.
        passes = state_dict.pop(f"{prefix}passes", None)
        if passes is not None:
            self.passes = int(passes)
        elif strict:
            missing_keys.append(f"{prefix}passes")
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, missing_keys, *others)

    def note(self, name: str, value: Tensor | float) -> None:
        """Log a number at the end of the training step, as `log` would, but together with the step's others.

        Args:
            name: of the number; a later one of the same step takes its place.
            value: a scalar. Where several processes share the images of a batch, tensors are averaged over them.
        """
        self._numbers.note(name, value)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the gradients that wait for the end of a cycle."""
        if self.accumulate and not self.same_batch:
            checkpoint["cycle_gradients"] = self._waiting_gradients()

    def _waiting_gradients(self) -> dict[str, Tensor]:
        # Each process has those of its own images until the cycle ends; what is kept is of all of them.
        waiting = self._reduces and bool(self.passes % self._cycle)
        named = dict(self.network.named_parameters())
        found = mean_gradients(named) if waiting else {name: one.grad for name, one in named.items()}
        return {name: one.clone() for name, one in found.items() if one is not None}

    def on_train_end(self) -> None:
        """Keep the gradients of a cycle that has begun, which Lightning drops when it trains the module again."""
        if self.accumulate and not self.same_batch and self.passes % self._cycle:
            self._loaded_gradients = self._waiting_gradients()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the gradients of a cycle for the start of the training."""
        self._loaded_gradients = checkpoint.get("cycle_gradients", {})

    def on_train_start(self) -> None:
        """Put back the gradients of a cycle.

        Raises:
            ValueError: when a training that trains whole cycles would go on inside of one.
        """
        if self.same_batch and self.passes % self._cycle:
            raise ValueError(
                f"The training stands at pass {self.passes}, inside of a cycle of {self._cycle} paths, which "
                "same_batch=True trains as one. Go on as it began, or begin anew."
            )
        parameters = dict(self.network.named_parameters())
        for name, gradient in self._loaded_gradients.items():
            parameters[name].grad = gradient.to(parameters[name].device)
        self._loaded_gradients = {}

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Train one path on one batch, or with ``same_batch`` a cycle of paths.

        The host waits for the device once, behind the last backward pass.

        Raises:
            FloatingPointError: when the loss is not finite, in whichever process; names the pass and the path.
        """
        if self.same_batch:
            self._train_cycle(batch)
        else:
            self._train_path(batch)

    def _train_path(self, batch: Any) -> None:
        step = self.passes
        path = self.supernet.activate(self.paths.path(step))
        first = step - step % self._cycle
        parts, losses = self._parts(batch), []
        for part in parts:
            loss = self.loss(self.network, part)
            losses.append(loss.detach())
            last = step + 1 == first + self._cycle and len(losses) == len(parts)
            self._backward(loss * self._weights(first)[step - first], reduced=last)
        whole = torch.stack(losses).sum()
        self.note("loss", whole)
        self._tell([(step, path, whole)])
        self.passes += 1
        if step + 1 == first + self._cycle:
            self._update(first)

    def _train_cycle(self, batch: Any) -> None:
        # The passes are counted at the end: where an error or Ctrl-C ends the step, none of the cycle counts. Lightning
        # drops the gradients that it leaves when the next training starts.
        first = self.passes
        weights = self._weights(first)
        done: dict[int, tuple[Architecture, Tensor]] = {}
        penalties: list[Tensor] = []
        parts: Sequence[Any] = ()
        known: list[Any] = []
        shared = self.share_paths and self.trainer.world_size > 1
        places = own_places(self._cycle, *((self.global_rank, self.trainer.world_size) if shared else (0, 1)))
        for place in places:
            path = self.supernet.activate(self.paths.path(first + place))
            if not known:
                parts = self._parts(batch)
            losses: list[Tensor] = []
            for number, part in enumerate(parts):
                loss, knowledge = self._loss_of(part, place, known[number] if place and known else None)
                known += [knowledge] if self.distillation and not place else []
                losses.append(loss.detach())
                if self.ranking is not None and place > self.distillation:
                    penalties.append(
                        self.ranking.penalty(path, loss, [done[other] for other in range(self.distillation, place)])
                    )
                    loss = loss + self.ranking.weight_at(first) * penalties[-1]
                last = place == places[-1] and number + 1 == len(parts)
                self._backward(loss * weights[place], reduced=last and not shared)
            done[place] = (path, torch.stack(losses).sum())
        totals = {place: loss for place, (_, loss) in done.items()}
        if shared:
            sum_gradients(self.network.parameters())
        # Those of all processes, so that all stop where one has to.
        every = sum_losses(totals, self._cycle, self.device) if shared else list(totals.values())
        self._note_cycle(every, penalties)
        ran = [done[place][0] if place in done else self.paths.path(first + place) for place in range(self._cycle)]
        self._tell([(first + place, path, loss) for place, (path, loss) in enumerate(zip(ran, every, strict=True))])
        self.passes += self._cycle
        self._update(first)

    @property
    def _reduces(self) -> bool:
        """Whether several processes share the images of each batch."""
        return self.trainer.world_size > 1 and not self.share_paths

    def _parts(self, batch: Any) -> Sequence[Any]:
        """Return what the active path is run on, one after the other."""
        return [batch] if self.split is None else self.split(self.network, batch)

    def _backward(self, loss: Tensor, *, reduced: bool) -> None:
        """Add the gradients of a loss; where several processes train, theirs are reduced now or stay apart."""
        with nullcontext() if reduced else unsynchronized(self.trainer):
            self.manual_backward(loss)

    def _loss_of(self, batch: Any, place: int, knowledge: Any) -> tuple[Tensor, Any]:
        """Return the loss of the active path, and what it or the teacher before it hands on."""
        if not self.distillation:
            return self.loss(self.network, batch), None
        distilling = cast("DistillingLoss", self.loss)
        if place:
            return distilling.learn(self.network, batch, knowledge), knowledge
        loss, found = distilling.teach(self.network, batch)
        return loss, detached(found)

    def _note_cycle(self, losses: list[Tensor], penalties: list[Tensor]) -> None:
        self.note("loss", torch.stack(losses).mean())
        roles: tuple[str, ...] = getattr(self.paths, "roles", None) or ()
        for role in dict.fromkeys(roles):
            own = [loss for loss, other in zip(losses, roles, strict=True) if other == role]
            self.note(f"loss_{role}", torch.stack(own).mean())
        if penalties:
            self.note("ranking", torch.stack(penalties).detach().mean())

    def _tell(self, losses: Sequence[tuple[int, Architecture, Tensor]]) -> None:
        """Log what the step has noted, and refuse losses that are not finite, before they change a weight."""
        values, numbers = self._numbers.take([loss for _, _, loss in losses], self._mean if self._reduces else None)
        for (step, path, _), value in zip(losses, values, strict=True):
            require_finite(value, step, path)
        for name, number in numbers.items():
            # A tensor of the host: Lightning puts bare numbers on the device, and waits for them there.
            self.log(name, torch.tensor(number), prog_bar=name == "loss")

    def _mean(self, values: Tensor) -> Tensor:
        mean: Tensor = self.trainer.strategy.reduce(values, reduce_op="mean")
        return mean

    def _weights(self, first: int) -> list[float]:
        """Return what multiplies the gradient of each path of the cycle that begins at pass ``first``."""
        share = 1 / self._cycle if self.reduction == "mean" else 1.0
        factors = self._factors(first)
        mean = sum(factors) / len(factors)
        # Where the whole cycle has a learning rate of 0, the shares in it do not matter.
        return [share * (factor / mean if mean else 1.0) for factor in factors]

    def _factors(self, first: int) -> list[float]:
        """Return what multiplies the learning rate of each path of a cycle."""
        return [1.0] * self._cycle if self.rate is None else factors_of(self.rate, self._paths_from(first), first)

    def _paths_from(self, first: int) -> list[Architecture]:
        return [self.paths.path(step) for step in range(first, first + self._cycle)]

    def _update(self, first: int) -> None:
        """Step the optimizer after the cycle that begins at pass ``first``."""
        optimizer: Any = self.optimizers()
        if self.clip is not None:
            # With 16-mixed the gradients are multiplied until the optimizer steps.
            scaler = getattr(self.trainer.precision_plugin, "scaler", None)
            norm = self.clip * (1.0 if scaler is None else scaler.get_scale())
            self.clip_gradients(optimizer, gradient_clip_val=norm, gradient_clip_algorithm="norm")
        with self._rates(optimizer, first):
            optimizer.step()
        # Parameters off the path keep no gradient, so that momentum and decay leave them alone.
        optimizer.zero_grad(set_to_none=True)
        schedule: Any = self.lr_schedulers()
        if schedule is not None:
            schedule.step()

    def _rates(self, optimizer: Optimizer, first: int) -> ExitStack:
        """Change the learning rates for the update after the cycle that begins at pass ``first``."""
        with ExitStack() as rates:
            if self._places is not None:
                rates.enter_context(divided_rates(optimizer, self._places, self._paths_from(first)))
            if self.rate is not None:
                rates.enter_context(scaled_rates(optimizer, sum(self._factors(first)) / self._cycle))
            return rates.pop_all()
