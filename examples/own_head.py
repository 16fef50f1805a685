"""A semantic head of your own among those of published models: the search mixes it with their other components.

    python examples/own_head.py

The head is registered with what it gives, so that the space knows its partners: a fusion that reads features of stuff
at each level fits it, panoptic logits, which need the scores of every class, do not. It takes about a minute.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from autopanoptic.nas import Architecture, ElasticConv2d
from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.padding import blank, extend
from autopanoptic.panoptic.model.parts.kinds import LEVEL_FEATURES, STUFF_SCORES, SemanticHead
from autopanoptic.panoptic.model.parts.registry import register
from autopanoptic.panoptic.model.semantic.head import SegmentationBranch
from autopanoptic.panoptic.model.shapes import Features, FeatureShape
from autopanoptic.panoptic.model.sizes import segmentation_width
from autopanoptic.panoptic.run.folder import Run
from autopanoptic.panoptic.run.retrain import retrain
from autopanoptic.panoptic.run.search import search
from autopanoptic.panoptic.run.train_supernet import train_supernet


class SumHead(SegmentationBranch):
    """One convolution shared by P2 to P5, of which each level is scored; the scores are added."""

    def __init__(self, config: PanopticConfig, pyramid: Mapping[str, FeatureShape]) -> None:
        super().__init__()
        width = segmentation_width(config)  # a number, or a choice that all semantic heads share
        self.layers = nn.Sequential(ElasticConv2d(pyramid["p2"].channels, width, 3, padding=1), nn.ReLU())
        self.output_shape = {
            level: FeatureShape(width, shape.stride) for level, shape in pyramid.items() if level != "p6"
        }
        self.score = ElasticConv2d(width, 1 + config.num_stuff, 1)

    def forward(self, pyramid: Features) -> Features:
        """Features at P2..P5, 0 where a batch is padded."""
        return {level: blank(self.layers(pyramid[level])) for level in self.output_shape}

    def classify(self, features: Features) -> Tensor:
        """Logits (B, 1 + S, H / 4, W / 4) of the features, which a fusion may have changed."""
        finest, *coarser = (extend(self.score(x)) for x in features.values())
        for scores in coarser:
            finest = finest + functional.interpolate(scores, size=finest.shape[-2:], mode="bilinear")
        return finest


register(SemanticHead("sum", SumHead, elastic=True, gives=(STUFF_SCORES, LEVEL_FEATURES)))

SPACE = {
    "network.imports": ["own_head"],  # this file, without .py
    "search.space": "published",
    "network.semantic_heads": ["sum", "upsnet"],
    "network.mask_heads": ["plain"],
}
TINY = {
    "data.scenes": {"train": 16, "nas_val": 4, "val": 4},
    "largest.passes": 4,
    "supernet.passes": 8,
    "retrain.passes": 4,
    "search.strategy": "random",
    "search.cost": None,
    "search.trials": 4,
    "search.recalibration_batches": 1,
    "search.finalists": 1,
    "search.screened": 0,
    "machine.supernet_processes": 1,
}


def main(folder: Path = Path("runs/own-head"), changes: Mapping[str, Any] = TINY) -> Architecture:
    """Search networks with this head on generated scenes, so shortly that they learn nothing; return the answer."""
    torch.set_num_threads(1)
    run = Run(load_config("scenes", {**SPACE, **changes}), folder)
    train_supernet(run)
    searched = search(run)
    retrain(run)
    answer = Architecture.load(folder / "architecture.json")
    heads = [trial.architecture["semantic_head"] for trial in searched.history]
    print(f"{heads.count('sum')} of {len(heads)} candidates have this file's head")
    print(f"The answer has {answer['semantic_head']}. To see it: autopanoptic panoptic report {folder}")
    return answer


if __name__ == "__main__":
    main()
