"""What is wrong in a config, named by the place, the key and the value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autopanoptic.panoptic.configs.config import (
    load_config,
)
from autopanoptic.panoptic.configs.layers import ConfigError


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
        ({"network.mask_aligned": "yes"}, "network.mask_aligned must be true or false, not 'yes'"),
        ({"network.mask_aligned": 1}, "network.mask_aligned must be true or false, not 1"),
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
        ({"data.orientation": "up"}, "data.orientation must be one of apply, ignore, or null, not up"),
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
        (
            {"network.c2_widths": [16, 18]},
            "network.c2_widths must be multiples of 4 (blocks split the channels in pairs)",
        ),
        (
            {"search.space": "elastic", "network": {"segmentation_depths": [3, 1]}},
            "network.segmentation_depths must hold the fewest and the most layers, not [3, 1]",
        ),
        (
            {"retrained_network": {"mask_widths": [37, 96]}},
            "retrained_network.mask_widths [37, 96] must be multiples of a group's channels",
        ),
        ({"supernet": {"distillation": 0.5}}, "supernet.distillation=0.5: the largest path of a step teaches"),
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
        ({"seed": 2**63}, "seed must be at most 9223372036854775807, not 9223372036854775808"),
        ({"quick.retrain.passes": 5}, "quick.retrain.passes is for files, which say there what their quick form"),
        ({"quick": {"retrain": {"passes": 5}}}, "quick is for files, which say there what their quick form changes;"),
        ({"init": " "}, "init must be scratch, supernet, pretrained or a file of weights, not ' '"),
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
            "line 1: base: config 'scene' is neither a file nor one of ade20k, camvid, cityscapes, coco",
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


def test_what_is_wrong_in_the_space_that_is_searched_is_named_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("base: scenes\nnetwork:\n  stem_width: 16\n  c2_widths: [16, 18]\nseed: 3\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml, line 4: network\.c2_widths must be multiples of 4"):
        load_config(tmp_path / "mine.yaml")
    load_config(tmp_path / "mine.yaml", {"search.space": "auto-panoptic"})  # has no such widths


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("scenes", {"seed": "a", "search.trials": "b", "network.mask_aligned": "c"})
    assert [line.split()[1] for line in str(caught.value).splitlines()] == [
        "network.mask_aligned",
        "search.trials",
        "seed",
    ]
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
