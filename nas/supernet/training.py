"""Training a supernet by Lightning: one path a pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import lightning
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from autopanoptic.nas.supernet.paths import PathSampler
from autopanoptic.nas.supernet.supernet import Supernet
from autopanoptic.nas.supernet.uses import divided_rates, places_of_parameters, split_groups


class SupernetModule(lightning.LightningModule):
    """Trains a supernet; pass n runs the path that the sampler names for n.

    The number of passes is part of the checkpoint, so that a resumed training goes on with the right path; so are the
    gradients of a cycle that the checkpoint cuts in two.

    Args:
        supernet: what to train.
        loss: takes the network and a batch and returns the loss to minimise.
        optimizer: takes the parameters and makes the optimizer.
        paths: names the path of each pass.
        scheduler: makes the learning rate's schedule from the optimizer, stepped once an update.
        accumulate: whether the gradients of a cycle of paths are accumulated before one update (the way of FairNAS
            and Auto-Panoptic); otherwise each path is an update of its own. Passes after the last whole cycle update
            nothing.
        reduction: how the gradients of a cycle are combined where they are accumulated, ``"mean"`` or ``"sum"``.
        clip: the largest norm of the gradient; None for no clipping.
        divide_rates: whether, at each update of a cycle, the learning rate of every parameter is divided by how many
            paths of the cycle use it (Auto-Panoptic, section 3.3). With gradients that are summed, the mean over a
            parameter's own uses is what counts then. The optimizer gets a group for each set of parameters that the
            same paths use.

    Raises:
        ValueError: when the reduction is another, or rates shall be divided without ``accumulate``.
    """

    def __init__(
        self,
        supernet: Supernet,
        loss: Callable[[nn.Module, Any], Tensor],
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        paths: PathSampler,
        *,
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        accumulate: bool = False,
        reduction: Literal["mean", "sum"] = "mean",
        clip: float | None = None,
        divide_rates: bool = False,
    ) -> None:
        if reduction not in ("mean", "sum"):
            raise ValueError(f"reduction must be 'mean' or 'sum', not {reduction!r}")
        if divide_rates and not accumulate:
            raise ValueError("divide_rates=True divides by the uses in a cycle, so it needs accumulate=True.")
        super().__init__()
        self.automatic_optimization = False
        self.supernet = supernet
        self.network = supernet.module
        self.loss = loss
        self.optimizer = optimizer
        self.paths = paths
        self.scheduler = scheduler
        self.accumulate = accumulate
        self.reduction = reduction
        self.clip = clip
        self._places = places_of_parameters(supernet.module) if divide_rates else None
        self.register_buffer("passes", torch.zeros((), dtype=torch.int64))
        self.passes: Tensor
        self._loaded_gradients: dict[str, Tensor] = {}

    def configure_optimizers(self) -> Any:
        """Make the optimizer and its schedule."""
        optimizer = self.optimizer(self.network.parameters())
        if self._places is not None:
            split_groups(optimizer, self._places)
        return optimizer if self.scheduler is None else ([optimizer], [self.scheduler(optimizer)])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the gradients that wait for the end of a cycle."""
        if self.accumulate:
            named = self.network.named_parameters()
            checkpoint["cycle_gradients"] = {name: p.grad.clone() for name, p in named if p.grad is not None}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the gradients of a cycle for the start of the training."""
        self._loaded_gradients = checkpoint.get("cycle_gradients", {})

    def on_train_start(self) -> None:
        """Put back the gradients of a cycle."""
        parameters = dict(self.network.named_parameters())
        for name, gradient in self._loaded_gradients.items():
            parameters[name].grad = gradient.to(parameters[name].device)
        self._loaded_gradients = {}

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Train one path on one batch.

        Raises:
            FloatingPointError: when the loss is not finite; names the pass and the path.
        """
        step = int(self.passes)
        path = self.supernet.activate(self.paths.path(step))
        loss = self.loss(self.network, batch)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"The loss of pass {step} is {loss.item()}, on path {path.id} ({dict(path)}). "
                "Lower the learning rate or clip the gradient."
            )
        cycle = self.paths.cycle if self.accumulate else 1
        self.manual_backward(loss / cycle if self.reduction == "mean" else loss)
        self.log("loss", loss.detach(), prog_bar=True)
        self.passes += 1
        if (step + 1) % cycle == 0:
            self._update(step + 1 - cycle)

    def _update(self, first: int) -> None:
        """Step the optimizer after the cycle that begins at pass ``first``."""
        optimizer: Any = self.optimizers()
        if self.clip is not None:
            self.clip_gradients(optimizer, gradient_clip_val=self.clip, gradient_clip_algorithm="norm")
        with self._rates(optimizer, first):
            optimizer.step()
        # Parameters off the path keep no gradient, so that momentum and decay leave them alone.
        optimizer.zero_grad(set_to_none=True)
        schedule: Any = self.lr_schedulers()
        if schedule is not None:
            schedule.step()

    def _rates(self, optimizer: Optimizer, first: int) -> AbstractContextManager[None]:
        if self._places is None:
            return nullcontext()
        return divided_rates(optimizer, self._places, map(self.paths.path, range(first, first + self.paths.cycle)))
