"""The optimizer and the schedule of a recipe."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from autopanoptic.panoptic.training.recipe import Recipe


def make_optimizer(recipe: Recipe, network: nn.Module) -> Optimizer:
    """Make the optimizer of a network's parameters, which are grouped by kind."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        plain = parameter.ndim <= 1
        rate = recipe.learning_rate * (recipe.bias_factor if name.rpartition(".")[2] == "bias" and plain else 1.0)
        groups.setdefault((rate, 0.0 if plain else recipe.weight_decay), []).append(parameter)
    described = [{"params": found, "lr": rate, "weight_decay": decay} for (rate, decay), found in groups.items()]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(described, lr=recipe.learning_rate, momentum=0.9)
    return torch.optim.AdamW(described, lr=recipe.learning_rate)


def make_scheduler(recipe: Recipe, cycle: int, optimizer: Optimizer) -> LambdaLR:
    """Make the schedule of a recipe's updates, for cycles of so many paths; it is stepped once an update."""
    total = recipe.updates(cycle)
    return LambdaLR(optimizer, lambda update: recipe.factor(update, total))
