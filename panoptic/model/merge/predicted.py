"""From what a network says about an image to its panoptic map, by the network's own head or by merging."""

from __future__ import annotations

from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.segments import PanopticMap
from autopanoptic.panoptic.model.merge.merge import merge
from autopanoptic.panoptic.model.merge.rules import MergeRules
from autopanoptic.panoptic.model.prediction import Prediction


def map_of(found: Prediction, categories: Categories, rules: MergeRules) -> PanopticMap:
    """Return the map of an image, on the prediction's device.

    Args:
        found: What a network says.
        categories: What its labels stand for.
        rules: Thresholds, and where instances are merged the order of painting.

    Raises:
        ValueError: As `merge` does.
    """
    if found.panoptic is None:
        return merge(found.scores, found.labels, found.masks, found.semantic, categories, rules)
    return found.panoptic.map(found.scores, found.labels, found.masks, categories, rules)
