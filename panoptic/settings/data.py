"""The images of a run."""

from __future__ import annotations

from dataclasses import dataclass

from autopanoptic.panoptic.data.coco.images import Orientation
from autopanoptic.panoptic.data.loading.normalization import IMAGENET, Normalization
from autopanoptic.panoptic.settings.checks import require_at_least, require_options

SMALLEST_SIDE = 32
"""Pixels to which images may be resized at least: the largest stride of the backbone."""


@dataclass(frozen=True, kw_only=True)
class SceneSettings:
    """Which scenes to generate.

    Attributes:
        train: Scenes to train on, at least 1.
        nas_val: Scenes to compare candidates on, at least 1.
        val: Scenes to measure the found networks on, at least 1.
    """

    train: int = 1600
    nas_val: int = 400
    val: int = 300

    def __post_init__(self) -> None:
        require_at_least(1, self, "train", "nas_val", "val")


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """The images of a run.

    Attributes:
        path: Folder in COCO panoptic format, relative to the working folder, of which a run keeps the whole path; None
            to generate scenes.
        scenes: What is generated where there is no path; None where the path is needed.
        orientation: Whether images are turned by their EXIF orientation (``"apply"``) or read as they are stored
            (``"ignore"``), see `CocoPanoptic`; None for what the folder of a converter says, and else ``"apply"``.
        short_side: Images are resized to it, in pixels, at least 32; None keeps their size.
        long_side: The longer side is at most this, in pixels, at least `short_side` and 32; None for no limit.
        normalization: What networks see of a pixel; by default RGB, normalised by ImageNet's mean and deviation.
    """

    path: str | None = None
    scenes: SceneSettings | None = None
    orientation: Orientation | None = None
    short_side: int | None = None
    long_side: int | None = None
    normalization: Normalization = IMAGENET

    def __post_init__(self) -> None:
        require_options(self)
        require_at_least(SMALLEST_SIDE, self, "short_side", "long_side")
        if self.long_side is not None and self.long_side < (self.short_side or 0):
            raise ValueError(
                f"long_side={self.long_side}, the longest that a side may be, is less than "
                f"short_side={self.short_side}, which no image would have; change both"
            )
        if self.path is not None and not self.path.strip():
            raise ValueError(f"path must name a folder, not {self.path!r}")

    def require_scenes(self) -> SceneSettings:
        """Return what to generate.

        Raises:
            ValueError: If the settings say neither which data to read nor which to generate.
        """
        if self.scenes is None:
            raise ValueError("data.path is missing: give a folder in COCO panoptic format, by --data DIR for example")
        return self.scenes
