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
from autopanoptic.panoptic.stages.settings import Settings
from autopanoptic.panoptic.training.recipe import Recipe

SHIPPED = ("camvid", "coco", "memorise", "photographs", "scenes")
QUICK = tuple(name for name in SHIPPED if name != "coco")


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


def test_a_strategy_for_two_objectives_brings_a_cost() -> None:
    found = load_config("scenes", {"search.space": "auto-panoptic", "search.strategy": "nsga2"}).search
    assert (found.strategy, found.cost) == ("nsga2", "gflops")


def test_a_warm_up_has_what_goes_with_its_own_length() -> None:
    found = load_config("coco", {"warmup.passes": 150, "supernet.validate_every": 12}).warmup
    assert found is not None
    assert (found.optimizer, found.learning_rate, found.clip) == ("sgd", 0.02, None)
    assert (found.warmup, found.milestones, found.validate_every) == (20, (), 0)


@pytest.mark.parametrize("name", ["scenes", "coco"])
def test_a_space_brings_its_strategy_and_cost(name: str) -> None:
    """One option or key is enough to search either space."""
    found = [load_config(name, {"search.space": space}).search for space in ("elastic", "auto-panoptic")]
    assert [(one.strategy, one.cost) for one in found] == [("nsga2", "gflops"), ("path-priority", None)]
    timed = load_config(name, {"search.space": "elastic", "search.cost": "latency_ms"}).search
    assert (timed.strategy, timed.cost) == ("nsga2", "latency_ms")
    alone = load_config(name, {"search.space": "elastic", "search.strategy": "path-priority"}).search
    assert (alone.strategy, alone.cost) == ("path-priority", None)


def test_the_main_job_searches_for_a_front() -> None:
    scenes = load_config("scenes")
    assert (scenes.search.space, scenes.search.strategy, scenes.search.cost) == ("elastic", "nsga2", "gflops")
    assert (scenes.search.racing, scenes.warmup, scenes.init) == (None, None, "supernet")


@pytest.mark.parametrize("space", ["elastic", "auto-panoptic"])
def test_a_cost_brings_a_strategy(space: str) -> None:
    for cost, strategy in (("gflops", "nsga2"), ("latency_ms", "nsga2"), (None, "path-priority")):
        assert load_config("scenes", {"search": {"space": space, "cost": cost}}).search.strategy == strategy


@pytest.mark.parametrize(("name", "quick"), [*((name, False) for name in SHIPPED), *((name, True) for name in QUICK)])
@pytest.mark.parametrize("space", ["elastic", "auto-panoptic"])
def test_every_config_trains_the_supernet_of_either_space_in_whole_cycles(name: str, quick: bool, space: str) -> None:
    found = load_config(name, {"search.space": space}, quick=quick)
    assert found.warmup is None
    assert found.supernet.passes % (2 + found.random_paths if space == "elastic" else 12) == 0
    assert found.search.trials >= 13  # a cycle of path-priority, and its answer


def test_a_warm_up_is_as_the_supernets_training_but_for_its_length() -> None:
    changes = {"supernet": {"batch_size": 3, "distillation": 0.5, "learning_rate": 0.01}, "warmup": {"passes": 5}}
    found = load_config("scenes", changes)
    assert found.warmup == replace(found.supernet, passes=5, distillation=0.0)
    own = load_config("memorise", {"warmup": {"passes": 5, "flip": 0.25}})
    assert own.warmup == replace(own.supernet, passes=5, flip=0.25)
    assert load_config("coco", {"warmup.passes": 5}).warmup == replace(Recipe.coco_supernet(), passes=5, warmup=20)


def test_what_a_file_gives_for_the_search_stands(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("base: scenes\nsearch: {strategy: evolution, cost: null}\n")
    found = load_config(tmp_path / "mine.yaml").search
    assert (found.space, found.strategy, found.cost) == ("elastic", "evolution", None)


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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"supernet.learning_rte": 1}, "supernet.learning_rte: unknown key; did you mean learning_rate?"),
        ({"serach.trials": 1}, "serach: unknown key; did you mean search?"),
        ({"trials": 1}, "trials: unknown key; did you mean search.trials?"),
        ({"merge.xyz": 1}, "merge.xyz: unknown key; known are order, score_threshold, overlap_threshold, "),
        ({"seed.a": 1}, "seed must be a whole number, not {a: 1}"),
        ({"network.num_things": 3}, "network.num_things comes from the data; leave it out"),
        ({"retrained_network.num_stuff": 3}, "retrained_network.num_stuff comes from the data; leave it out"),
        ({"base": "coco"}, "base: unknown key"),
        ({"supernet.passes": "ten"}, "supernet.passes must be a whole number, not ten"),
        ({"supernet.passes": 10.5}, "supernet.passes must be a whole number, not 10.5"),
        ({"supernet.passes": True}, "supernet.passes must be a whole number, not true"),
        ({"supernet.learning_rate": "1"}, "supernet.learning_rate must be a number, not '1'"),
        ({"supernet.learning_rate": float("nan")}, "supernet.learning_rate must be a finite number, not .nan"),
        ({"network.anchor_ratios": [1, float("inf")]}, "network.anchor_ratios must be a finite number, not .inf"),
        ({"supernet.clip": "no"}, "supernet.clip must be a number, or null, not 'no'"),
        ({"network.box_norm": "yes"}, "network.box_norm must be true or false, not 'yes'"),
        ({"network.box_norm": 1}, "network.box_norm must be true or false, not 1"),
        ({"network.stage_widths": [1, 2, 3]}, "network.stage_widths must be a list of 4 whole numbers, not [1, 2, 3]"),
        ({"network.stage_widths": 7}, "network.stage_widths must be a list of 4 whole numbers, not 7"),
        ({"network.stage_widths": [1, 2, 3, "a"]}, "network.stage_widths must be a list of 4 whole numbers, not [1, "),
        ({"network.head_operators": [1]}, "network.head_operators must be a list of texts, not [1]"),
        ({"supernet.milestones": [1.5]}, "supernet.milestones must be a list of whole numbers, not [1.5]"),
        ({"supernet.optimizer": "adam"}, "supernet.optimizer must be one of adamw, sgd, not adam"),
        ({"search.strategy": "grid"}, "search.strategy must be one of path-priority, evolution, "),
        ({"search.cost": "flops"}, "search.cost must be one of gflops, latency_ms, or null, not flops"),
        ({"search.objective": "map"}, "search.objective must be one of pq, sq, rq, pq_things, "),
        ({"search.space": "nas"}, "search.space must be one of auto-panoptic, elastic, not nas"),
        ({"search.racing": "on"}, "search.racing must be true or false, or null, not 'on'"),
        ({"data.orientation": "up"}, "data.orientation must be one of apply, ignore, not up"),
        ({"data.path": 3}, "data.path must be text, or null, not 3"),
        ({"data.path": " "}, "data.path must name a folder, not ' '"),
        ({"machine.device": "tpu"}, "machine.device must be one of auto, cpu, cuda, not tpu"),
        ({"machine.precision": 16}, "machine.precision must be one of 32-true, bf16-mixed, not 16"),
        ({"init_part": "head"}, "init_part must be one of all, backbone, not head"),
        ({"init": 3}, "init must be text, not 3"),
        ({"supernet": None}, "supernet must be a section with keys such as passes, not null"),
        ({"data": [1]}, "data must be a section with keys such as path, not [1]"),
        ({"data.scenes": 5}, "data.scenes must be a section with keys such as train, or null, not 5"),
        ({"network.neck": "pan"}, "network.neck must be one of fpn, panet, bifpn, search, not 'pan'"),
        ({"network.mask_threshold": 2}, "network.mask_threshold must lie in [0, 1], not 2.0"),
        ({"network.stem_width": 0}, "network.stem_width must be an integer of at least 1, not 0"),
        ({"retrained_network.mask_threshold": 2}, "retrained_network.mask_threshold must lie in [0, 1], not 2.0"),
        ({"supernet.passes": 0}, "supernet.passes must be at least 1, not 0"),
        ({"warmup": {"passes": 5, "batch_size": -1}}, "warmup.batch_size must be at least 1, not -1"),
        ({"warmup.batch_size": 4}, "warmup.passes is missing"),
        ({"retrain.scale_jitter": [2, 1]}, "retrain.scale_jitter=(2.0, 1.0) must be the least and the largest"),
        ({"retrain.keep": "best"}, "retrain.keep='best' needs validate_every"),
        ({"merge.score_threshold": 2}, "merge.score_threshold must be from 0 to 1, not 2.0"),
        ({"merge.stuff_area": -1}, "merge.stuff_area must be at least 0 pixels, not -1"),
        ({"search.trials": 1}, "search.trials must be at least 2, not 1"),
        ({"search.recalibration_batches": -1}, "search.recalibration_batches must be at least 0, not -1"),
        ({"search.max_gflops": 0}, "search.max_gflops must be positive, not 0.0"),
        (
            {"search": {"strategy": "nsga2", "cost": None}},
            "search.strategy nsga2 is for two objectives: set cost to gflops or latency_ms",
        ),
        (
            {"search": {"cost": "gflops", "strategy": "path-priority"}},
            "search.strategy path-priority takes one objective, but cost is gflops",
        ),
        ({"machine.threads": 0}, "machine.threads must be at least 1, not 0"),
        ({"machine.memory": -1}, "machine.memory must be at least 0, not -1"),
        ({"data.short_side": 31}, "data.short_side must be at least 32, not 31"),
        ({"data.scenes.val": 0}, "data.scenes.val must be at least 1, not 0"),
        ({"seed": -1}, "seed must be at least 0, not -1"),
        ({"init": " "}, "init must be scratch, supernet or a file of weights, not ' '"),
        ({"init_part": "backbone"}, "init_part='backbone' is for weights of a file, but init is supernet"),
        ({"warmup": {"passes": None}}, "warmup.passes must be a whole number, not null"),
        ({"data.path": "a\ud800"}, "data.path must be text, not 'a\\ud800'"),
        ({"seed": object()}, "a config holds mappings, lists, text, numbers, true, false and null"),
    ],
)
def test_what_is_wrong_is_named_by_its_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("scenes", changes)
    assert str(caught.value).removeprefix("changes: ").startswith(message), caught.value
    if "object" not in str(changes):
        assert str(caught.value).startswith("changes: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base: scenes\nsupernet:\n  learning_rte: 1\n", "line 3: supernet.learning_rte: unknown key"),
        ("base: scenes\n\nseed: no\n", "line 3: seed must be a whole number, not 'no'"),
        (
            "base: scenes\nnetwork:\n  stem_width: 16\n  box_hidden: 9\n",
            "line 4: network.box_hidden must be a multiple",
        ),
        (
            "base: scenes\nquick:\n  supernet: {pases: 1}\n",
            "line 3: quick.supernet.pases: unknown key; did you mean pa",
        ),
        ("base: scenes\nquick: 3\n", "line 2: quick must hold the keys that the quick form changes, not 3"),
        ("base: scenes\nseed: 1\nseed: 2\n", "line 3: the key 'seed' stands here again, after line 2"),
        (
            "base: scene\n",
            "line 1: base: config 'scene' is neither a file nor one of camvid, coco, memorise, photogra",
        ),
        ("base: [scenes]\n", "line 1: base must be the name of a shipped config or a path, not ['scenes']"),
        ("base: mine.yaml\n", "line 1: a config cannot be its own base: "),
        ("supernet: {passes: 1}\n", "retrain is missing"),
        ("supernet: {passes: 1}\nretrain:\n  batch_size: 3\n", "line 2: retrain.passes is missing"),
        ("", "supernet is missing"),
        ("- 1\n", "must hold keys and values, not [1]"),
        ("a: [", "line 1: "),
    ],
)
def test_what_is_wrong_in_a_file_is_named_by_its_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises((ConfigError, FileNotFoundError)) as caught:
        load_config(path)
    said = str(caught.value)
    assert said.startswith(str(path))
    assert said.removeprefix(str(path)).lstrip(",: ").startswith(message), said


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("scenes", {"seed": "a", "search.trials": "b", "network.box_norm": "c"})
    assert [line.split()[1] for line in str(caught.value).splitlines()] == ["network.box_norm", "search.trials", "seed"]
    with pytest.raises(ConfigError) as caught:
        load_config("scenes", {"network.box_hidden": "a", "retrained_network.stem_width": 3})
    assert len(str(caught.value).splitlines()) == 1  # not for the network that is retrained once more
    with pytest.raises(ConfigError) as caught:
        load_config("scenes", {"supernet.batch_size": -1, "warmup.passes": 3})
    assert str(caught.value) == "changes: supernet.batch_size must be at least 1, not -1"


def test_a_value_that_is_wrong_in_the_base_is_named_there(tmp_path: Path) -> None:
    (tmp_path / "below.yaml").write_text("base: scenes\nseed: -1\n")
    (tmp_path / "mine.yaml").write_text("base: below.yaml\ninit: scratch\n")
    with pytest.raises(ConfigError, match=r"below\.yaml, line 2: seed must be at least 0"):
        load_config(tmp_path / "mine.yaml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"seed: \xff\xfe")
    with pytest.raises(ConfigError, match=r"mine\.yaml is no text in UTF-8: invalid start byte at byte 6"):
        load_config(tmp_path / "mine.yaml")
    with pytest.raises(FileNotFoundError, match="is a folder; give a YAML file"):
        load_config(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"'camvd' is neither a file nor one of .*; did you mean camvid\?"):
        load_config("camvd")


def test_bases_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("base: b.yaml\n")
    (tmp_path / "b.yaml").write_text("base: a.yaml\n")
    with pytest.raises(ConfigError, match=r"cannot be its own base: .*a\.yaml -> .*b\.yaml -> .*a\.yaml"):
        load_config(tmp_path / "a.yaml")


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
