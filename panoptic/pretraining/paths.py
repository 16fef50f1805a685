"""The paths by which a backbone's supernet is trained: uniform within bins of FLOPs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from autopanoptic.nas import Architecture, BinnedPaths, LayerCosts, Option, PathSampler, Supernet
from autopanoptic.nas.supernet.paths import DrawnPaths
from autopanoptic.panoptic.model.parts.registry import flop_formulas
from autopanoptic.panoptic.pretraining.classifier import Classifier
from autopanoptic.panoptic.pretraining.recipe import PretrainingRecipe


@dataclass(frozen=True)
class OptionCosts:
    """A cost to which each choice adds an amount of its own: a dictionary that is quick, and can be sent anywhere.

    Attributes:
        base: The cost of the first architecture.
        added: By choice and option, how much more than that.
    """

    base: float
    added: Mapping[tuple[str, Option], float]

    def __call__(self, architecture: Architecture) -> float:
        """Return the cost of an architecture."""
        return self.base + sum(self.added[item] for item in architecture.items())


def binned_paths(classifier: Classifier, recipe: PretrainingRecipe, seed: int) -> BinnedPaths:
    """Return paths that are spread evenly over bins of MFLOPs (multiply-adds) of one image.

    Raises:
        ValueError: If the recipe's bins are met by no path; says what paths cost.
    """
    with torch.device("meta"):
        supernet = Supernet(Classifier(classifier.config, classifier.classes.out_features, recipe.tail_width, 0.0))
    images = torch.empty(1, 3, recipe.image_size, recipe.image_size, device="meta")
    costs = LayerCosts(supernet, images, unit=1e6, formulas=flop_formulas(classifier.config))
    if classifier.config.elastic:
        return BinnedPaths(supernet.space, costs, recipe.bins, seed)
    # Widths are fixed, so that every choice adds a fixed amount.
    first = supernet.space.canonical({choice.label: choice.options[0] for choice in supernet.space.choices})
    base = costs(first)
    options = [(choice.label, option) for choice in supernet.space.choices for option in choice.options]
    added = {(label, option): costs(Architecture(first.replace(label, option))) - base for label, option in options}
    return BinnedPaths(supernet.space, OptionCosts(base, added), recipe.bins, seed)


def portable(paths: BinnedPaths, passes: int) -> PathSampler:
    """Return paths that can be sent to other processes."""
    return paths if isinstance(paths.cost, OptionCosts) else DrawnPaths(paths, passes)
