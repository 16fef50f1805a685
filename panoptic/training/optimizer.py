"""The optimizer and the schedule of a recipe."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, Literal, Protocol

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from autopanoptic.panoptic.model.operators.deformable import Deformable
from autopanoptic.panoptic.training.recipe import Recipe

logger = logging.getLogger(__name__)


class OptimizerRecipe(Protocol):
    """What a recipe says of the optimizer; see `Recipe`."""

    @property
    def optimizer(self) -> Literal["adamw", "sgd"]:
        """Which one."""

    @property
    def learning_rate(self) -> float:
        """The highest one."""

    @property
    def weight_decay(self) -> float:
        """Of weights with more than one dimension."""

    @property
    def decay_norms(self) -> bool:
        """Whether weights of one dimension, such as scales of norms, decay, too."""

    @property
    def bias_factor(self) -> float:
        """Biases learn so many times as fast."""

    @property
    def backbone_factor(self) -> float:
        """The backbone learns so many times as fast."""

    @property
    def norm_factor(self) -> float:
        """Weights and biases of norms learn so many times as fast."""

    @property
    def offset_factor(self) -> float:
        """Convolutions that predict offsets learn so many times as fast."""


def make_optimizer(recipe: OptimizerRecipe, network: nn.Module) -> Optimizer:
    """Make the optimizer of a network's parameters, which are grouped by kind.

    It is torch's fused one where torch has that for the parameters' device; else a log message says why not.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter, rate in _rates(recipe, network):
        scale = recipe.decay_norms and not _is_bias(name)
        groups.setdefault((rate, recipe.weight_decay if parameter.ndim > 1 or scale else 0.0), []).append(parameter)
    described = [{"params": found, "lr": rate, "weight_decay": decay} for (rate, decay), found in groups.items()]
    try:
        return _make(recipe, described, fused=True)
    except RuntimeError as error:
        logger.warning("The optimizer is not fused, so that its steps take longer: %s", error)
        return _make(recipe, described, fused=False)


def make_scheduler(recipe: Recipe, cycle: int, optimizer: Optimizer, *, same_batch: bool = False) -> LambdaLR:
    """Make the schedule of a recipe's updates, for cycles of so many paths; it is stepped once an update."""
    total = recipe.updates(cycle, same_batch=same_batch)
    return LambdaLR(optimizer, lambda update: recipe.factor(update, total))


def _make(recipe: OptimizerRecipe, groups: list[dict[str, Any]], *, fused: bool) -> Optimizer:
    if recipe.optimizer == "sgd":
        return _with_momentum(torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, fused=fused))
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=fused)


def _with_momentum(optimizer: Optimizer) -> Optimizer:
    """Give each parameter the momentum 0, with which a first step is what it is without any.

    Torch's fused SGD fails where some parameters have had gradients before and others have them for the first time, as
    the options of a supernet do.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def _rates(recipe: OptimizerRecipe, network: nn.Module) -> Iterator[tuple[str, nn.Parameter, float]]:
    """Yield each parameter that is trained once, by its name, with its highest learning rate."""
    norms = _parameters_of(network, (_NormBase, nn.GroupNorm, nn.LayerNorm))
    offsets = {id(p) for layer in network.modules() if isinstance(layer, Deformable) for p in layer.offset.parameters()}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = recipe.learning_rate
        if name.startswith("backbone."):
            rate *= recipe.backbone_factor
        if _is_bias(name) and parameter.ndim <= 1:
            rate *= recipe.bias_factor
        if id(parameter) in norms:
            rate *= recipe.norm_factor
        if id(parameter) in offsets:
            rate *= recipe.offset_factor
        yield name, parameter, rate


def _is_bias(name: str) -> bool:
    return name.rpartition(".")[2] == "bias"


def _parameters_of(network: nn.Module, kinds: tuple[type[nn.Module], ...]) -> set[int]:
    return {id(p) for module in network.modules() if isinstance(module, kinds) for p in module.parameters()}
