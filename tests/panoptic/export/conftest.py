"""Small networks as they lie on disk, which find something without a training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from autopanoptic.nas import SearchSpace
from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.data.loading.normalization import IMAGENET, Normalization
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.merge.rules import MergeRules
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.operators.deformable import Deformable
from autopanoptic.panoptic.results.saved import new_network, save_network
from autopanoptic.panoptic.results.usage import Usage

TINY = {
    "stage_widths": (16, 24, 32, 48), "stage_depths": (1, 1, 1, 1), "stem_width": 8, "mask_layers": 1,
    "segmentation_layers": 1, "box_hidden": 32, "rpn_post_nms_test": 40, "detections_per_image": 20,
}  # fmt: skip


def write_network(
    folder: Path,
    categories: Categories,
    option: str = "df3",
    normalization: Normalization = IMAGENET,
    **changes: object,
) -> Path:
    """A network whose choices take the option where they have it."""
    rules = MergeRules(score_threshold=0.11, stuff_area=16)
    usage = Usage(categories, rules=rules, normalization=normalization)
    config = PanopticConfig.scenes(len(usage.categories.things), len(usage.categories.stuff))
    config = replace(config, **{**TINY, **changes})  # type: ignore[arg-type]
    with torch.device("meta"):
        space = SearchSpace.from_module(PanopticNetwork(config))
    wanted = {one.label: option if option in one.options else one.options[0] for one in space.choices}
    architecture = space.canonical(wanted)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = new_network(config, architecture)
        for module in network.modules():
            if isinstance(module, Deformable):
                torch.nn.init.normal_(module.offset.weight, std=0.05)  # taps between pixels, and beyond the border
    save_network(network, architecture, folder, usage)
    return folder


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory, datasets: Datasets) -> Callable[..., Path]:
    def save(*, things: bool = True, stuff: bool = True, **changes: object) -> Path:
        known = datasets.val.categories
        categories = Categories([one for one in known if (things if one.isthing else stuff)])
        return write_network(tmp_path_factory.mktemp("network") / "mine", categories, **changes)  # type: ignore[arg-type]

    return save
