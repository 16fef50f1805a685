"""Whether anchors that do not fit the data are noticed."""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.data.problems import DatasetWarning
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.stages.anchors import best_overlaps, check_anchors
from autopanoptic.panoptic.stages.prepare import prepare

AS_THEY_ARE = Transform(short_side=None)
TOO_LARGE = (64, 96, 128, 256, 512)


def test_overlaps_are_those_with_the_best_anchor(config: PanopticConfig) -> None:
    few = replace(config, anchor_sizes=(8, 16, 32, 64, 128), anchor_ratios=(1.0,))
    # Anchors are centred on a cell's first pixel: one of P3 is the first box, the second lies between two of P2's.
    boxes = torch.tensor([[8.0, 16, 24, 32], [10, 16, 18, 24], [0, 0, 1, 1]])
    overlaps = best_overlaps(boxes, (64, 64), few)
    torch.testing.assert_close(overlaps[:2], torch.tensor([1.0, 6 / 10]))
    assert overlaps[2] < 0.1


def test_the_warning_says_the_share_the_sizes_and_better_anchors(config: PanopticConfig, datasets: Datasets) -> None:
    with pytest.warns(DatasetWarning, match=r"64, 96, 128, 256, 512 pixels overlap \d+% of \d+ boxes") as caught:
        check_anchors(datasets.train, AS_THEY_ARE, replace(config, anchor_sizes=TOO_LARGE))
    found = re.search(r"overlap (\d+)% of .* anchor_sizes \[(.*)\], which overlap (\d+)%", str(caught[0].message))
    assert found is not None
    assert int(found[1]) < 50 < int(found[3])
    sizes = tuple(int(size) for size in found[2].split(", "))
    assert max(sizes) < 96
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_anchors(datasets.train, AS_THEY_ARE, replace(config, anchor_sizes=sizes))


def test_boxes_count_in_the_size_in_which_the_network_sees_them(config: PanopticConfig, datasets: Datasets) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_anchors(datasets.train, Transform(short_side=96), config)
    with pytest.warns(DatasetWarning, match="try anchor_sizes"):
        check_anchors(datasets.train, Transform(short_side=512), config)


def test_data_without_things_need_no_anchors(datasets: Datasets) -> None:
    check_anchors(datasets.train, AS_THEY_ARE, replace(PanopticConfig.scenes(0, 3), anchor_sizes=TOO_LARGE))


def test_a_run_shows_the_warning(scene_folder: Path, tmp_path: Path) -> None:
    settings = load_config(
        "photographs", {"data.path": str(scene_folder), "network.anchor_sizes": list(TOO_LARGE), "data.short_side": 64}
    )
    console = Console(file=io.StringIO(), width=10_000)
    (tmp_path / "run").mkdir()
    prepare(settings, tmp_path / "run", console)
    assert "try anchor_sizes" in console.file.getvalue()  # type: ignore[attr-defined]
