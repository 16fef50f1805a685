"""What a training is of, as one value."""

from __future__ import annotations

from dataclasses import dataclass, field

from autopanoptic.nas import PathSampler
from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.training.hardware import Hardware
from autopanoptic.panoptic.training.recipe import Recipe
from autopanoptic.panoptic.training.validation import Measure


@dataclass(frozen=True)
class Training:
    """What decides, beside a network's first weights, those with which it ends.

    Attributes:
        dataset: The training images.
        transform: From an image to what the network sees.
        recipe: Steps, optimizer and schedule.
        paths: Names the path of each pass of a supernet; None for a network without choices.
        hardware: What to run on.
        seed: Decides order, flips and sampling; not negative.
        validation: Measures the network every `Recipe.validate_every` passes and after the last. Not on the images on
            which networks are compared in the end: the choice of the best would favour what fits them by chance.

    Raises:
        ValueError: If the recipe asks for a validation and none is given.
    """

    dataset: CocoPanoptic
    transform: Transform
    recipe: Recipe
    paths: PathSampler | None = None
    hardware: Hardware = field(default_factory=Hardware)
    seed: int = 0
    validation: Measure | None = None

    def __post_init__(self) -> None:
        every = self.recipe.validate_every
        if every and self.validation is None:
            raise ValueError(f"validate_every={every}: give the training a validation, which measures the network")
