"""The page of the published code's steps: every command is one of ours, with options, keys and values that it takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
import typer

from autopanoptic.nas.cli import app as program
from autopanoptic.panoptic.cli import app
from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.configs.layers import change
from autopanoptic.panoptic.configs.widths import WIDTHS
from autopanoptic.panoptic.pretraining.classifier import Classifier
from autopanoptic.panoptic.pretraining.paths import binned_paths
from autopanoptic.panoptic.pretraining.sources import recipe_of
from autopanoptic.panoptic.run.choice import settings_of
from autopanoptic.panoptic.run.options import DESCRIBING
from autopanoptic.panoptic.search.architecture_files import shipped

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "panoptic.md").read_text()
COMMANDS = sorted(set(re.findall(r"(?:^|`)(autopanoptic [^`\n]+)", PAGE, re.MULTILINE)))
PRETRAINING = ("pretrain-supernet", "pretrain")


def parsed(line: str) -> tuple[str, dict[str, Any]]:
    """Return the name of a command and the values of its options, as the program reads them."""
    words = shlex.split(line)[1:]
    inner = words[0] == "panoptic"
    command: Any = typer.main.get_command(app if inner else program)
    words = words[inner:]
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    if words and not words[0].startswith("-") and hasattr(command, "commands"):
        raise ValueError(f"{command.name} has no command {words[0]!r}")
    with command.make_context(command.name, words) as context:
        return str(command.name), dict(context.params)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_is_taken(line: str) -> None:
    name, values = parsed(line)
    describing = {key: values.get(key) for key in DESCRIBING}
    if values.get("config") is not None and "trials" in values:
        settings = settings_of(describing)
        assert settings.search.space == "auto-panoptic"
    elif values.get("config") is not None:
        widths = {} if values.get("width") is None else {"width": values["width"]}
        load_config(values["config"], widths)
    if name in PRETRAINING:
        changes = dict(change(text) for text in values["changes"] or ())
        assert all(key.startswith("recipe.") for key in changes)
        recipe = {key.removeprefix("recipe."): value for key, value in changes.items()}
        recipe_of("imagenet", recipe, supernet=name == "pretrain-supernet")
    if (architecture := values.get("architecture")) is not None:
        assert architecture in shipped() or architecture.endswith("architecture.json")


def test_a_command_that_is_none_of_ours_is_found_out() -> None:
    with pytest.raises(Exception, match="No such option"):
        parsed("autopanoptic panoptic search --name coco --no-such-option 3")
    with pytest.raises(ValueError, match="has no command 'no-such-stage'"):
        parsed("autopanoptic panoptic no-such-stage --name coco")


def test_the_bins_of_detnas_are_met() -> None:
    (line,) = [line for line in COMMANDS if "recipe.bins" in line]
    changes = dict(change(text) for text in parsed(line)[1]["changes"])
    given = {key.removeprefix("recipe."): value for key, value in changes.items()}
    recipe = recipe_of("imagenet", given, supernet=True)
    config = load_config("coco", {"width": "300m"}).network_for(80, 53)
    with torch.device("meta"):
        classifier = Classifier(config, 1000, recipe.tail_width, recipe.dropout)
    paths = binned_paths(classifier, recipe, seed=0)
    costs = [paths.cost(paths.path(step)) for step in range(7)]
    assert sorted(int(cost) // 10 * 10 for cost in costs) == given["bins"][:-1]


def rows(heading: str) -> list[list[str]]:
    part = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@pytest.mark.parametrize("script", ["architecture_search", "pretrain_searched_model", "train_searched_model", "eval"])
def test_each_script_of_auto_panoptic_has_a_row(script: str) -> None:
    found = [right for left, right in rows("Auto-Panoptic") if f"scripts/{script}.sh" in left]
    assert found
    assert all(right.startswith("`autopanoptic panoptic ") for right in found)


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5])
def test_each_step_of_detnas_has_a_row(step: int) -> None:
    found = [row[1] for row in rows("DetNAS") if row[0].startswith(f"step {step},")]
    assert found
    assert all(right.startswith(("`autopanoptic panoptic ", "not needed")) for right in found)


def test_the_widths_are_those_of_the_configs() -> None:
    given = {row[0].strip("`"): row[1:] for row in rows("DetNAS") if row[0].strip("`") in WIDTHS}
    assert set(given) == set(WIDTHS)
    for name, (stem, widths, blocks) in given.items():
        listed = {"stem_width": [stem], "stage_widths": widths.split(", "), "stage_depths": blocks.split(", ")}
        assert {key: [int(one) for one in found] for key, found in listed.items()} == {
            key: value if isinstance(value, list) else [value] for key, value in WIDTHS[name].items()
        }


@pytest.mark.parametrize("name", ["coco", "ade20k", "cityscapes"])
def test_the_schedules_are_those_of_the_configs(name: str) -> None:
    (row,) = [row for row in rows("Schedules and their sources") if row[0] == f"`{name}`"]
    settings = load_config(name)
    recipe = settings.retrain
    numbers = [int(one.replace(",", "")) for one in re.findall(r"\d{1,3}(?:,\d{3})+|\d{4,}", row[1])]
    assert numbers[0] == recipe.passes
    assert tuple(numbers[1 : 1 + len(recipe.milestones)]) == recipe.milestones
    assert f"{recipe.batch_size} images" in row[1]
    assert (float(row[2]), row[3]) == (recipe.learning_rate, f"{settings.data.short_side}, {settings.data.long_side}")
