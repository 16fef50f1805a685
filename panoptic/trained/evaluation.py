"""What is measured of trained networks on one set of images, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.quality.bootstrap import (
    Estimate,
    Figures,
    QualityFigures,
    estimate,
    estimate_difference,
)
from autopanoptic.panoptic.quality.precision import Kind, PrecisionReport
from autopanoptic.panoptic.quality.semantic import SemanticReport
from autopanoptic.panoptic.quality.summary import METRICS, QualityReport


@dataclass(frozen=True)
class NetworkEvaluation:
    """A network on a set of images.

    Attributes:
        name: Of the network.
        quality: Panoptic quality of its maps.
        precision: AP of its boxes and masks before they were merged; empty without thing classes.
        semantic: IoU of its semantic branch; None without stuff classes.
    """

    name: str
    quality: QualityReport
    precision: Mapping[Kind, PrecisionReport] = field(default_factory=dict)
    semantic: SemanticReport | None = None

    def metrics(self) -> dict[str, float]:
        """Everything that was seen, in percent: pq, pq_things, ..., box_ap, ..., mask_ap, ..., miou, ..."""
        found = self.quality.metrics()
        for report in self.precision.values():
            found |= report.metrics()
        return found if self.semantic is None else found | self.semantic.metrics()

    @cached_property
    def figures(self) -> dict[str, Figures]:
        """The metrics that have an error over images: those of panoptic quality, box_ap, mask_ap and miou."""
        found: dict[str, Figures] = {name: QualityFigures(self.quality.images, name) for name in METRICS}
        found |= {f"{kind}_ap": report.figures for kind, report in self.precision.items()}
        if self.semantic is not None:
            found["miou"] = self.semantic.figures
        return {name: one for name, one in found.items() if math.isfinite(one.value)}

    @cached_property
    def estimates(self) -> dict[str, Estimate]:
        """Each of `figures` with its error over images, by the bootstrap."""
        return {name: estimate(one) for name, one in self.figures.items()}

    def to_json(self) -> dict[str, Any]:
        """Everything as a JSON object: metrics and intervals in percent, what is by class in fractions."""
        return {
            "metrics": self.metrics(),
            "intervals": {name: one.to_json() for name, one in self.estimates.items()},
            "quality": self.quality.to_json(),
            **{f"{kind}_precision": report.to_json() for kind, report in self.precision.items()},
            **({} if self.semantic is None else {"semantic": self.semantic.to_json()}),
        }


@dataclass(frozen=True)
class Evaluation:
    """Some networks on the same images.

    Attributes:
        source: The JSON of the images.
        split: Which part of a data set they are.
        images: How many.
        categories: Of the data set.
        networks: What was measured, by the networks' names.
    """

    source: str
    split: str
    images: int
    categories: Categories
    networks: Mapping[str, NetworkEvaluation]

    @cached_property
    def differences(self) -> dict[str, dict[str, Estimate]]:
        """The first network's metrics minus each other's, with the error over images, paired."""
        (_, first), *others = self.networks.items()
        return {
            name: {
                metric: estimate_difference(figures, other.figures[metric])
                for metric, figures in first.figures.items()
                if metric in other.figures
            }
            for name, other in others
        }

    def to_json(self) -> dict[str, Any]:
        """Everything as a JSON object."""
        first = next(iter(self.networks))
        return {
            "data": self.source,
            "split": self.split,
            "images": self.images,
            "categories": self.categories.to_json(),
            "networks": {name: one.to_json() for name, one in self.networks.items()},
            "differences": [
                {"of": first, "minus": name, **{metric: one.to_json() for metric, one in found.items()}}
                for name, found in self.differences.items()
            ],
        }
