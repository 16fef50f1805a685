"""Which pretraining a run has, as values that its config holds; loads no torch."""

from __future__ import annotations

from dataclasses import dataclass

from autopanoptic.panoptic.pretraining.recipe import PretrainingRecipe


@dataclass(frozen=True, kw_only=True)
class PretrainingSettings:
    """Classification of images before the panoptic trainings of a run, as in DetNAS and Auto-Panoptic.

    What a config leaves out of the two recipes is as in the recipe imagenet where `images` are given, else as in small;
    so an empty section is enough for one.

    Attributes:
        images: Folder with train/CLASS/ and val/CLASS/, as ImageNet is laid out; None for crops of the run's own things
            and stuff.
        supernet: Training of the backbone's supernet, with whose weights that of the panoptic supernet begins; None to
            draw them from the seed.
        found: Training of the backbone of each network that is compared, by itself, with whose weights that network
            begins where init is pretrained; None where it is not.
    """

    images: str | None = None
    supernet: PretrainingRecipe | None = None
    found: PretrainingRecipe | None = None

    def __post_init__(self) -> None:
        if self.images is not None and not self.images.strip():
            raise ValueError(f"images must name a folder, not {self.images!r}")
        if self.images is not None and not self.wanted:
            raise ValueError(
                "images are given, but nothing is pretrained on them: give a section supernet too, which may be empty, "
                "or set init to pretrained"
            )

    @property
    def wanted(self) -> bool:
        """Whether there is any pretraining."""
        return self.supernet is not None or self.found is not None
