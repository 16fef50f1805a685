"""The truth of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor

from autopanoptic.panoptic.data.loading.batch import Target
from autopanoptic.panoptic.model.panoptic_head.pruning import instance_numbers
from autopanoptic.panoptic.model.shapes import Sizes


@dataclass(frozen=True)
class Truth:
    """What a batch's images show.

    Attributes:
        sizes: Height and width of each image without padding.
        targets: The things of each image.
        semantic: Labels 0 (any thing) and 1..S, 255 for void and padding, integers (B, H, W).
    """

    sizes: Sizes
    targets: Sequence[Target]
    semantic: Tensor
    _known: dict[object, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def numbers(self) -> list[Tensor]:
        """Which of its things each pixel of an image belongs to, see `instance_numbers`; worked out once."""
        return [instance_numbers(target["masks"]) for target in self.targets]

    def once(self, key: object, make: Callable[[], Tensor]) -> Tensor:
        """What several losses need of the truth, made when it is first asked for under a key."""
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]
