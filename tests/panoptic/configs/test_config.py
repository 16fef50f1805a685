"""Configs: those that ship, files of one's own, changes, and what is refused, by the place, the key and the value."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopanoptic.panoptic.configs.config import (
    change_settings,
    differences,
    load_config,
    resolve,
    save_config,
    values_of,
)
from autopanoptic.panoptic.configs.layers import ConfigError, change, shipped
from autopanoptic.panoptic.configs.schema import DERIVED, all_keys, section_of
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.merge.rules import MergeRules
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.training.recipe import Recipe

SHIPPED = ("ade20k", "camvid", "cityscapes", "coco", "memorise", "photographs", "scenes")
QUICK = tuple(name for name in SHIPPED if name not in ("ade20k", "cityscapes", "coco"))


def test_these_configs_ship() -> None:
    assert tuple(shipped()) == SHIPPED


@pytest.mark.parametrize(("name", "quick"), [*((name, False) for name in SHIPPED), *((name, True) for name in QUICK)])
def test_what_is_written_is_read(name: str, quick: bool, tmp_path: Path) -> None:
    settings = load_config(name, quick=quick)
    save_config(settings, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == settings
    assert not differences(settings, load_config(tmp_path / "config.yaml"))
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize("name", ["coco", "scenes"])
def test_every_key_can_be_set_to_what_it_is(name: str) -> None:
    settings = load_config(name)
    values = values_of(settings)
    for path in all_keys():
        found: Any = values
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        if isinstance(found, (bool, int, float, str, list)):
            assert load_config(name, {".".join(path): found}) == settings


def test_every_field_of_network_recipes_and_rules_is_a_key() -> None:
    keys = set(all_keys())
    for section, cls in (("network", PanopticConfig), ("supernet", Recipe), ("retrain", Recipe), ("merge", MergeRules)):
        names = {one.name for one in fields(cls)} - (set(DERIVED) if cls is PanopticConfig else set())
        assert {path[1] for path in keys if len(path) == 2 and path[0] == section} == names
    assert set(DERIVED) <= {one.name for one in fields(PanopticConfig)}
    # What is no section is a value, and each is of a type that YAML has.
    assert section_of(Settings) is Settings


def test_the_papers_network_and_recipes_are_those_of_the_coco_config() -> None:
    coco = load_config("coco")
    assert (coco.network.stage_widths, coco.network.stage_depths) == ((96, 240, 480, 960), (8, 8, 16, 8))
    assert (coco.network.backbone_init, coco.network.roi_aligned, coco.network.mask_aligned) == (
        "published",
        False,
        False,
    )
    assert (coco.network.segmentation_align_corners, coco.network.padding_ignored) == (True, False)
    assert (coco.supernet.passes, coco.supernet.updates(12), coco.supernet.accumulate) == (90_000, 7500, True)
    assert (coco.retrain.milestones, coco.retrain.norm_factor, coco.retrain.clip) == ((60_000, 80_000), 1.0, None)
    assert coco.network_for(80, 53) == PanopticConfig.coco()
    assert coco.network_for(100, 50, retrained=True) == PanopticConfig.coco(100, 50, searched=True)
    assert (coco.warmup, coco.supernet, coco.retrain) == (None, Recipe.coco_supernet(), Recipe.coco_retrain())
    assert (coco.data.short_side, coco.data.long_side, coco.init) == (800, 1333, "scratch")


def test_the_network_of_the_scenes_is_the_small_one() -> None:
    scenes = load_config("scenes")
    for retrained in (False, True):
        elastic = replace(PanopticConfig.scenes(3, 2), space="elastic")
        assert scenes.network_for(3, 2, retrained=retrained) == elastic


def test_a_quick_form_is_short() -> None:
    for name in QUICK:
        whole, quick = load_config(name), load_config(name, quick=True)
        assert quick.search.trials < whole.search.trials
        for before, after in ((whole.supernet, quick.supernet), (whole.retrain, quick.retrain)):
            assert replace(before, passes=after.passes) == after
            assert after.passes < before.passes
        assert quick.network == whole.network
        assert (quick.data.scenes is None) == (whole.data.scenes is None)


def test_a_file_goes_over_its_base_and_changes_over_both(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "base.yaml").write_text("base: coco\nsearch: {trials: 100}\nseed: 5\nwarmup: {passes: 7}\n")
    (tmp_path / "mine.yaml").write_text("base: folder/base.yaml\nsearch: {max_gflops: 3}\nsupernet:\n  clip: 1e1\n")
    found = load_config(tmp_path / "mine.yaml", {"seed": 6, "retrain": {"passes": 12}, "warmup": None})
    coco = load_config("coco")
    assert (found.search.trials, found.search.max_gflops, found.seed, found.warmup) == (100, 3.0, 6, None)
    assert found.supernet == replace(coco.supernet, clip=10.0)
    assert found.retrain == replace(coco.retrain, passes=12)


def test_the_retrained_network_holds_what_differs() -> None:
    found = load_config("scenes", {"retrained_network.stem_width": 20, "network.box_hidden": 64})
    assert found.retrained_network == replace(found.network, stem_width=20)
    assert values_of(found)["retrained_network"] == {"stem_width": 20}
    assert found.network_for(1, 2, retrained=True).box_hidden == 64
    assert differences(found, load_config("scenes")) == [
        "network.box_hidden (64, not 128)",
        "retrained_network (a section, not null)",
    ]


def test_differences_name_the_keys_and_both_values() -> None:
    before = load_config("scenes", {"network.anchor_sizes": [20, 30, 44, 64, 96]})
    after = load_config("scenes", {"seed": 3, "data.scenes": None, "network.anchor_sizes": [1, 2, 3, 4, 5]})
    assert differences(before, after) == [
        "data.scenes (a section, not null)",
        "network.anchor_sizes ([20, 30, 44, 64, 96], not [1, 2, 3, 4, 5])",
        "seed (0, not 3)",
    ]
    wider = load_config("coco", {"retrained_network.box_hidden": 2048})
    assert differences(load_config("coco"), wider) == ["retrained_network.box_hidden (the network's, not 2048)"]


def test_settings_are_changed_by_values_of_any_depth() -> None:
    recipe = Recipe(passes=3, milestones=(1, 2))
    found = change_settings(load_config("coco"), {"supernet": recipe, "machine": {"workers": 5}, "search.trials": 4})
    assert found.supernet == recipe
    assert found == change_settings(found, {"machine.workers": 5})
    assert found.machine == replace(load_config("coco").machine, workers=5)


def test_a_config_without_a_quick_form_says_so() -> None:
    with pytest.raises(ConfigError, match="the config coco has no quick form"):
        load_config("coco", quick=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([("seed", 1, "--seed"), ("seed", 1, "--set seed=1")], "--seed and --set seed=1 both set seed; leave out one"),
        ([("search", {"trials": 2}, "x"), ("search.trials", 2, "y")], "x and y both set search; leave out one"),
        ([("search.trials", 2, "y"), ("search", {"trials": 2}, "x")], "y and x both set search; leave out one"),
    ],
)
def test_two_changes_of_one_key_are_refused(changes: list[tuple[str, Any, str]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve("scenes", changes)


@pytest.mark.parametrize("text", ["x", "=3", " = 3", "a=[1", "a=b: c: d", "a=1\n--- 2"])
def test_changes_are_key_and_value(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--set "):
        change(text)


KEYS = st.sampled_from([".".join(path) for path in all_keys()]) | st.text(max_size=12)
VALUES = st.one_of(
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(
        ["true", "null", "no", "[]", "{}", "[1, 2, 3, 4]", "{a: 1}", "''", "scenes", "!!set {a}", "&x [*x]"]
    ),
    st.text(max_size=12),
)


@given(KEYS, VALUES)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_change_gives_settings_or_names_what_is_wrong(key: str, value: str) -> None:
    try:
        given_key, found = change(f"{key}={value}")
        settings = resolve("scenes", [(given_key, found, "--set")])
    except ConfigError as error:
        said = str(error)
    else:
        said = "--set"
        assert change_settings(settings, {}) == settings
    assert said.startswith("--set"), said


def test_reading_a_config_loads_no_torch() -> None:
    code = (
        "import sys\nfrom autopanoptic.panoptic.configs.config import load_config\nload_config('coco')\n"
        "assert not {'torch', 'nni', 'lightning'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
