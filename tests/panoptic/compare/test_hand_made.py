"""The network made by hand in another size."""

from __future__ import annotations

from pathlib import Path

import pytest

from autopanoptic.panoptic.compare.hand_made import at_cost, near, scaled
from autopanoptic.panoptic.compare.plan import load_plan
from autopanoptic.panoptic.model.config import PanopticConfig
from tests.panoptic.compare.conftest import make

CONFIG = PanopticConfig.scenes(10, 5)


def cost(config: PanopticConfig) -> float:
    return config.stage_widths[3] ** 2 / 1e4 + config.pyramid_channels**2 / 1e4


def test_widths_are_scaled_together_and_nothing_else() -> None:
    assert scaled(CONFIG, 1) == CONFIG
    wide = scaled(CONFIG, 2)
    assert (wide.stem_width, wide.stage_widths) == (32, (48, 96, 192, 256))
    assert (wide.pyramid_channels, wide.segmentation_channels, wide.box_hidden) == (96, 48, 256)
    same = ("stage_depths", "mask_layers", "norm_groups", "anchor_sizes")
    assert all(getattr(wide, name) == getattr(CONFIG, name) for name in same)
    narrow = scaled(CONFIG, 1 / 7)
    # Fusion units divide their channels by up to 16.
    assert (narrow.pyramid_channels, narrow.segmentation_channels, narrow.box_hidden) == (16, 16, 16)
    assert all(width % 2 == 0 for width in (narrow.stem_width, *narrow.stage_widths))


@pytest.mark.parametrize("wanted", [0.5, 1.0, 1.9, 3.3, 9.0])
def test_the_cost_comes_near(wanted: float) -> None:
    tried: list[PanopticConfig] = []

    def counted(config: PanopticConfig) -> float:
        tried.append(config)
        return cost(config)

    found = at_cost(CONFIG, wanted, counted)
    assert near(cost(found), wanted)
    assert abs(cost(found) - wanted) == min(abs(cost(one) - wanted) for one in tried)
    assert len(set(tried)) == len(tried) <= 12


def test_its_own_cost_is_its_own_size_and_none_is_refused() -> None:
    assert at_cost(CONFIG, cost(CONFIG), cost) == CONFIG
    with pytest.raises(ValueError, match=r"cannot be scaled to 1e\+03 GFLOPs: the nearest has 120, with 384 channels"):
        at_cost(CONFIG, 1000.0, cost)


def test_in_a_comparison_it_costs_as_much_as_the_network_that_it_is_named_after(
    config_file: Path, tmp_path: Path
) -> None:
    made = make(config_file, tmp_path / "a", ["upsnet", "hand-made@upsnet", "hand-made@sognet"], seeds=1)
    # Those of UPSNet's and SOGNet's cost are one network.
    assert list(made.plan.contestants) == ["upsnet", "hand-made@upsnet"]
    one, other = load_plan(made.folder).contestants.values()
    assert near(one.gflops, other.gflops)
    assert other.settings.network.stage_widths > one.settings.network.stage_widths
    assert (one.kind, other.kind) == ("model", "hand-made")
