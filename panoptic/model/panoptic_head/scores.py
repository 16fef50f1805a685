"""What a panoptic head says of an image, until the rules are known by which it becomes a map."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.segments import PanopticMap
from autopanoptic.panoptic.model.merge.rules import MergeRules
from autopanoptic.panoptic.model.panoptic_head.inference import label_cells, panoptic_map
from autopanoptic.panoptic.model.panoptic_head.logits import panoptic_logits
from autopanoptic.panoptic.model.panoptic_head.pruning import STRIDE
from autopanoptic.panoptic.model.panoptic_head.rules import HeadRules
from autopanoptic.panoptic.model.panoptic_head.selection import apart, confident


@dataclass(frozen=True)
class PanopticScores:
    """Of one image, with the detections in the order of its `Prediction`.

    Attributes:
        scores: Logits of all classes (S + T, H / 4, W / 4), padding included.
        boxes: float32 (N, 4), in pixels of the resized image.
        masks: Logits of each detection's class, (N, M, M).
        overlaps: SOGNet's O, (N, N); None for UPSNet.
        size: The resized image's height and width without padding.
        original_size: The map's.
        aligned: See `panoptic_logits`.
        unknown: Whether things that no instance explains have a channel, and become void.
    """

    scores: Tensor
    boxes: Tensor
    masks: Tensor
    overlaps: Tensor | None
    size: tuple[int, int]
    original_size: tuple[int, int]
    aligned: bool
    unknown: bool

    def map(
        self, scores: Tensor, labels: Tensor, masks: Tensor, categories: Categories, rules: MergeRules
    ) -> PanopticMap:
        """Make the map (Xiong et al. 2019, section 3.3).

        Args:
            scores: Of the detections (N,), 0 to 1.
            labels: (N,), 1..T.
            masks: bool (N, H, W), at the original size.
            categories: What the labels stand for.
            rules: The thresholds of scores and overlaps and the least area of stuff; the order is by score.
        """
        own = HeadRules(
            score_threshold=rules.score_threshold,
            overlap_threshold=rules.overlap_threshold,
            stuff_area=rules.stuff_area,
        )
        chosen = confident(self.boxes, scores, own)
        chosen = chosen[apart(scores[chosen], labels[chosen], masks[chosen], own)]
        logits = panoptic_logits(
            self.scores,
            self.boxes[chosen] / STRIDE,
            labels[chosen],
            self.masks[chosen],
            len(categories.stuff),
            aligned=self.aligned,
            unknown=self.unknown,
            overlaps=None if self.overlaps is None else self.overlaps[chosen][:, chosen],
        )
        channels = label_cells(logits, self.size, self.original_size)
        classes = label_cells(self.scores, self.size, self.original_size)
        return panoptic_map(channels, classes, scores[chosen], labels[chosen], categories, own)
